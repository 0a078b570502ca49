import { describeAttacks } from "./attack.ts"
import { restored } from "./restored.ts"

describeAttacks("a restore without a code", restored, ["ben"])
