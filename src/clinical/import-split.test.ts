import fc from "fast-check"
import { describe, expect, it } from "vitest"
import { typeOf } from "./body.ts"
import { readBundle } from "./import.ts"

type Resource = { resourceType: string; id: string } & Record<string, unknown>
const keyOf = ({ resourceType, id }: Resource) => `${resourceType}/${id}`

const bundle = (resources: readonly Resource[]) =>
  JSON.stringify({ resourceType: "Bundle", type: "collection", entry: resources.map((resource) => ({ resource })) })

const key = fc.tuple(fc.constantFrom("Patient", "Patient", "Observation", "Basic", "Group"), fc.nat(5))
const reference = key.map(([type, id]) => ({ reference: `${type}/${id}` }))
const resource = fc.record({
  key,
  subject: fc.option(reference, { nil: undefined, freq: 3 }),
  others: fc.array(reference, { maxLength: 4 }),
})
const resources = fc
  .uniqueArray(resource, { maxLength: 24, selector: (one) => one.key.join("/") })
  .map((all) =>
    all.map(({ key: [resourceType, id], ...rest }): Resource => ({ resourceType, id: String(id), ...rest })),
  )

/** The rules of `splitByPatient`, word for word: again and again, until nothing changes. */
function ownersOf(all: readonly Resource[]): Map<string, Set<string>> {
  const there = new Map(all.map((one) => [keyOf(one), one]))
  const targets = (one: Resource) =>
    [one.subject, ...(one.others as unknown[])]
      .flatMap((ref) => (ref === undefined ? [] : [(ref as { reference: string }).reference]))
      .filter((target) => there.has(target) && target !== keyOf(one))
  const isPatient = (name: string) => typeOf(name) === "Patient"
  const owners = new Map<string, Set<string>>()
  for (const one of all) {
    const subject = (one.subject as { reference: string } | undefined)?.reference ?? ""
    const named = targets(one).filter(isPatient)
    const mine = there.has(subject) && isPatient(subject) ? [subject] : named
    owners.set(keyOf(one), new Set(isPatient(keyOf(one)) ? [keyOf(one)] : mine))
  }
  const spread = (open: (from: Resource, to: Resource) => boolean, down: boolean) => {
    for (let changed = true; changed; ) {
      changed = false
      for (const one of all)
        for (const target of targets(one).map((name) => there.get(name)!)) {
          if (!open(one, target)) continue
          const [from, to] = down ? [one, target] : [target, one]
          for (const owner of owners.get(keyOf(from))!)
            if (!owners.get(keyOf(to))!.has(owner)) {
              owners.get(keyOf(to))!.add(owner)
              changed = true
            }
        }
    }
  }
  const owned = () => new Set([...owners].filter(([, who]) => who.size > 0).map(([name]) => name))
  const first = owned()
  spread((from, to) => !first.has(keyOf(from)) && !isPatient(keyOf(to)), false)
  const second = owned()
  spread((_, to) => !second.has(keyOf(to)), true)
  return owners
}

describe("a file of several patients", () => {
  it("is divided as the rules say, whatever points at what", () => {
    fc.assert(
      fc.property(resources, (all) => {
        const patients = all.filter((one) => one.resourceType === "Patient").map(keyOf)
        if (patients.length < 2) return
        const split = readBundle(bundle(all))
        const owners = ownersOf(all)
        expect(split.patients.map(({ patient }) => patient)).toEqual(patients)
        for (const { patient, changes } of split.patients) {
          const theirs = all.map(keyOf).filter((name) => owners.get(name)!.has(patient))
          expect(changes.map(([name]) => name)).toEqual(theirs)
        }
        const nobodys = all.flatMap((one, at) => (owners.get(keyOf(one))!.size === 0 ? [at + 1] : []))
        expect(split.leftOut.map(({ entry }) => entry)).toEqual(nobodys)
      }),
      { numRuns: 500 },
    )
  })

  it("that comes to far more than it is, is refused before it does", () => {
    const many = <T>(n: number, make: (i: number) => T): T[] => Array.from({ length: n }, (_, i) => make(i))
    const shared = (patients: number, organizations: number, text = "") => [
      ...many(patients, (i) => ({
        resourceType: "Patient",
        id: `p${i}`,
        managingOrganization: { reference: "Organization/g0" },
      })),
      ...many(organizations, (i) => ({
        resourceType: "Organization",
        id: `g${i}`,
        name: text,
        partOf: { reference: `Organization/g${i + 1}` },
      })),
    ]
    expect(readBundle(bundle(shared(50, 50))).patients[49]!.changes).toHaveLength(51)
    expect(() => readBundle(bundle(shared(2000, 2000)))).toThrow(/share so much .* one file a patient/)
    expect(() => readBundle(bundle(shared(2000, 1, "x".repeat(200_000))))).toThrow(/share so much/)
    // As many ways to each, and each is given what it has already.
    const crossed = [
      ...many(150, (i) => ({ resourceType: "Patient", id: `p${i}`, generalPractitioner: refs(0, 300) })),
      ...many(300, (i) => ({ resourceType: "Practitioner", id: `d${i}`, extension: refs(0, 300) })),
    ]
    function refs(from: number, to: number) {
      return many(to - from, (i) => ({ reference: `Practitioner/d${from + i}` }))
    }
    expect(() => readBundle(bundle(crossed))).toThrow(/share so much/)
  })
})

describe("a file beyond the budget of one", () => {
  const refused = /more values than can be taken at once. Split the file/
  const of = (...entries: string[]) => `{"resourceType":"Bundle","type":"collection","entry":[${entries.join()}]}`
  const patient = (inside: string) => `{"resource":{"resourceType":"Patient","id":"1","extension":[${inside}]}}`

  it("is refused while it is counted, wherever its values lie", () => {
    const values = (n: number) => `0${",0".repeat(n - 1)}`
    expect(readBundle(of(patient(values(400_000)))).resources).toBe(1)
    expect(() => readBundle(of(patient(values(500_001))))).toThrow(refused)
    expect(() => readBundle(of(`${values(200_001)}`))).toThrow(refused)
    expect(() => readBundle(`{"resourceType":"Patient","id":"1","extension":[${values(500_001)}]}`)).toThrow(refused)
    expect(() => readBundle(`{"resourceType":"Bundle","type":"collection","x":[${values(200_001)}]}`)).toThrow(refused)
    expect(() => readBundle(`[${`[${values(1000)}],`.repeat(9000)}0]`)).toThrow(refused)
    expect(() => readBundle(`{"a":{"b":[${values(8_000_001)}]}}`)).toThrow(refused)
  })
})
