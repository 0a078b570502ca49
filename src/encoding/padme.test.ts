import fc from "fast-check"
import { expect, it } from "vitest"
import { padme } from "./padme.ts"

/** The paper's own form: the last z = e - s bits become zero, rounding up. */
function reference(length: number): number {
  const e = Math.floor(Math.log2(length))
  const s = Math.floor(Math.log2(e)) + 1
  const mask = 2n ** BigInt(e - s) - 1n
  return Number((BigInt(length) + mask) & ~mask)
}

it("rounds up as the paper's formula does, by at most 12 %", () => {
  const property = fc.property(fc.integer({ min: 2, max: 2 ** 40 }), (length) => {
    const padded = padme(length)
    expect(padded).toBe(reference(length))
    expect(padded).toBeGreaterThanOrEqual(length)
    expect(padded).toBeLessThanOrEqual(length * 1.12)
    expect(padme(padded)).toBe(padded)
  })
  fc.assert(property, { numRuns: 2000 })
})

it("leaves few lengths to be told apart", () => {
  const seen = new Set<number>()
  for (let length = 256; length <= 65_536; length++) seen.add(padme(length))
  expect(seen.size).toBeLessThan(150)
})

it("changes nothing below 2", () => {
  expect([padme(0), padme(1)]).toEqual([0, 1])
})
