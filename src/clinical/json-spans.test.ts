import fc from "fast-check"
import { describe, expect, it } from "vitest"
import { AppError } from "../errors.ts"
import { canonicalJson, rawAt, removeAt, sameJson, setAt } from "./json-edit.ts"
import { readJson } from "./json-read.ts"
import { memberOf, placeOf, scanJson } from "./json-spans.ts"

function accepts(read: () => unknown): boolean {
  try {
    read()
    return true
  } catch (error) {
    if (error instanceof SyntaxError) return false
    if (error instanceof AppError && error.code === "BAD_INPUT_BUNDLE") return false
    throw error
  }
}

function message(read: () => unknown): string {
  try {
    read()
  } catch (error) {
    if (error instanceof AppError) return `${error.code} ${error.message}`
    throw error
  }
  return "accepted"
}

describe("the JSON scanner", () => {
  const texts = [
    "",
    " ",
    "0",
    "-0",
    "00",
    "01",
    "-",
    "1.",
    ".5",
    "+1",
    "1e5",
    "1E+05",
    "1e",
    "1.50",
    "NaN",
    "true",
    "tru",
    "nullx",
    '""',
    '"a',
    '"\\u00e9"',
    '"\\u00g9"',
    '"\\x"',
    '"\t"',
    '"\\ud800"',
    '"\u2028"',
    "[]",
    "[1,]",
    "[,1]",
    "[1 2]",
    "{}",
    '{"a":1,}',
    '{"a" 1}',
    "{a:1}",
    "{'a':1}",
    '{"a":1 "b":2}',
    "[1]]",
    "/**/1",
    "\u00a01",
    "\f1",
    '\r\n\t {"a" : [ ] }\n',
  ]
  it.each(texts)("takes what JSON.parse takes: %j", (text) => {
    expect(accepts(() => scanJson(text))).toBe(accepts(() => JSON.parse(text)))
  })

  it("agrees with JSON.parse on generated and damaged texts", () => {
    const damaged = fc
      .tuple(
        fc.json(),
        fc.nat(),
        fc.constantFrom("", '"', "\\", ",", "{", "}", "]", "0", ".", "e", "\n", "\u0001", "é"),
      )
      .map(
        ([text, at, mark]) => text.slice(0, at % (text.length + 1)) + mark + text.slice((at % (text.length + 1)) + 1),
      )
    fc.assert(
      fc.property(fc.oneof(fc.json(), damaged), (text) => {
        const ours = message(() => scanJson(text, 1000))
        if (ours.includes("appears twice")) return
        expect(ours === "accepted").toBe(accepts(() => JSON.parse(text)))
      }),
      { numRuns: 3000 },
    )
  })

  it("spans the exact text of each part", () => {
    fc.assert(
      fc.property(fc.jsonValue({ maxDepth: 4 }), fc.constantFrom(0, 1, 4), (value, indent) => {
        const text = JSON.stringify(value, null, indent)
        const root = scanJson(text)
        expect(text.slice(root.start, root.end)).toBe(text)
        for (const member of root.members) {
          const part = (value as Record<string, unknown>)[member.name]
          expect(JSON.parse(text.slice(member.value.start, member.value.end))).toEqual(JSON.parse(JSON.stringify(part)))
        }
      }),
    )
  })

  it("passes over a byte order mark, and only at the beginning", () => {
    expect(scanJson('\ufeff{"a":1}').start).toBe(1)
    expect(accepts(() => scanJson('{"a":\ufeff1}'))).toBe(false)
  })

  it("refuses the same name twice, however it is spelt", () => {
    expect(message(() => scanJson('{"a":1,\n "\\u0061":2}'))).toContain("line 2, column 2: a name appears twice")
    const many = `{${Array.from({ length: 100 }, (_, i) => `"k${i}":0`).join(",")},"k50":1}`
    expect(message(() => scanJson(many))).toContain("twice")
    expect(memberOf(scanJson('{"__proto__":1,"a":2}'), "__proto__")?.kind).toBe("number")
  })

  it("bounds the depth", () => {
    const nested = (levels: number): string => "[".repeat(levels) + "]".repeat(levels)
    expect(accepts(() => scanJson(nested(64)))).toBe(true)
    expect(message(() => scanJson(nested(65)))).toContain("column 65: objects and lists are nested deeper than 64")
    expect(accepts(() => scanJson(nested(1_000_000)))).toBe(false)
  })

  it("names the place and quotes nothing", () => {
    expect(message(() => scanJson('{\n  "family": "Byron",\n  "given" "Ada"\n}'))).toBe(
      "BAD_INPUT_BUNDLE line 3, column 11: a colon is missing. Export the file again where it came from.",
    )
    expect(message(() => scanJson('{"family": "Byr'))).toContain("line 1, column 16: the text ends in the middle")
    expect(placeOf("a\nbc\n", 3)).toBe("line 2, column 2")
  })

  it("reads megabytes without looking at anything twice", () => {
    const item = { resourceType: "Observation", id: "x", value: [1.5, "text \\ with escapes", null, { a: true }] }
    const text = JSON.stringify(
      Array.from({ length: 48_000 }, () => item),
      null,
      2,
    )
    const start = performance.now()
    scanJson(text)
    // A moment; what grew with the square of its length would take minutes and more.
    expect(performance.now() - start).toBeLessThan(20_000)
  })
})

describe("editing JSON text", () => {
  const text = '{\n  "a": 1.00,\n  "list": [ {"b" : 2.50} ],\n  "z":{ }\n}'

  it("changes one value and no other character", () => {
    expect(setAt(text, ["list", 0, "b"], "3")).toBe(text.replace("2.50", "3"))
    expect(setAt(text, ["a"], '"x"')).toBe(text.replace("1.00", '"x"'))
  })

  it("adds in the manner of the text", () => {
    expect(setAt(text, ["new"], "true")).toBe(text.replace('"z":{ }', '"z":{ },\n  "new":true'))
    expect(setAt(text, ["z", "deep", 0, "x"], "1")).toBe(text.replace("{ }", '{"deep":[{"x":1}] }'))
    expect(setAt(text, ["list", 1], "9")).toBe(text.replace('{"b" : 2.50}', '{"b" : 2.50}, 9'))
    expect(setAt('{"a":null}', ["a", "b"], "1")).toBe('{"a":{"b":1}}')
    expect(setAt('{"a":[]}', ["a", 0], "1")).toBe('{"a":[1]}')
  })

  it("takes out a member with its comma", () => {
    expect(JSON.parse(removeAt(text, ["a"]))).toEqual({ list: [{ b: 2.5 }], z: {} })
    expect(removeAt(text, ["z"])).toBe('{\n  "a": 1.00,\n  "list": [ {"b" : 2.50} ]\n}')
    expect(removeAt(text, ["list", 0])).toContain('"list": [  ]')
    expect(removeAt(text, ["list", 0, "none", "b"])).toBe(text)
    expect(removeAt(text, ["q"])).toBe(text)
  })

  it("keeps everything else of any object", () => {
    const objects = fc.dictionary(fc.string(), fc.jsonValue({ maxDepth: 3 }), { minKeys: 1 })
    fc.assert(
      fc.property(objects, fc.string(), fc.jsonValue(), fc.constantFrom(0, 2), (object, name, value, indent) => {
        const before = JSON.stringify(object, null, indent)
        const json = JSON.stringify(value)
        const after = setAt(before, [name], json)
        expect(rawAt(after, [name])).toBe(json)
        for (const other of Object.keys(object))
          if (other !== name) expect(rawAt(after, [other])).toBe(rawAt(before, [other]))
        expect(sameJson(removeAt(after, [name]), removeAt(before, [name]))).toBe(true)
      }),
    )
  })

  it("compares meaning, and the digits of decimals", () => {
    expect(sameJson('{"a":1.0,"b":"\\u0041"}', '{ "b":"A", "a":1.0 }')).toBe(true)
    expect(sameJson('{"a":1.0}', '{"a":1.00}')).toBe(false)
    expect(sameJson("[1,2]", "[2,1]")).toBe(false)
    fc.assert(
      fc.property(fc.jsonValue(), (value) => {
        expect(JSON.parse(canonicalJson(JSON.stringify(value, null, 1)))).toEqual(JSON.parse(JSON.stringify(value)))
      }),
    )
  })

  it("reads numbers as their digits", () => {
    expect(readJson('{"v":7.00,"t":true,"n":null,"l":["x"]}')).toEqual({ v: "7.00", t: true, n: null, l: ["x"] })
  })
})
