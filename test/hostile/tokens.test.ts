import { describeAttacks } from "./attack.ts"
import { order } from "./order.ts"
import { tokens } from "./tokens.ts"

describeAttacks(
  "a server that exchanges sealed things, or leaves out, repeats and reorders entries",
  [...tokens, ...order],
  ["ben"],
)
