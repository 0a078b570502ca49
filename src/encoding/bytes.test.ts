import fc from "fast-check"
import { describe, expect, it } from "vitest"
import { compare, concat, equal, parseUtf8, u32be, u64be, utf8 } from "./bytes.ts"

const bytes = fc.uint8Array({ maxLength: 40 })

describe("byte strings", () => {
  it("are joined, compared and ordered as Node's Buffer does", () => {
    const property = fc.property(bytes, bytes, (a, b) => {
      expect(Buffer.from(concat(a, b))).toEqual(Buffer.concat([a, b]))
      expect(equal(a, b)).toBe(Buffer.compare(a, b) === 0)
      expect(Math.sign(compare(a, b))).toBe(Buffer.compare(a, b))
    })
    fc.assert(property)
  })

  it("are equal to a copy, and to nothing longer or shorter", () => {
    const some = Uint8Array.of(1, 2, 3)
    expect(equal(some, some.slice())).toBe(true)
    expect(equal(some, some.subarray(0, 2))).toBe(false)
    expect(compare(some.subarray(0, 2), some)).toBeLessThan(0)
    expect(concat()).toEqual(new Uint8Array(0))
  })
})

describe("numbers", () => {
  it("are written big-endian, as Node's Buffer writes them", () => {
    const property = fc.property(fc.maxSafeNat(), (value) => {
      const expected = Buffer.alloc(8)
      expected.writeBigUInt64BE(BigInt(value))
      expect(Buffer.from(u64be(value))).toEqual(expected)
      const short = Buffer.alloc(4)
      short.writeUInt32BE(value % 2 ** 32)
      expect(Buffer.from(u32be(value % 2 ** 32))).toEqual(short)
    })
    fc.assert(property)
    expect(Buffer.from(u64be(Number.MAX_SAFE_INTEGER)).toString("hex")).toBe("001fffffffffffff")
  })

  it.each([-1, 0.5, 2 ** 53, Number.NaN])("are whole and in range: not %d", (value) => {
    expect(() => u64be(value)).toThrow(RangeError)
  })
})

describe("text", () => {
  it("comes back from its UTF-8, a byte order mark too", () => {
    const property = fc.property(fc.string({ unit: "grapheme" }), (text) => {
      expect(parseUtf8(utf8(text))).toBe(text)
    })
    fc.assert(property)
    expect(parseUtf8(utf8("\ufeffName"))).toBe("\ufeffName")
  })

  it("is not read from bytes that are no UTF-8", () => {
    for (const wrong of [[0xff], [0xc3], [0xed, 0xa0, 0x80], [0xc0, 0x80]])
      expect(() => parseUtf8(Uint8Array.from(wrong))).toThrow(TypeError)
  })
})
