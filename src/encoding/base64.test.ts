import fc from "fast-check"
import { describe, expect, it } from "vitest"
import {
  encodeBase64,
  encodeBase64url,
  encodePaddedBase64url,
  parseBase64,
  parseBase64url,
  parsePaddedBase64url,
} from "./base64.ts"

describe("base64", () => {
  it("is what Node's Buffer writes, and reads back", () => {
    const property = fc.property(fc.uint8Array({ maxLength: 100 }), (bytes) => {
      const buffer = Buffer.from(bytes)
      expect(encodeBase64(bytes)).toBe(buffer.toString("base64"))
      expect(encodeBase64url(bytes)).toBe(buffer.toString("base64url"))
      expect(parseBase64(encodeBase64(bytes))).toEqual(bytes)
      expect(parseBase64url(encodeBase64url(bytes))).toEqual(bytes)
      expect(parsePaddedBase64url(encodePaddedBase64url(bytes))).toEqual(bytes)
    })
    fc.assert(property)
  })

  it("holds RFC 4648 §10", () => {
    const text = (value: string) => new TextEncoder().encode(value)
    expect(encodeBase64(text("foob"))).toBe("Zm9vYg==")
    expect(encodeBase64url(text("foob"))).toBe("Zm9vYg")
    expect(encodePaddedBase64url(Uint8Array.of(0xfb, 0xff))).toBe("-_8=")
    expect(encodeBase64(Uint8Array.of(0xfb, 0xff))).toBe("+/8=")
    expect(parseBase64url("")).toEqual(new Uint8Array(0))
  })

  it("writes and reads many bytes at once", () => {
    const bytes = new Uint8Array(200_000).map((_, i) => (i * 7) % 256)
    expect(parseBase64url(encodeBase64url(bytes))).toEqual(bytes)
  })

  const refused: readonly [name: string, parse: (text: string) => Uint8Array, texts: readonly string[]][] = [
    ["unpadded base64url", parseBase64url, ["A", "AA==", "AB", "AAB", "+/8", "A A", "AA\n", "é", "AAAAA"]],
    ["padded base64url", parsePaddedBase64url, ["A", "AA", "AB==", "+/8=", "A===", "AA=A", "AA==AAAA", "AA =", "===="]],
    ["base64", parseBase64, ["-_8=", "AA", "AAB=", " AA==", "AA==\n", "\u0100AAA"]],
  ]
  it.each(refused)("reads one spelling alone: %s", (_, parse, texts) => {
    for (const text of texts)
      expect(() => parse(text), text).toThrow(expect.objectContaining({ code: "BAD_INPUT_FORMAT" }))
  })
})
