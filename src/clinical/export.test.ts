import fc from "fast-check"
import { describe, expect, it } from "vitest"
import { limits } from "../encoding/limits.ts"
import { type Change, encodeBody } from "./body.ts"
import { readContent } from "./content.ts"
import { exportBundle, exportParts, partName } from "./export.ts"
import { foldBodies } from "./fold.ts"
import { readBundle } from "./import.ts"

const uuid = "ffffffff-aaaa-4bbb-8ccc-00000000000"
const id = fc.oneof(
  fc.stringMatching(/^[A-Za-z0-9.-]{1,64}$/),
  fc.constantFrom("a", `${uuid}1`, `${uuid}2`, `${uuid}2`.toUpperCase()),
)
const type = fc.oneof(
  fc.stringMatching(/^[A-Z][A-Za-z]{0,63}$/),
  // The last three are not of R4.
  fc.constantFrom("Patient", "Condition", "Encounter", "Sequence", "Transport", "MedicationOrder"),
)
/** What may stand in a resource, the shapes of other versions among it. */
const members = fc.record(
  {
    id: fc.oneof(id, fc.constantFrom("", "_", "a/b", " ", null, 1, {}, ["a"])),
    class: fc.constantFrom([{ text: "x" }], "inpatient"),
    clinicalStatus: fc.constant("active"),
    name: fc.constantFrom([{ family: ["x"] }], "x"),
    subject: fc.record({ reference: fc.oneof(id, fc.constant(`urn:uuid:${uuid}1`), fc.constant("Patient/a")) }),
    meta: fc.constant({ tag: [{ system: "urn:healthcrypt:origin", code: "form" }] }),
    other: fc.jsonValue({ maxDepth: 3 }),
  },
  { requiredKeys: [] },
)
const change = fc
  .tuple(type, id, members, fc.constantFrom("", " ", "\n"))
  .map(([resourceType, own, rest, space]): Change => {
    const { ["__proto__"]: _, ...all } = rest as Record<string, unknown>
    return [`${resourceType}/${own}`, space + JSON.stringify({ ...all, resourceType }) + space]
  })
const chart = fc
  .uniqueArray(change, { maxLength: 8, selector: ([key]) => key })
  .map((changes) => foldBodies([{ by: "", changes }]))

it("whatever a record may hold, its export comes in again as one record, under the same keys and to the letter", () => {
  fc.assert(
    fc.property(chart, (made) => {
      const changes = [...made.resources]
      // It is one that an entry may hold.
      readContent(encodeBody({ by: "", changes }))
      const { patients, resources, leftOut } = readBundle(exportBundle(made))
      expect([patients.length, resources, leftOut]).toEqual([1, changes.length, []])
      expect(patients[0]!.changes).toEqual(changes.map(([key, text]) => [key, text.trim()]))
      expect(patients[0]!.patient).toBe(changes.find(([key]) => key.startsWith("Patient/"))?.[0] ?? "")
    }),
    { numRuns: 500 },
  )
})

describe("the parts of an export", () => {
  const resource = (key: string, rest: object = {}): readonly [string, string] => [
    key,
    JSON.stringify({ resourceType: key.split("/")[0], ...rest }),
  ]
  const many = (count: number, rest: object) => Array.from({ length: count }, (_, i) => resource(`Basic/${i}`, rest))
  const patient = resource("Patient/1", { name: [{ family: "Big" }] })
  const mib = 1024 * 1024
  const text = (bytes: number) => ({ data: "x".repeat(bytes) })
  const nodes = (count: number) => ({ x: Array.from({ length: count }, () => 0) })
  const name = "\uffff".repeat(500)

  it.each<[string, (readonly [string, string])[], number]>([
    ["few things are one", [...many(3, {}), patient], 1],
    ["what packs well is one", [patient, ...many(17, text(mib))], 1],
    ["more than a file may have", [...many(20, text(mib)), patient, ...many(70, text(mib)).slice(20)], 5],
    ["more values than an entry may have", [patient, ...many(17, nodes(480_000))], 9],
    ["more resources than an entry may have", [patient, ...many(60_000, {})], 2],
    ["one that is larger than a part", [resource("Binary/1", text(40 * mib)), ...many(30, text(mib)), patient], 5],
    ["a Patient who is larger than a part", [resource("Patient/1", text(50 * mib)), ...many(15, text(mib))], 4],
    ["no Patient", many(60_001, {}), 2],
  ])("%s", async (_, all, count) => {
    const chart = foldBodies([{ by: "", changes: all }])
    const parts = await exportParts(chart)
    expect(parts.length).toBe(count)
    const first = all.find(([key]) => key.startsWith("Patient/"))?.[0] ?? ""
    for (const [at, keys] of parts.entries()) {
      const file = exportBundle(chart, keys)
      expect(Buffer.byteLength(file)).toBeLessThanOrEqual(limits.inflatedBytes)
      const { patients } = readBundle(file)
      expect(patients[0]!.changes.map(([key]) => key)).toEqual(keys)
      // Of a Patient who comes again nothing is new.
      const fresh = patients[0]!.changes.filter(([key]) => at === 0 || key !== first)
      readContent(encodeBody({ by: name, changes: fresh }))
      if (parts.length > 1 && first !== "") expect(keys[0]).toBe(first)
    }
    const rest = parts.flat().filter((key) => key !== first)
    expect(rest).toEqual(all.map(([key]) => key).filter((key) => key !== first))
  })

  it("go without a Patient beside whom nothing fits", async () => {
    const all = [resource("Patient/1", text(63 * mib)), ...many(2, text(mib))]
    const parts = await exportParts(foldBodies([{ by: "", changes: all }]))
    expect(parts).toEqual([["Patient/1"], ["Basic/0", "Basic/1"]])
  })

  it("have names in their order", () => {
    const names = (file: string) => [0, 1, 11].map((at) => partName(file, at))
    expect(names("a/b.c/d.json")).toEqual(["a/b.c/d.json", "a/b.c/d-2.json", "a/b.c/d-12.json"])
    expect(names("../d")).toEqual(["../d", "../d-2", "../d-12"])
    expect(names("a.b/.d")).toEqual(["a.b/.d", "a.b/.d-2", "a.b/.d-12"])
  })

  it("a resource of as many values as one may have comes in again", () => {
    const [key, one] = resource("Basic/1", nodes(limits.resourceNodes - 3))
    const chart = foldBodies([{ by: "", changes: [[key, one]] }])
    readContent(encodeBody({ by: "", changes: [[key, one]] }))
    expect(readBundle(exportBundle(chart)).patients[0]!.changes).toEqual([[key, one]])
  })
})
