import type { Attack } from "./attack.ts"
import { entriesOf, rewriting } from "./rewriting.ts"
import { record } from "./steps.ts"

/** Sealed things that are not where, or what, they were. */
export const tokens: readonly Attack[] = [
  {
    name: "two bodies of one record change places",
    code: "TAMPERED_TOKEN",
    step: record("shared"),
    between: rewriting(/\/entries\?/, (answer) => {
      const [a, b] = [entriesOf(answer)[3]!, entriesOf(answer)[6]!]
      ;[a.body, b.body] = [b.body!, a.body!]
    }),
  },
]
