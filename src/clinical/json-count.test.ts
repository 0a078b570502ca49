import fc from "fast-check"
import { describe, expect, it } from "vitest"
import { utf8 } from "../encoding/bytes.ts"
import { countJson } from "./json-count.ts"
import { scanJson } from "./json-spans.ts"

const tooMany = expect.objectContaining({ code: "BAD_INPUT_SIZE" })
const malformed = expect.objectContaining({ code: "BAD_INPUT_FORMAT" })
const count = (text: string, most?: number, depth?: number) => {
  const bytes = utf8(`##${text}#`)
  return countJson(bytes, 2, bytes.length - 1, most, depth)
}

/** As the format's page says it: every value, containers too, and no name. */
function naive(value: unknown): number {
  if (typeof value !== "object" || value === null) return 1
  return Object.values(value).reduce((sum: number, item) => sum + naive(item), 1)
}

/** Spaces and escapes wherever they may stand. */
const spelt = fc.tuple(fc.json({ maxDepth: 5 }), fc.array(fc.nat(3), { minLength: 1 })).map(([text, ways]) => {
  let at = 0
  return text.replace(/"(?:[^"\\]|\\.)*"|[^"]/g, (part) => {
    const way = ways[at++ % ways.length]!
    if (part.startsWith('"') && way === 1)
      return JSON.stringify(JSON.parse(part)).replace(
        /[a-z](?=[^\\]*"$)/,
        (c) => `\\u00${c.charCodeAt(0).toString(16)}`,
      )
    return way === 2 && /[[\]{},:]/.test(part) ? ` ${part}\n` : part
  })
})

describe("counting JSON", () => {
  it("comes to what is built of it, and takes no node more", () => {
    const property = fc.property(spelt, (text) => {
      const nodes = naive(JSON.parse(text))
      expect(count(text, nodes).nodes).toBe(nodes)
      expect(() => count(text, nodes - 1)).toThrow(tooMany)
    })
    fc.assert(property, { numRuns: 2000 })
  })

  it("takes and refuses what the scanner does that keeps places", () => {
    const damaged = fc
      .tuple(
        spelt,
        fc.nat(),
        fc.constantFrom("", '"', "\\", "{", "}", "[", "]", ",", ":", "0", "-", "e", "é", "\u0001", "😀"),
        fc.nat(2),
      )
      .map(([text, at, put, cut]) => {
        const place = at % (text.length + 1)
        return (text.slice(0, place) + put + text.slice(place + cut)).toWellFormed()
      })
    const property = fc.property(damaged, (text) => {
      let good = true
      try {
        scanJson(text)
      } catch {
        good = false
      }
      if (good) expect(count(text).nodes).toBe(naive(JSON.parse(text.replace(/^\ufeff/, ""))))
      else expect(() => count(text)).toThrow(malformed)
    })
    fc.assert(property, { numRuns: 5000 })
  })

  it("finds a name twice in one object, however it is written, and among many", () => {
    for (const text of [
      '{"a":1,"a":2}',
      '{"a":1,"\\u0061":2}',
      '{"\\ud83d\\ude00":1,"😀":2}',
      '{"\\ud800":1,"\\ud800":2}',
      '{"b":{"a":[{"x":1}],"a":2}}',
      '{"/":1,"\\/":2}',
      '{"é":1,"\\u00e9":2}',
    ])
      expect(() => count(text)).toThrow(malformed)
    expect(count('{"a":{"a":{"a":1}},"\\ud800":1,"\\ud801":2,"\ufffd":3,"b":{"a":1}}').nodes).toBe(9)
    const names = Array.from({ length: 200_000 }, (_, i) => `"${i}":{"a":0}`)
    expect(count(`{${names.join(",")}}`).nodes).toBe(400_001)
    expect(() => count(`{${names.join(",")},"7":0}`)).toThrow(malformed)
    // What failed leaves nothing behind.
    expect(count(`{${names.join(",")}}`).nodes).toBe(400_001)
  })

  it("finds it in any set of names", () => {
    const names = fc.array(fc.string({ unit: fc.constantFrom("a", "b", "é", "\\u0061", "\\n"), maxLength: 3 }), {
      maxLength: 40,
    })
    const property = fc.property(names, (list) => {
      const plain = list.map((name) => JSON.parse(`"${name}"`) as string)
      const text = `{${list.map((name) => `"${name}":0`).join(",")}}`
      if (new Set(plain).size === plain.length) expect(count(text).nodes).toBe(list.length + 1)
      else expect(() => count(text)).toThrow(malformed)
    })
    fc.assert(property, { numRuns: 3000 })
  })

  it("goes 64 deep, and stops at 500,000 nodes", () => {
    const nested = (depth: number) => "[".repeat(depth) + "]".repeat(depth)
    expect(count(nested(64)).nodes).toBe(64)
    expect(() => count(nested(65))).toThrow(malformed)
    expect(() => count(nested(5_000_000))).toThrow(malformed)
    expect(count(nested(67), 100, 67).nodes).toBe(67)
    const many = (nodes: number) => `[${"0,".repeat(nodes - 2)}0]`
    expect(count(many(500_000)).nodes).toBe(500_000)
    expect(() => count(many(500_001))).toThrow(tooMany)
  })

  it("tells the type, and no other member's", () => {
    expect(count('\ufeff {"a":{"resourceType":"No"},"resourceType" : "Yes","b":1}').type).toBe("Yes")
    expect(count('{"\\u0072esourceType":"Y\\u0065s"}').type).toBe("Yes")
    expect(count('{"resourceType":["No"]}').type).toBeNull()
    expect(count('[{"resourceType":"No"}]').type).toBeNull()
    expect(count('"resourceType"').type).toBeNull()
  })

  it("refuses what is no UTF-8", () => {
    for (const hex of ["c0af", "eda080", "f4908080", "ff", "e282", "c3"]) {
      const bytes = new Uint8Array(Buffer.concat([Buffer.from('"'), Buffer.from(hex, "hex"), Buffer.from('"')]))
      expect(() => countJson(bytes, 0, bytes.length, 10)).toThrow(malformed)
    }
  })
})
