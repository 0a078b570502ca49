import { describeAttacks } from "./attack.ts"
import { log } from "./log.ts"

describeAttacks("the log", log)
