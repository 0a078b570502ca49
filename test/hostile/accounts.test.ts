import { accounts } from "./accounts.ts"
import { describeAttacks } from "./attack.ts"

describeAttacks("accounts", accounts)
