import fc from "fast-check"
import { expect, it } from "vitest"
import { type Change, encodeBody } from "./body.ts"
import { readContent } from "./content.ts"
import { exportBundle } from "./export.ts"
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
