import { describeAttacks } from "./attack.ts"
import { identities } from "./identities.ts"

describeAttacks("identities", identities, ["ben", "ada", "dee"])
