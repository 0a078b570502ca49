import { describeAttacks } from "./attack.ts"
import { members } from "./members.ts"
import { statements } from "./statements.ts"

describeAttacks("a server that alters entries, and takes entries that nobody may write", [...statements, ...members])
