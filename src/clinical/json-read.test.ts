import fc from "fast-check"
import { expect, it } from "vitest"
import { valueAt } from "./fhir.ts"
import { readJson } from "./json-read.ts"
import { scanJson } from "./json-spans.ts"

/** The same, by way of every node's place. */
const reference = (text: string) => valueAt(text, scanJson(text))

it("reads what JSON text says, numbers as their digits", () => {
  const property = fc.property(
    fc.json({ noUnicodeString: false, maxDepth: 6 } as object),
    fc.nat(2),
    (json, indent) => {
      const text = JSON.stringify(JSON.parse(json), null, indent)
      expect(readJson(text)).toEqual(reference(text))
    },
  )
  fc.assert(property, { numRuns: 500 })
  for (const text of [
    '\ufeff {"a" : [ ] , "b":{ }, "c" : -0.50e+10, "d":1E5}\n',
    String.raw`{"a\"b\\":"c\\","\u0061":"\ud83d\ude00\\\"","x":"no"}`,
    '{"__proto__":{"x":1},"constructor":[true,false,null]}',
    "[]",
    '"\\\\"',
    "7.00",
  ])
    expect(readJson(text)).toEqual(reference(text))
  expect(Object.keys(readJson('{"__proto__":1}') as object)).toEqual(["__proto__"])
})

it("ends with an error where the text is none", () => {
  const whole = '{"a":[1,{"b":"c\\n"}],"d":null}'
  for (let end = 0; end < whole.length; end++)
    expect(() => readJson(whole.slice(0, end)), whole.slice(0, end)).toThrow(
      expect.objectContaining({ code: "BAD_INPUT_BUNDLE" }),
    )
})

it("passes over what no view shows, and finds what stands behind it", () => {
  const lists = `[${"[0],".repeat(100_000)}[0]]`
  const names = `{${Array.from({ length: 100_000 }, (_, i) => `"${i}":"]}\\""`).join()}}`
  const many = `[${`[${"0,".repeat(1999)}0],`.repeat(1999)}[]]`
  const read = readJson(`{"lists":${lists},"names":${names},"many":${many},"code":{"text":"Gout"}}`)
  const { lists: few, names: some, many: of, code } = read as Record<string, unknown[]>
  expect(few).toHaveLength(2000)
  expect(Object.keys(some!)).toHaveLength(2000)
  expect(of!.flat().length).toBeLessThan(51_000)
  expect(code).toEqual({ text: "Gout" })
})
