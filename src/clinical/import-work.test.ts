import { afterAll, beforeAll, describe, expect, it } from "vitest"
import { countWork } from "./count-work.fixture.ts"

type Resource = { resourceType: string; id: string } & Record<string, unknown>

const bundle = (resources: readonly Resource[]) =>
  JSON.stringify({ resourceType: "Bundle", type: "collection", entry: resources.map((resource) => ({ resource })) })
const to = (reference: string) => ({ reference })
const many = <T>(n: number, make: (i: number) => T): T[] => Array.from({ length: n }, (_, i) => make(i))
const patients = (n: number, more: (i: number) => object = () => ({})): Resource[] =>
  many(n, (i) => ({ resourceType: "Patient", id: `p${i}`, ...more(i) }))
const basic = (id: string, ...references: string[]): Resource => ({
  resourceType: "Basic",
  id,
  extension: references.map((reference) => ({ url: "x", valueReference: to(reference) })),
})
const of = (i: number) => ({ subject: to(`Patient/p${i}`) })

/** Files that somebody made to keep an importer busy, by their size. */
const shapes: Readonly<Record<string, (n: number) => readonly Resource[]>> = {
  "many patients, each with an observation": (n) => [
    ...patients(n),
    ...many(n, (i) => ({ resourceType: "Observation", id: `o${i}`, ...of(i) })),
  ],
  "a chain of references that leads to a patient, from its end": (n) => [
    ...patients(2),
    { resourceType: "Observation", id: "o", ...of(0) },
    basic("b0", "Observation/o"),
    ...many(n, (i) => basic(`b${i + 1}`, `Basic/b${i}`)),
  ],
  "the same chain, from its beginning": (n) => [
    ...patients(2),
    ...many(n, (i) => basic(`b${n - i}`, `Basic/b${n - i - 1}`)),
    basic("b0", "Observation/o"),
    { resourceType: "Observation", id: "o", ...of(0) },
  ],
  "a chain of what a patient needs": (n) => [
    ...patients(2, () => ({ managingOrganization: to("Organization/g0") })),
    ...many(n, (i) => ({ resourceType: "Organization", id: `g${i}`, partOf: to(`Organization/g${i + 1}`) })),
  ],
  "a ring of references": (n) => [
    ...patients(2),
    { resourceType: "Observation", id: "o", ...of(1) },
    basic("b0", `Basic/b${n}`, "Observation/o"),
    ...many(n, (i) => basic(`b${i + 1}`, `Basic/b${i}`)),
  ],
  "patients who are linked in a ring": (n) =>
    patients(n, (i) => ({ link: [{ other: to(`Patient/p${(i + 1) % n}`), type: "seealso" }] })),
  "patients who are all linked with each other": (n) =>
    patients(Math.ceil(Math.sqrt(n)), () => ({
      link: many(Math.ceil(Math.sqrt(n)), (j) => ({ other: to(`Patient/p${j}`), type: "seealso" })),
    })),
  "resources that all point at one": (n) => [
    ...patients(2),
    ...many(n, (i) => basic(`b${i}`, "Observation/o")),
    { resourceType: "Observation", id: "o", ...of(0) },
  ],
  "one that points at all": (n) => [
    ...patients(2),
    ...many(n, (i) => ({ resourceType: "Observation", id: `o${i}`, ...of(i % 2) })),
    basic("b", ...many(n, (i) => `Observation/o${i}`)),
  ],
  "one that names every patient": (n) => [...patients(n), basic("b", ...many(n, (i) => `Patient/p${i}`))],
  "resources of nobody": (n) => [...patients(2), ...many(n, (i) => basic(`b${i}`, `Basic/b${(i + 1) % n}`))],
  "resources inside another": (n) => [
    ...patients(2),
    { ...basic("b", "Observation/o"), contained: many(n, (i) => basic(`c${i}`, `#c${(i + 1) % n}`)) },
    { resourceType: "Observation", id: "o", ...of(0) },
  ],
  "lists deep in each other": (n) => [
    ...patients(2),
    ...many(Math.ceil(n / 20), (i) => ({
      ...basic(`b${i}`, `Patient/p${i % 2}`),
      deep: many(50, () => 0).reduce<unknown>((inner) => [inner], 0),
    })),
  ],
  "patients with one identifier": (n) =>
    patients(n, () => ({ identifier: [{ system: "urn:x", value: "1" }], managingOrganization: to("Organization/g") })),
  "one id under many types": (n) => [
    ...patients(2),
    ...many(n, (i) => ({ resourceType: `T${String(i).replace(/\d/g, (d) => "abcdefghij"[Number(d)]!)}`, id: "p0" })),
  ],
  "one address for all": (n) => [...patients(2), ...many(n, (i) => ({ ...basic(`b${i}`), id: `b${i}` }))],
  "many names in one object": (n) => [
    ...patients(2),
    { ...basic("b", "Patient/p0"), ...Object.fromEntries(many(n, (i) => [`n${i}`, i])) },
  ],
  "long references": (n) => [
    ...patients(2),
    basic("b", `${"A/".repeat(n)}Patient/p0`, "/A".repeat(n), "A".repeat(n), `Patient/p0/_history/${"a/".repeat(n)}`),
  ],
}

const some = (n: number) => Math.ceil(Math.sqrt(n))
/** Something that many patients have. */
const shared = (n: number, ...more: string[]): Resource[] => [
  ...patients(some(n)),
  basic("b0", ...many(some(n), (i) => `Patient/p${i}`), ...more),
]

/** Files whose links and patients grow together, and each patient gets all that is linked: up to 64,000 copies of the 500,000 that a split
 * may make. */
const sharedShapes: Readonly<Record<string, (n: number) => readonly Resource[]>> = {
  "a chain that leads to what many patients have, from its end": (n) => [
    ...shared(n),
    ...many(n, (i) => basic(`b${i + 1}`, `Basic/b${i}`)),
  ],
  "the same chain, from its beginning": (n) => [
    ...many(n, (i) => basic(`b${n - i}`, `Basic/b${n - i - 1}`)),
    ...shared(n),
  ],
  "a chain of what many patients need": (n) => [
    ...patients(some(n), () => ({ managingOrganization: to("Organization/g0") })),
    ...many(n, (i) => ({ resourceType: "Organization", id: `g${i}`, partOf: to(`Organization/g${i + 1}`) })),
  ],
  "resources that all point at what many patients have": (n) => [
    ...shared(n),
    ...many(n, (i) => basic(`b${i + 1}`, "Basic/b0")),
  ],
  "what many patients have, and points at all": (n) => [
    ...shared(n, ...many(n, (i) => `Organization/g${i}`)),
    ...many(n, (i) => ({ resourceType: "Organization", id: `g${i}` })),
  ],
  "patients who are all linked with each other, and need many": (n) => [
    ...patients(some(n), () => ({
      link: many(some(n), (j) => ({ other: to(`Patient/p${j}`), type: "seealso" })),
      generalPractitioner: many(some(n), (j) => to(`Practitioner/d${j}`)),
    })),
    ...many(some(n), (i) => ({ resourceType: "Practitioner", id: `d${i}`, partOf: to("Organization/g0") })),
    ...many(n, (i) => ({ resourceType: "Organization", id: `g${i}`, partOf: to(`Organization/g${(i + 1) % n}`) })),
  ],
}

describe("reading a file", () => {
  let counted: Awaited<ReturnType<typeof countWork>>
  let readBundle: typeof import("./import.ts").readBundle
  beforeAll(async () => {
    counted = await countWork("/src/clinical/")
    readBundle = (await import("./import.ts")).readBundle
    // What is called for the first time is compiled, and counts differently once.
    for (const make of [...Object.values(shapes), ...Object.values(sharedShapes)]) readBundle(bundle(make(20)))
  })
  afterAll(() => counted.stop())

  it.each(Object.entries(shapes))("of %s is work that grows as the file does", async (_, make) => {
    const [small, large] = [bundle(make(400)), bundle(make(1600))]
    const one = await counted.of(() => readBundle(small))
    const four = await counted.of(() => readBundle(large))
    expectGrown(one, four, large.length / small.length)
  })

  it.each(Object.entries(sharedShapes))("of %s is work that grows as what the patients get", async (_, make) => {
    const [small, large] = [bundle(make(400)), bundle(make(1600))]
    const given = (text: string) => readBundle(text).patients.reduce((sum, { changes }) => sum + changes.length, 0)
    expect(given(large)).toBeGreaterThan(1600 * 40)
    const one = await counted.of(() => readBundle(small))
    const four = await counted.of(() => readBundle(large))
    expectGrown(one, four, given(large) / given(small))
  })
})

type Steps = ReadonlyMap<string, number>

function expectGrown(one: Steps, four: Steps, grown: number): void {
  expect(four.get("import-split.ts")).toBeGreaterThan(0)
  for (const [file, count] of four)
    expect(count, `${file}: ${one.get(file)} steps, then ${count}`).toBeLessThan(
      (one.get(file) ?? 0) * grown * 1.1 + 500,
    )
}
