import fc from "fast-check"
import { expect, it } from "vitest"
import type { PhysicianId } from "../encoding/ids.ts"
import type { EntryStatement } from "../proof/entry.ts"
import { MemberLine } from "./record-views.ts"

const names = ["a", "b", "c", "d"] as unknown as PhysicianId[]
const entry = fc.record({
  author: fc.constantFrom(...names),
  members: fc.option(
    fc.subarray(names).map((some) => some.map((physician) => ({ physician }))),
    { nil: undefined },
  ),
})

it("members are carried along as the chain says: who they are, and who signed since they became one", () => {
  fc.assert(
    fc.property(fc.array(entry, { maxLength: 12 }), (chain) => {
      const steps = chain.map((one) => ({ entry: one as unknown as EntryStatement }))
      for (let seq = 0; seq <= chain.length; seq++) {
        const line = MemberLine.before(steps as unknown as Parameters<typeof MemberLine.before>[0], seq)
        const before = chain.slice(0, seq)
        expect(line.members).toEqual(before.findLast(({ members }) => members !== undefined)?.members ?? [])
        for (const name of names) {
          const isOut = ({ members }: (typeof chain)[number]) => members?.every(({ physician }) => physician !== name)
          const since = before.slice(before.findLastIndex(isOut) + 1)
          expect(line.hasSigned(name)).toBe(since.some(({ author }) => author === name))
        }
      }
    }),
  )
})
