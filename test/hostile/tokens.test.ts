import { describeAttacks } from "./attack.ts"
import { tokens } from "./tokens.ts"

describeAttacks("a server that exchanges sealed things", tokens)
