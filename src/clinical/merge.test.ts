import fc from "fast-check"
import { describe, expect, it } from "vitest"
import type { Change } from "./body.ts"
import type { PatientFields } from "./fields.ts"
import { applyBody, type Chart, emptyChart } from "./fold.ts"
import { changesFor, formOf } from "./form.ts"
import { changesBetween } from "./history.ts"
import { merge, resolve } from "./merge.ts"
import { encodeSummary, parseSummary, type Summary, summaryOf } from "./summary.ts"

const ada: PatientFields = { firstName: "Ada", lastName: "Byron", birthDate: "1961-07-09", diagnosis: "Hypertension" }
const apply = (chart: Chart, changes: readonly Change[]): Chart => applyBody(chart, { by: "", changes })
let next = 0
const uuid = (): string => `00000000-0000-4000-8000-${String(next++).padStart(12, "0")}`
const base = apply(emptyChart(), changesFor(null, ada, uuid))
const edits = (fields: Partial<PatientFields>): readonly Change[] =>
  changesFor(base, { ...formOf(base), ...fields }, uuid)
const [patient, condition] = [...base.resources.keys()] as [string, string]

describe("merging", () => {
  it("takes edits of different resources together", () => {
    const theirs = apply(base, edits({ diagnosis: "Migraine" }))
    const mine = edits({ lastName: "King" })
    const merged = merge(base, mine, theirs)
    expect(merged).toEqual({ changes: mine, conflicts: [] })
    expect(formOf(apply(theirs, merged.changes))).toEqual({ ...ada, lastName: "King", diagnosis: "Migraine" })
  })

  it("finds no conflict where both did the same", () => {
    const mine = edits({ lastName: "King" })
    expect(merge(base, mine, apply(base, edits({ lastName: "King" })))).toEqual({ changes: [], conflicts: [] })
  })

  it("asks field by field where both changed one patient", () => {
    const theirs = apply(base, edits({ lastName: "Lovelace", firstName: "Augusta" }))
    const mine = edits({ lastName: "King", birthDate: "1961-07-10" })
    const { changes, conflicts } = merge(base, mine, theirs)
    expect(changes).toEqual([])
    expect(conflicts).toEqual([
      { key: `${patient}#firstName`, label: "First name", before: "Ada", mine: "Ada", theirs: "Augusta" },
      { key: `${patient}#lastName`, label: "Last name", before: "Byron", mine: "King", theirs: "Lovelace" },
      {
        key: `${patient}#birthDate`,
        label: "Date of birth",
        before: "1961-07-09",
        mine: "1961-07-10",
        theirs: "1961-07-09",
      },
    ])
    const choices = {
      [`${patient}#firstName`]: "theirs",
      [`${patient}#lastName`]: "mine",
      [`${patient}#birthDate`]: "mine",
    } as const
    const resolved = apply(theirs, resolve(base, mine, theirs, choices))
    expect(formOf(resolved)).toEqual({
      firstName: "Augusta",
      lastName: "King",
      birthDate: "1961-07-10",
      diagnosis: "Hypertension",
    })
    expect(() => resolve(base, mine, theirs, {})).toThrow(expect.objectContaining({ code: "CONFLICT_EDIT" }))
  })

  it("asks about one diagnosis that both changed", () => {
    const theirs = apply(base, edits({ diagnosis: "Migraine" }))
    const mine = edits({ diagnosis: "Asthma" })
    const { conflicts } = merge(base, mine, theirs)
    const key = `${condition}#diagnosis`
    expect(conflicts).toEqual([{ key, label: "Diagnosis", before: "Hypertension", mine: "Asthma", theirs: "Migraine" }])
    expect(resolve(base, mine, theirs, { [key]: "theirs" })).toEqual([])
    expect(formOf(apply(theirs, resolve(base, mine, theirs, { [key]: "mine" }))).diagnosis).toBe("Asthma")
  })

  it("asks about a resource that one removed and the other changed", () => {
    const theirs = apply(base, edits({ diagnosis: "" }))
    const mine = edits({ diagnosis: "Asthma" })
    expect(merge(base, mine, theirs).conflicts).toEqual([
      { key: condition, label: "Diagnosis", before: "Hypertension", mine: "Asthma", theirs: "" },
    ])
    expect(formOf(apply(theirs, resolve(base, mine, theirs, { [condition]: "mine" }))).diagnosis).toBe("Asthma")
    const reverse = merge(base, edits({ diagnosis: "" }), apply(base, mine))
    expect(reverse.conflicts).toEqual([
      { key: condition, label: "Diagnosis", before: "Hypertension", mine: "", theirs: "Asthma" },
    ])
  })

  it("asks about details beyond the form, in words", () => {
    const text = base.resources.get(patient)!
    const theirs = apply(base, [[patient, text.replace(/}$/, ',"gender":"female","multipleBirthInteger":2.0}')]])
    const mine: readonly Change[] = [[patient, text.replace(/}$/, ',"gender":"male"}').replace("Byron", "King")]]
    const { conflicts } = merge(base, mine, theirs)
    expect(conflicts.map(({ label, mine, theirs }) => [label, mine, theirs])).toEqual([
      ["Last name", "King", "Byron"],
      ["Other details of the patient", "Sex: Male", "Sex: Female"],
    ])
    const choices = { [`${patient}#lastName`]: "mine", [`${patient}#other`]: "theirs" } as const
    const [[, resolved]] = resolve(base, mine, theirs, choices) as [Change]
    expect(resolved).toBe(theirs.resources.get(patient)!.replace("Byron", "King"))
  })

  it("loses no edit, whatever both sides did", () => {
    const value = fc.option(fc.constantFrom("1", "2", "3"), { nil: null })
    const side = fc.uniqueArray(fc.tuple(fc.constantFrom("Goal/a", "Goal/b", "Goal/c"), value), {
      selector: ([k]) => k,
    })
    const toChanges = (list: readonly (readonly [string, string | null])[]): readonly Change[] =>
      list.map(([key, v]) => (v === null ? [key] : [key, `{"resourceType":"Goal","v":${v}}`]))
    fc.assert(
      fc.property(side, side, side, fc.constantFrom("mine", "theirs"), (start, my, their, choice) => {
        const before = apply(emptyChart(), toChanges(start))
        const mine = toChanges(my)
        const theirs = apply(before, toChanges(their))
        const { changes, conflicts } = merge(before, mine, theirs)
        const choices = Object.fromEntries(conflicts.map(({ key }) => [key, choice]))
        const result = apply(theirs, resolve(before, mine, theirs, choices))
        for (const [key, text] of mine) {
          const [old, now] = [before.resources.get(key), theirs.resources.get(key)]
          const asked = conflicts.some((conflict) => conflict.key === key)
          expect(asked).toBe(text !== old && now !== old && text !== now)
          expect(result.resources.get(key)).toBe(asked ? (choice === "mine" ? text : now) : text === old ? now : text)
        }
        expect(conflicts.length > 0 || resolve(before, mine, theirs, {}).length === changes.length).toBe(true)
      }),
    )
  })
})

describe("history in words", () => {
  const between = (before: Chart, changes: readonly Change[]) =>
    changesBetween(
      before.resources,
      apply(before, changes).resources,
      changes.map(([key]) => key),
    )

  it("tells a new record", () => {
    expect(between(emptyChart(), [...base.resources])).toEqual({
      changes: [
        { label: "First name", before: "", after: "Ada" },
        { label: "Last name", before: "", after: "Byron" },
        { label: "Date of birth", before: "", after: "1961-07-09" },
        { label: "Diagnosis", before: "", after: "Hypertension" },
      ],
      resources: { added: 0, changed: 0, removed: 0 },
    })
  })

  it("tells an edit, old and new, and counts the rest", () => {
    const goal = apply(base, [
      ["Goal/1", '{"resourceType":"Goal"}'],
      ["Goal/2", '{"resourceType":"Goal"}'],
    ])
    const changes: readonly Change[] = [
      ...edits({ firstName: "Augusta", diagnosis: "Migraine" }),
      ["Goal/1"],
      ["Goal/2", '{"a":1}'],
      ["Goal/3", "{}"],
    ]
    expect(between(goal, changes)).toEqual({
      changes: [
        { label: "First name", before: "Ada", after: "Augusta" },
        { label: "Diagnosis", before: "Hypertension", after: "Migraine" },
      ],
      resources: { added: 1, changed: 1, removed: 1 },
    })
    expect(between(base, edits({ diagnosis: "" })).changes).toEqual([
      { label: "Diagnosis", before: "Hypertension", after: "" },
    ])
  })

  it("tells other details of patient and diagnosis", () => {
    const gender: Change = [patient, base.resources.get(patient)!.replace(/}$/, ',"gender":"female"}')]
    expect(between(base, [gender]).changes).toEqual([{ label: "Sex", before: "", after: "Female" }])
    const hidden: Change = [patient, base.resources.get(patient)!.replace(/}$/, ',"multipleBirthBoolean":true}')]
    expect(between(base, [hidden]).changes).toEqual([
      { label: "Other details of the patient", before: "", after: "changed" },
    ])
    const resolved: Change = [condition, base.resources.get(condition)!.replace('"code":"active"', '"code":"resolved"')]
    expect(between(base, [resolved]).changes).toEqual([
      { label: "Hypertension: status", before: "active", after: "resolved" },
    ])
  })

  it("takes no longer over a patient than its text is long", () => {
    const many = (count: number, x: string) => {
      const list = <T>(make: (i: number) => T) => Array.from({ length: count }, (_, i) => make(i))
      return JSON.stringify({
        resourceType: "Patient",
        x,
        identifier: list((i) => ({ type: { text: `l${i}` }, value: "1" })),
        name: list((i) => ({ family: "a", use: `u${i}` })),
        telecom: list((i) => ({ value: "a", use: `t${i}` })),
        address: list((i) => ({ text: "a", use: `a${i}` })),
        contact: list((i) => ({ relationship: [{ text: `r${i}` }], name: { family: x } })),
      })
    }
    const run = (count: number) => {
      const [before, after] = [many(count, "1"), many(count, "2")].map((text) => new Map([["Patient/p", text]]))
      const start = performance.now()
      const { changes } = changesBetween(before!, after!, ["Patient/p"])
      expect(changes).toHaveLength(100)
      return performance.now() - start
    }
    // The shortest of a few: what else the machine does makes none of them shorter.
    const shortest = (count: number) => Math.min(...Array.from({ length: 5 }, () => run(count)))
    run(200)
    const small = shortest(400)
    expect(shortest(1600)).toBeLessThan(small * 8)
  })

  it("passes over what only looks changed", () => {
    const spaced: Change = [patient, base.resources.get(patient)!.replace("{", "{ ")]
    expect(between(base, [spaced])).toEqual({ changes: [], resources: { added: 0, changed: 0, removed: 0 } })
  })
})

describe("a summary", () => {
  it("says what the home page shows", () => {
    const summary = {
      firstName: "Ada",
      lastName: "Byron",
      birthDate: "1961-07-09",
      diagnoses: ["Hypertension"],
      patient,
      archived: false,
    }
    expect(summaryOf(base)).toEqual(summary)
    expect(summaryOf(emptyChart())).toEqual({
      firstName: "",
      lastName: "",
      birthDate: "",
      diagnoses: [],
      patient: "",
      archived: false,
    })
  })

  it("comes back from its bytes, and only from them", () => {
    const text = fc.string({ unit: "grapheme" })
    const any: fc.Arbitrary<Summary> = fc.record({
      firstName: text,
      lastName: text,
      birthDate: text,
      diagnoses: fc.array(text),
      patient: text,
      archived: fc.boolean(),
    })
    fc.assert(
      fc.property(any, (summary) => {
        expect(parseSummary(encodeSummary(summary))).toEqual(summary)
      }),
    )
    const bytes = (text: string) => new TextEncoder().encode(text)
    const good = '[1,"a","b","c",["d"],"e",0]'
    expect(parseSummary(bytes(good)).diagnoses).toEqual(["d"])
    for (const bad of [
      "",
      "{}",
      ` ${good}`,
      good.replace("[1", "[2"),
      good.replace(",0]", ",2]"),
      good.replace('"d"', "1"),
      good.replace('"b"', "null"),
      good.replace(",0]", "]"),
    ])
      expect(() => parseSummary(bytes(bad))).toThrow(expect.objectContaining({ code: "BAD_INPUT_FORMAT" }))
  })

  it("is read no longer than it is made, whatever a colleague wrote", () => {
    const long = "x".repeat(100_000)
    const written = { ...summaryOf(base), firstName: long, lastName: long, birthDate: long, patient: long }
    const { firstName, lastName, birthDate, patient } = parseSummary(encodeSummary({ ...written, diagnoses: [long] }))
    expect([firstName, lastName, birthDate, patient].map((text) => text.length)).toEqual([200, 200, 200, 1000])
    const many = Array.from({ length: 500 }, (_, i) => `${i}`.padEnd(1000, "y"))
    expect(parseSummary(encodeSummary({ ...written, diagnoses: many })).diagnoses).toEqual(many.slice(0, 10))
    const short = Array.from({ length: 10_000 }, (_, i) => `${i}`)
    expect(parseSummary(encodeSummary({ ...written, diagnoses: short })).diagnoses).toEqual(short.slice(0, 500))
  })
})
