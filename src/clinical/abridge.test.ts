import fc from "fast-check"
import { expect, test } from "vitest"
import { parseUtf8, utf8 } from "../encoding/bytes.ts"
import { abridged } from "./abridge.ts"

const kept = 256 * 1024
const read = (text: string) => JSON.parse(parseUtf8(abridged(utf8(text))))

test("long strings are cut, and everything else stays", () => {
  const long = "x".repeat(2_000_000)
  const value = { resourceType: "Basic", a: long, b: ["y", long, { c: 7, [`${long}z`]: true }], d: "end" }
  const cut = "x".repeat(kept)
  expect(read(JSON.stringify(value))).toEqual({
    resourceType: "Basic",
    a: cut,
    b: ["y", cut, { c: 7, [cut]: true }],
    d: "end",
  })
})

test("what is short, or has no long string, is the very same", () => {
  for (const text of [`{"a":"${"x".repeat(500_000)}"}`, `{"a":[${'"x",'.repeat(400_000)}"y"]}`]) {
    const bytes = utf8(text)
    expect(abridged(bytes)).toBe(bytes)
  }
})

test("nothing is cut in two: no character, no escape", () => {
  const pieces = ["x", "é", "€", "𝄞", "\\u00e9", "\\ud834\\udd1e", "\\\\", '\\"', "\\n"]
  fc.assert(
    fc.property(
      fc.array(fc.constantFrom(...pieces), { minLength: 1, maxLength: 12 }),
      fc.integer({ min: 0, max: 24 }),
      (around, before) => {
        const end = around.join("").repeat(4)
        const raw = "x".repeat(kept - before) + end + "x".repeat(1_000_000)
        const { a, b } = read(`{"a":"${raw}","b":"${end}"}`)
        const whole = JSON.parse(`"${raw}"`)
        expect(a.length).toBeLessThan(kept + 40)
        expect(whole.startsWith(a)).toBe(true)
        expect(b).toBe(JSON.parse(`"${end}"`))
      },
    ),
    { numRuns: 300 },
  )
})

test("a string that is as long as what is kept stays", () => {
  for (const length of [kept - 1, kept, kept + 1]) {
    const text = `{"a":"${"x".repeat(length)}","b":"${"y".repeat(1_000_000)}"}`
    expect(read(text).a).toHaveLength(Math.min(length, kept))
  }
})
