import fc from "fast-check"
import { describe, expect, it } from "vitest"
import { type CborValue, encodeCbor, parseCbor } from "./cbor.ts"

const refused = expect.objectContaining({ code: "BAD_INPUT_FORMAT" })
const hex = (text: string) => new Uint8Array(Buffer.from(text, "hex"))

const value: fc.Arbitrary<CborValue> = fc.letrec((tie) => ({
  value: fc.oneof(
    { maxDepth: 3 },
    fc.string(),
    fc.boolean(),
    fc.maxSafeNat(),
    fc.uint8Array({ maxLength: 30 }),
    fc.array(tie("value"), { maxLength: 4 }),
    fc.dictionary(
      fc.string().filter((key) => key !== "__proto__"),
      tie("value"),
      { maxKeys: 4, noNullPrototype: true },
    ),
  ),
})).value as fc.Arbitrary<CborValue>

describe("deterministic CBOR", () => {
  it("comes back as it went, whatever the order of a map's keys", () => {
    const property = fc.property(value, (plain) => {
      const bytes = encodeCbor(plain)
      expect(parseCbor(bytes, bytes.length)).toEqual(plain)
      expect(encodeCbor(reversed(plain))).toEqual(bytes)
    })
    fc.assert(property, { numRuns: 500 })
  })

  it("sorts keys as RFC 8949 §4.2.1 does: by their encoded bytes", () => {
    expect(Buffer.from(encodeCbor({ b: 1, aa: 2, a: 3 })).toString("hex")).toBe("a361610361620162616102")
  })

  it("takes no byte string but the one that its value encodes to", () => {
    const property = fc.property(fc.uint8Array({ maxLength: 24 }), (bytes) => {
      try {
        expect(encodeCbor(parseCbor(bytes, 100))).toEqual(bytes)
      } catch (error) {
        expect(error).toEqual(refused)
      }
    })
    fc.assert(property, { numRuns: 5000 })
  })

  it.each([
    ["an unsorted map", "a2616201616101"],
    ["a key twice", "a2616101616102"],
    ["a number that is longer than it needs to be", "1800"],
    ["a length that is longer than it needs to be", "780161"],
    ["an indefinite length", "5f4101ff"],
    ["a negative number", "20"],
    ["2^53", "1b0020000000000000"],
    ["a float", "fb3ff8000000000000"],
    ["a whole float", "f93c00"],
    ["null", "f6"],
    ["undefined", "f7"],
    ["a tag", "c11a514b67b0"],
    ["a number as key", "a10102"],
    ["invalid UTF-8", "61ff"],
    ["a lone surrogate", "63eda080"],
    ["bytes behind the end", "0000"],
    ["a cut value", "4201"],
    ["nothing", ""],
  ])("refuses %s", (_, text) => {
    expect(() => parseCbor(hex(text), 100)).toThrow(refused)
  })

  it("reads __proto__ as a key like any other", () => {
    const bytes = hex("a1695f5f70726f746f5f5fa0")
    const read = parseCbor(bytes, 100) as Record<string, unknown>
    expect(Object.keys(read)).toEqual(["__proto__"])
    expect(Object.getPrototypeOf(read)).toBe(Object.prototype)
    expect(encodeCbor(read)).toEqual(bytes)
  })

  it("refuses what is nested more than 16 deep", () => {
    // A number, or nothing, in arrays; the same in maps.
    for (const [open, inner] of [
      ["81", "8100"],
      ["81", "80"],
      ["a16161", "a1616100"],
      ["a16161", "a0"],
    ] as const) {
      const nested = (depth: number) => hex(`${open.repeat(depth - 1)}${inner}`)
      expect(() => parseCbor(nested(16), 100)).not.toThrow()
      expect(() => parseCbor(nested(17), 100)).toThrow(refused)
      expect(() => parseCbor(nested(60_000), 200_000)).toThrow(refused)
    }
  })

  it("measures before it reads", () => {
    expect(() => parseCbor(new Uint8Array(101), 100)).toThrow(expect.objectContaining({ code: "BAD_INPUT_SIZE" }))
  })
})

function reversed(plain: CborValue): CborValue {
  if (plain instanceof Uint8Array || typeof plain !== "object") return plain
  if (Array.isArray(plain)) return plain.map(reversed)
  return Object.fromEntries(
    Object.entries(plain)
      .reverse()
      .map(([key, item]) => [key, reversed(item as CborValue)]),
  )
}
