import { describeAttacks } from "./attack.ts"
import { grants } from "./grants.ts"

describeAttacks("a server in league with members, and records that nobody was truly invited to", grants, ["ben"])
