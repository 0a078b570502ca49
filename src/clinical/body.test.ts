import fc from "fast-check"
import { describe, expect, it } from "vitest"
import { encodeCbor } from "../encoding/cbor.ts"
import { type Body, encodeBody, parseBody } from "./body.ts"
import { applyBody, emptyChart, foldBodies } from "./fold.ts"

const patient = '{"resourceType":"Patient","id":"1","multipleBirthInteger":1.0}'

describe("a body", () => {
  it("comes back as it was, texts to the letter", () => {
    const body: Body = {
      by: "Ada Byron",
      changes: [["Patient/1", ` ${patient}\n`], ["Condition/2"]],
      archived: true,
      note: "é",
    }
    expect(parseBody(encodeBody(body))).toEqual(body)
    expect(parseBody(encodeBody({ by: "", changes: [] }))).toEqual({ by: "", changes: [] })
  })

  const bad: readonly (readonly [string, unknown])[] = [
    ["no map", []],
    ["no author", { changes: [] }],
    ["an unknown field", { by: "", changes: [], more: 1 }],
    ["a bad key", { by: "", changes: [["Patient/a b"]] }],
    ["a key without type", { by: "", changes: [["1"]] }],
    ["a long id", { by: "", changes: [[`Patient/${"a".repeat(65)}`]] }],
    ["a key twice", { by: "", changes: [["Patient/1", patient], ["Patient/1"]] }],
    ["text that is not JSON", { by: "", changes: [["Patient/1", "{"]] }],
    ["text of another type", { by: "", changes: [["Condition/1", patient]] }],
    ["text that is no object", { by: "", changes: [["Patient/1", '"Patient"']] }],
    ["three parts", { by: "", changes: [["Patient/1", patient, patient]] }],
    ["no parts", { by: "", changes: [[]] }],
    ["archived as a number", { by: "", changes: [], archived: 1 }],
    [
      "text too deep",
      { by: "", changes: [["Patient/1", `{"resourceType":"Patient","a":${"[".repeat(64)}${"]".repeat(64)}}`]] },
    ],
  ]
  it.each(bad)("is refused with %s", (_, value) => {
    expect(() => parseBody(encodeCbor(value))).toThrow(expect.objectContaining({ code: "BAD_INPUT_FORMAT" }))
    expect(() => encodeBody(value as Body)).toThrow()
  })

  it("is refused with half a character", () => {
    const text = '{"resourceType":"Patient","a":"\ud800"}'
    expect(() => encodeBody({ by: "", changes: [["Patient/1", text]] })).toThrow()
    expect(() => encodeBody({ by: "\udc00", changes: [] })).toThrow()
  })

  it("never fails in another way, whatever the bytes", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
        expect(() => parseBody(bytes)).toThrow(expect.objectContaining({ code: "BAD_INPUT_FORMAT" }))
      }),
    )
  })
})

describe("folding", () => {
  it("keeps the order in which resources came, and takes away what has no text", () => {
    const chart = foldBodies([
      {
        by: "a",
        changes: [
          ["Patient/1", patient],
          ["Organization/o", "1"],
          ["Condition/c", "2"],
        ],
        archived: true,
      },
      { by: "b", changes: [["Organization/o", "3"], ["Condition/c"]] },
    ])
    expect([...chart.resources]).toEqual([
      ["Patient/1", patient],
      ["Organization/o", "3"],
    ])
    expect(chart.archived).toBe(true)
    expect(applyBody(chart, { by: "c", changes: [], archived: false }).archived).toBe(false)
  })

  it("gives the same state step by step and at once, and leaves earlier charts alone", () => {
    const change = fc.tuple(
      fc.constantFrom("Patient/1", "Goal/2", "Goal/3"),
      fc.option(fc.string(), { nil: undefined }),
    )
    const bodies = fc.array(
      fc.record({
        by: fc.string(),
        changes: fc.array(change.map(([k, t]) => (t === undefined ? ([k] as const) : ([k, t] as const)))),
      }),
    )
    fc.assert(
      fc.property(bodies, (list) => {
        const charts = [emptyChart()]
        for (const body of list) charts.push(applyBody(charts.at(-1)!, body))
        expect([...charts.at(-1)!.resources]).toEqual([...foldBodies(list).resources])
        expect(charts[0]!.resources.size).toBe(0)
      }),
    )
  })

  it("is quick with 5,000 resources", () => {
    const changes = Array.from({ length: 5000 }, (_, i) => [`Goal/${i}`, '{"resourceType":"Goal"}'] as const)
    let chart = foldBodies([{ by: "", changes }])
    const start = performance.now()
    for (let i = 0; i < 100; i++) chart = applyBody(chart, { by: "", changes: [["Goal/1", String(i)]] })
    expect(performance.now() - start).toBeLessThan(2000)
  })
})
