import { existsSync, readdirSync, readFileSync } from "node:fs"
import { join } from "node:path"
import { describe, expect, it } from "vitest"
import { AppError } from "../errors.ts"
import { encodeBody, parseBody } from "./body.ts"
import { differenceTo } from "./difference.ts"
import { exportBundle } from "./export.ts"
import { applyBody, emptyChart, foldBodies } from "./fold.ts"
import { changesFor, formOf } from "./form.ts"
import { type ImportedBundle, readBundle, textOfFile } from "./import.ts"
import { scanJson } from "./json-spans.ts"
import { summaryOf } from "./summary.ts"
import { viewOf } from "./view.ts"

const folder = join(process.env.HEALTHCRYPT_SHARED ?? "../shared", "data/synthea")
const files = existsSync(folder) ? readdirSync(folder).filter((name) => name.endsWith(".json")) : []
const patients = files.filter((name) => !name.includes("Information"))
const textOf = (name: string): string => textOfFile(readFileSync(join(folder, name)))
const chartOf = (bundle: ImportedBundle) => foldBodies([{ by: "", changes: bundle.patients[0]!.changes }])

function refusal(text: string): string {
  try {
    readBundle(text)
  } catch (error) {
    if (error instanceof AppError) return `${error.code} ${error.message}`
    throw error
  }
  return "accepted"
}

/** The raw texts of a bundle's resources, found by another road than the importer's. */
function rawResources(text: string): readonly string[] {
  const entries = scanJson(text, 100).members.find((m) => m.name === "entry")!.value
  return entries.items.map((entry) => {
    const { start, end } = entry.members.find((m) => m.name === "resource")!.value
    return text.slice(start, end)
  })
}

describe.skipIf(files.length === 0)("Synthea's patients", () => {
  it("are 13, beside two files without a patient", () => {
    expect(patients).toHaveLength(13)
    for (const name of files.filter((n) => !patients.includes(n)))
      expect(refusal(textOf(name))).toMatch(/^BAD_INPUT_NO_PATIENT/)
  })

  it.each(patients)("%s comes in and goes out to the letter", (name) => {
    const text = textOf(name)
    const bundle = readBundle(text)
    expect(bundle.patients).toHaveLength(1)
    expect(bundle.leftOut).toEqual([])
    const parsed = JSON.parse(text) as { entry: { fullUrl: string; resource: { resourceType: string } }[] }
    const { patient, changes, types } = bundle.patients[0]!
    expect(changes).toHaveLength(parsed.entry.length)
    expect(changes.map(([key]) => key)).toEqual(
      parsed.entry.map((e) => `${e.resource.resourceType}/${e.fullUrl.slice("urn:uuid:".length)}`),
    )
    expect(patient).toMatch(/^Patient\//)
    expect(Object.values(types).reduce((a, b) => a + b)).toBe(changes.length)
    const chart = foldBodies([parseBody(encodeBody({ by: "", changes }))])
    const exported = exportBundle(chart)
    expect(rawResources(exported)).toEqual(rawResources(text))
    const again = JSON.parse(exported) as typeof parsed
    expect(again.entry.map((e) => e.fullUrl)).toEqual(parsed.entry.map((e) => e.fullUrl))
    expect(differenceTo(chart, changes).changes).toEqual([])
    expect(differenceTo(chart, readBundle(exported).patients[0]!.changes).changes).toEqual([])
  })

  it.each(patients)("%s shows all of itself in words", (name) => {
    const bundle = readBundle(textOf(name))
    const chart = chartOf(bundle)
    const view = viewOf(chart)
    const resource = JSON.parse(chart.resources.get(bundle.patients[0]!.patient)!) as Record<string, never>
    expect(view.birthDate).toBe(resource.birthDate)
    expect(view).toMatchObject(name.startsWith("Agust") ? { firstName: "Agustín", lastName: "Fonseca" } : {})
    expect(view.identifiers.map((identifier) => identifier.label)).toContain("Medical Record Number")
    const lines = view.groups.flatMap((group) => group.lines)
    const conditions = bundle.patients[0]!.types.Condition ?? 0
    const allergies = bundle.patients[0]!.types.AllergyIntolerance ?? 0
    expect(view.diagnoses).toHaveLength(conditions)
    expect(lines).toHaveLength(chart.resources.size - 1 - conditions - allergies)
    for (const { text } of lines) expect(text).not.toMatch(/^No text|undefined|\[object|<\/?\w|^\s|\s$/)
    for (const group of view.groups)
      for (const { date } of group.lines)
        if (!["Organization", "Practitioner", "Goal"].includes(group.type)) expect(date).toMatch(/^\d{4}-\d\d-\d\d$/)
  })

  it("form-edited, changes only the name's characters", () => {
    const chart = chartOf(readBundle(textOf(patients[0]!)))
    const changes = changesFor(chart, { ...formOf(chart), lastName: "Byron" }, () => "unused")
    const [[key, text]] = changes as [readonly [string, string]]
    const before = chart.resources.get(key)!
    expect(text).toBe(before.replace(`"family": "${formOf(chart).lastName}"`, '"family": "Byron"'))
  })

  it("imported again after a correction brings nothing back", () => {
    const { changes } = readBundle(textOf(patients[0]!)).patients[0]!
    const first = { by: "", changes }
    const chart = foldBodies([first])
    const second = {
      by: "",
      changes: [...changesFor(chart, { ...formOf(chart), firstName: "Ada" }, () => "u"), [changes[1]![0]] as const],
    }
    const now = applyBody(chart, second)
    expect(differenceTo(now, changes, [first, second]).changes).toEqual([])
    expect(differenceTo(now, changes)).toMatchObject({ added: 1, changed: 1 })
  })

  it("two to a file are told apart", () => {
    const [one, two] = [textOf(patients[0]!), textOf(patients[1]!)].map(rawResources) as [string[], string[]]
    const wrap = (text: string) => {
      const id = (JSON.parse(text) as { id: string }).id
      return `{"fullUrl":"urn:uuid:${id}","resource":${text}}`
    }
    const bundle = readBundle(
      `{"resourceType":"Bundle","type":"collection","entry":[${[...one, ...two].map(wrap).join()}]}`,
    )
    expect(bundle.leftOut).toEqual([])
    expect(bundle.patients.map((patient) => patient.changes.map(([, text]) => text))).toEqual([one, two])
  })

  it("cut off or damaged anywhere, are refused with the place and without a word of them", () => {
    const text = textOf("Luigi_Wiegand_e27d88b0-c5e5-4042-ad49-184f6a900ee3.json")
    for (let i = 1; i < 40; i++) {
      const cut = refusal(text.slice(0, Math.floor((text.trimEnd().length * i) / 40)))
      expect(cut).toMatch(/^BAD_INPUT_BUNDLE line \d+, column \d+: the text ends in the middle/)
      expect(cut).not.toMatch(/Luigi|Wiegand/)
    }
  })

  it("are read fast", () => {
    const text = textOf(patients.find((name) => name.startsWith("Tiera"))!)
    const start = performance.now()
    readBundle(text)
    // A moment; what grew with the square of its length would take minutes and more.
    expect(performance.now() - start).toBeLessThan(20_000)
  })
})

const entry = (resource: object, fullUrl?: string) => ({ ...(fullUrl === undefined ? {} : { fullUrl }), resource })
const bundle = (...entries: object[]) => JSON.stringify({ resourceType: "Bundle", type: "collection", entry: entries })
const person = (id: string, more: object = {}) => entry({ resourceType: "Patient", id, ...more })

describe("reading a bundle", () => {
  it.each([
    ["", "BAD_INPUT_BUNDLE This file is empty"],
    ["\ufeff\n ", "BAD_INPUT_BUNDLE This file is empty"],
    ["<Bundle/>", "BAD_INPUT_BUNDLE This file is XML"],
    ["hello", "BAD_INPUT_BUNDLE line 1, column 1"],
    ['{"a":1}', "BAD_INPUT_BUNDLE This is JSON, but not FHIR"],
    ["[]", "BAD_INPUT_BUNDLE This is JSON, but not FHIR"],
    ['{"resourceType":"Observation","id":"1"}', "BAD_INPUT_NO_PATIENT"],
    ['{"resourceType":"Bundle","entry":[]}', "BAD_INPUT_BUNDLE line 1, column 1: this type of bundle"],
    ['{"resourceType":"Bundle",\n"type":"history"}', "BAD_INPUT_BUNDLE line 2, column 8: this type of bundle"],
    ['{"resourceType":"Bundle","type":"batch"}', "BAD_INPUT_NO_PATIENT"],
    [
      '{"resourceType":"Bundle","type":"batch","entry":{}}',
      'BAD_INPUT_BUNDLE line 1, column 49: "entry" is not a list',
    ],
    ['{"resourceType":"Patient"}', "BAD_INPUT_BUNDLE entry 1 (line 1, column 1): the resource has neither"],
    [bundle(person("1"), {}), "BAD_INPUT_BUNDLE entry 2 (line 1, column 104): there is no resource"],
    [bundle(person("1"), entry({})), "BAD_INPUT_BUNDLE entry 2 (line 1, column 116): the resource does not say"],
    [bundle(person("a_b")), "BAD_INPUT_BUNDLE entry 1 (line 1, column 67): the resource's type or id"],
    [bundle(entry({ resourceType: "patient", id: "1" })), "BAD_INPUT_BUNDLE entry 1"],
    [
      bundle(person("1"), person("2"), person("1")),
      "BAD_INPUT_BUNDLE entry 3: the same resource was given before, in entry 1",
    ],
  ])("refuses %j", (text, start) => {
    expect(refusal(text).slice(0, start.length)).toBe(start)
  })

  it.each([
    ["Patient", { name: [{ family: ["Byron"] }] }, "DSTU2"],
    ["Condition", { clinicalStatus: "active" }, "STU3"],
    ["MedicationOrder", {}, "DSTU2"],
    ["Encounter", { class: [{ text: "x" }] }, "R5"],
    ["MedicationRequest", { medication: { concept: {} } }, "R5"],
  ])("refuses a %s of another version", (resourceType, more, version) => {
    const text = bundle(person("1"), entry({ resourceType, id: "2", ...more }))
    expect(refusal(text)).toMatch(new RegExp(`^BAD_INPUT_BUNDLE entry 2 .*${version}.*not R4`))
  })

  it("refuses what is no text", () => {
    for (const bytes of [
      [0x50, 0x4b, 3, 4],
      [0x1f, 0x8b, 8],
      [0xff, 0xfe, 0x7b, 0],
      [0xc3, 0x28],
    ])
      expect(() => textOfFile(Uint8Array.from(bytes))).toThrow(expect.objectContaining({ code: "BAD_INPUT_BUNDLE" }))
    expect(() => textOfFile(new Uint8Array(64 * 1024 * 1024 + 1))).toThrow(
      expect.objectContaining({ code: "BAD_INPUT_SIZE" }),
    )
  })

  it("reads a single patient, a byte order mark before it", () => {
    const text = '{ "resourceType":"Patient", "id":"1", "multipleBirthInteger": 1.0 }'
    const { patients } = readBundle(`\ufeff${text}\n`)
    expect(patients).toEqual([{ patient: "Patient/1", changes: [["Patient/1", text]], types: { Patient: 1 } }])
  })

  it("names keys by urn:uuid, else by id, else by the address", () => {
    const uuid = "3E383D93-552a-46ae-a96a-1989586244c9"
    const text = bundle(
      entry({ resourceType: "Patient" }, `urn:uuid:${uuid}`),
      entry({ resourceType: "Goal", id: "g" }, "http://example.org/fhir/Goal/g"),
      entry({ resourceType: "Goal" }, "http://example.org/fhir/Goal/h"),
      entry({ resourceType: "Goal", id: "i" }, "urn:oid:1.2.3"),
    )
    const chart = chartOf(readBundle(text))
    expect([...chart.resources.keys()]).toEqual([`Patient/${uuid}`, "Goal/g", "Goal/h", "Goal/i"])
    const exported = JSON.parse(exportBundle(chart)) as { entry: { fullUrl?: string }[] }
    expect(exported.entry.map((e) => e.fullUrl)).toEqual(
      [...chart.resources.keys()].map((key, at) =>
        at === 0 ? `urn:uuid:${uuid}` : `https://healthcrypt.invalid/${key}`,
      ),
    )
    expect(JSON.parse(exportBundle(emptyChart()))).toMatchObject({ resourceType: "Bundle", type: "collection" })
  })

  it("keeps a type that it does not know", () => {
    const text = bundle(person("1"), entry({ resourceType: "Starship", id: "2", title: "Enterprise" }))
    const view = viewOf(chartOf(readBundle(text)))
    expect(view.groups).toEqual([{ type: "Starship", lines: [{ key: "Starship/2", date: "", text: "Enterprise" }] }])
  })

  it("splits several patients by their references", () => {
    const ref = (reference: string) => ({ reference })
    const text = bundle(
      person("a", { link: [{ other: ref("Patient/b") }], managingOrganization: ref("Organization/shared") }),
      person("b", { managingOrganization: ref("Organization/shared") }),
      entry({
        resourceType: "Observation",
        id: "of-a",
        subject: ref("Patient/a"),
        performer: [ref("Practitioner/only-a")],
      }),
      entry({
        resourceType: "Observation",
        id: "of-b",
        subject: ref("http://x.org/fhir/Patient/b"),
        focus: [ref("Patient/a")],
      }),
      entry({ resourceType: "Provenance", id: "prov", target: [ref("Observation/of-b/_history/2")] }),
      entry({ resourceType: "Practitioner", id: "only-a" }),
      entry({ resourceType: "Organization", id: "shared", partOf: ref("Organization/parent") }),
      entry({ resourceType: "Organization", id: "parent" }),
      entry({ resourceType: "Location", id: "stray", managingOrganization: ref("Organization/shared") }),
      entry({
        resourceType: "Group",
        id: "both",
        member: [{ entity: ref("Patient/a") }, { entity: ref("Patient/b") }],
      }),
    )
    const { patients, leftOut, resources } = readBundle(text)
    expect(patients.map((patient) => patient.changes.map(([key]) => key.split("/")[1]))).toEqual([
      ["a", "of-a", "only-a", "shared", "parent", "both"],
      ["b", "of-b", "prov", "shared", "parent", "both"],
    ])
    expect(leftOut).toEqual([{ entry: 9, type: "Location" }])
    expect(resources).toBe(10)
  })

  it("finds what is new or changed, decimals by their digits", () => {
    const chart = foldBodies([
      {
        by: "",
        changes: [
          ["Goal/1", '{"a":1.0,"b":2}'],
          ["Goal/2", '{"a":1.0}'],
        ],
      },
    ])
    const difference = differenceTo(chart, [
      ["Goal/1", '{ "b":2, "a":1.0 }'],
      ["Goal/2", '{"a":1.00}'],
      ["Goal/3", "{}"],
    ])
    expect(difference).toEqual({
      changes: [
        ["Goal/2", '{"a":1.00}'],
        ["Goal/3", "{}"],
      ],
      added: 1,
      changed: 1,
    })
  })

  it("shows hostile content as text only", () => {
    const html =
      '<div xmlns="http://www.w3.org/1999/xhtml"><script>alert(1)</script>Dose &lt;b&gt; &#38; <b>twice</b></div>'
    const text = bundle(person("1"), entry({ resourceType: "Basic", id: "2", text: { div: html } }))
    expect(viewOf(chartOf(readBundle(text))).groups[0]!.lines[0]!.text).toBe("alert(1) Dose <b> & twice")
    const hard = bundle(person("1"), entry({ resourceType: "Basic", id: "2", text: { div: "<".repeat(500_000) } }))
    const start = performance.now()
    viewOf(chartOf(readBundle(hard)))
    expect(performance.now() - start).toBeLessThan(20_000)
    const odd = bundle(
      person("1", { name: [[1]], identifier: "x", telecom: [{}], contact: null }),
      entry({ resourceType: "Observation", id: "3", code: [], component: "x", valueQuantity: [] }),
    )
    expect(viewOf(chartOf(readBundle(odd))).groups[0]!.lines[0]!.text).toBe("No text")
    expect(summaryOf(chartOf(readBundle(odd)))).toMatchObject({ firstName: "", lastName: "", birthDate: "" })
  })
})
