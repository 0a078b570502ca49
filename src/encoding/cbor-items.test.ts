import fc from "fast-check"
import { describe, expect, it } from "vitest"
import { encodeCbor, parseCbor } from "./cbor.ts"
import { countCbor } from "./cbor-items.ts"
import { limits } from "./limits.ts"

const tooMany = expect.objectContaining({ code: "BAD_INPUT_SIZE" })
const malformed = expect.objectContaining({ code: "BAD_INPUT_FORMAT" })

const { value } = fc.letrec((tie) => ({
  value: fc.oneof(
    { maxDepth: 4 },
    fc.string(),
    fc.boolean(),
    fc.maxSafeNat(),
    fc.uint8Array({ maxLength: 300 }),
    fc.array(tie("value"), { maxLength: 30 }),
    fc.dictionary(fc.string(), tie("value"), { maxKeys: 5 }),
  ),
}))

/** As the format's page says it: every value, every name, every container. */
function naive(plain: unknown): number {
  if (plain instanceof Uint8Array || typeof plain !== "object" || plain === null) return 1
  if (Array.isArray(plain)) return plain.reduce((sum: number, item) => sum + naive(item), 1)
  return Object.values(plain).reduce((sum: number, item) => sum + 1 + naive(item), 1)
}

describe("counting CBOR", () => {
  it("comes to what is built of it, and takes no item more", () => {
    const property = fc.property(value, (plain) => {
      const bytes = encodeCbor(plain)
      const count = naive(plain)
      expect(countCbor(bytes, count)).toBe(count)
      expect(() => countCbor(bytes, count - 1)).toThrow(tooMany)
    })
    fc.assert(property, { numRuns: 1000 })
  })

  it("refuses what is cut, anywhere", () => {
    const property = fc.property(value, fc.double({ min: 0, max: 0.999, noNaN: true }), (plain, part) => {
      const bytes = encodeCbor(plain)
      expect(() => countCbor(bytes.subarray(0, Math.floor(bytes.length * part)))).toThrow(malformed)
    })
    fc.assert(property)
  })

  it("stops at a million items, of which nothing is built", () => {
    const list = (length: number) => {
      const bytes = new Uint8Array(5 + length).fill(0x80)
      bytes[0] = 0x9a
      new DataView(bytes.buffer).setUint32(1, length)
      return bytes
    }
    expect(limits.cborItems).toBe(1_000_000)
    expect(parseCbor(list(999_999), 2_000_000)).toHaveLength(999_999)
    expect(() => parseCbor(list(1_000_000), 2_000_000)).toThrow(tooMany)
    expect(() => parseCbor(list(60_000_000), 64 * 2 ** 20)).toThrow(tooMany)
  })

  it("believes no length", () => {
    for (const hex of ["9bffffffffffffffff", "9b001fffffffffffff00", "bb001fffffffffffff00", "7b001fffffffffffff61"])
      expect(() => countCbor(new Uint8Array(Buffer.from(hex, "hex")))).toThrow(malformed)
  })
})
