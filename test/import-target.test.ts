import { afterAll, beforeAll, describe, expect, it } from "vitest"
import { append } from "../src/client/append.ts"
import { archiveRecord, createPatient, savePatient } from "../src/client/edits.ts"
import { importFile } from "../src/client/imports.ts"
import { unshare } from "../src/client/sharing.ts"
import type { Workspace } from "../src/client/workspace.ts"
import { encodeBody } from "../src/clinical/body.ts"
import { exportBundle } from "../src/clinical/export.ts"
import { formOf } from "../src/clinical/form.ts"
import { utf8 } from "../src/encoding/bytes.ts"
import type { RecordId } from "../src/encoding/ids.ts"
import { brady, edit, give, meet, physicians, sabotaged } from "./colleagues.ts"
import { type Practice, startPractice } from "./practice.ts"

let practice: Practice
beforeAll(async () => {
  practice = await startPractice()
})
afterAll(() => practice.close())

interface Person {
  readonly family: string
  readonly given?: string
  readonly birthDate?: string
}
const grimes = { family: "Grimes", given: "Ann", birthDate: "1970-05-04" }

/** A file of patient 4711. */
const fileOf = ({ family, given, birthDate }: Person, diagnosis: string) =>
  JSON.stringify({
    resourceType: "Bundle",
    type: "collection",
    entry: [
      { resource: { resourceType: "Patient", id: "4711", name: [{ family, given: given && [given] }], birthDate } },
      {
        resource: {
          resourceType: "Condition",
          id: diagnosis.toLowerCase(),
          subject: { reference: "Patient/4711" },
          code: { text: diagnosis },
        },
      },
    ],
  })

const number = (system: string, value: string) => ({ identifier: [{ system, value }] })

async function take(work: Workspace, text: string) {
  const report = await importFile(work, "file.json", utf8(text), () => {}, { aborted: false })
  expect(report.outcome).not.toBe("refused")
  return { ...report, id: report.records[0]!.id }
}

async function textsOf(work: Workspace, id: RecordId): Promise<string> {
  return Array.from((await work.records.open(id)).chart.resources, ([, text]) => text).join("\n")
}

async function three(tag: string) {
  const [ada, mal] = (await physicians(practice, `ada-${tag}`, `mal-${tag}`)) as [Workspace, Workspace]
  await meet(ada, mal)
  return { ada, mal }
}

describe("a file goes into the record that its importer made of that patient", () => {
  it.each(["writer", "reader"] as const)(
    "not into a colleague's that claims the patient's number, as %s",
    async (role) => {
      const { ada, mal } = await three(`claim-${role}`)
      const { id } = await createPatient(mal, brady)
      const { head, keys } = await mal.records.open(id)
      const summary = { ...mal.roster.rows.get(id)!, patient: "Patient/4711" }
      const body = encodeBody({ by: "", changes: [] })
      await append(mal.session, id, head, keys[0]!, { kind: "write" }, { body, summary })
      await mal.roster.sync()
      await give(mal, ada, id, role)
      expect(ada.roster.rows.get(id)?.patient).toBe("Patient/4711")

      const made = await take(ada, fileOf(grimes, "HIV"))
      expect(made).toMatchObject({ outcome: "added", apart: 1 })
      expect(made.id).not.toBe(id)
      expect(await textsOf(mal, id)).not.toContain("HIV")
      expect(await take(ada, fileOf(grimes, "Asthma"))).toMatchObject({ outcome: "merged", apart: 0, id: made.id })
    },
  )

  it("not into a colleague's that holds the very patient", async () => {
    const { ada, mal } = await three("holds")
    const { id } = await take(mal, fileOf(grimes, "Gout"))
    await give(mal, ada, id, "writer")
    expect((await take(ada, fileOf(grimes, "HIV"))).id).not.toBe(id)
    expect(await textsOf(mal, id)).not.toContain("HIV")
  })

  it("not into one's own of which a colleague made somebody else", async () => {
    const { ada, mal } = await three("renamed")
    const { id } = await take(ada, fileOf({ family: "Kuhlman", given: "Brady", birthDate: "1961-07-09" }, "Gout"))
    await give(ada, mal, id, "writer")
    const { head, chart } = await mal.records.open(id)
    const form = { ...formOf(chart), firstName: "Ann", lastName: "Grimes", birthDate: "1970-05-04" }
    await savePatient(mal, id, head.seq, form)
    await ada.roster.sync()
    expect((await take(ada, fileOf(grimes, "HIV"))).id).not.toBe(id)
    expect(await textsOf(mal, id)).not.toContain("HIV")
  })

  it("not into one's own into which a colleague's words came by one's own edit", async () => {
    const { ada, mal } = await three("edited")
    const { id } = await take(ada, fileOf({ family: "Kuhlman", given: "Brady", birthDate: "1961-07-09" }, "Gout"))
    await give(ada, mal, id, "writer")
    const theirs = await mal.records.open(id)
    const named = { ...formOf(theirs.chart), firstName: "Ann", lastName: "Grimes", birthDate: "1999-01-01" }
    await savePatient(mal, id, theirs.head.seq, named)
    const mine = await ada.records.open(id)
    await savePatient(ada, id, mine.head.seq, { ...formOf(mine.chart), birthDate: "1970-05-04" })
    expect((await take(ada, fileOf(grimes, "HIV"))).id).not.toBe(id)
    expect(await textsOf(mal, id)).not.toContain("HIV")
  })

  it("into the record that the physician corrected, by the old words and by the new", async () => {
    const [ada] = (await physicians(practice, "ada-corrected")) as [Workspace]
    const { id } = await take(ada, fileOf(grimes, "Gout"))
    const { head, chart } = await ada.records.open(id)
    await savePatient(ada, id, head.seq, { ...formOf(chart), birthDate: "1970-04-05" })
    expect((await take(ada, fileOf(grimes, "Asthma"))).id).toBe(id)
    expect((await take(ada, fileOf({ ...grimes, birthDate: "1970-04-05" }, "Flu"))).id).toBe(id)
  })

  it("of two that two devices made at once, into the same on both, and not into one in the archive", async () => {
    const [ada] = (await physicians(practice, "ada-twice")) as [Workspace]
    const other = await practice.open("ada-twice", "second")
    const made = await Promise.all([take(ada, fileOf(grimes, "Gout")), take(other, fileOf(grimes, "Gout"))])
    const [first, second] = made.map(({ id }) => id).sort() as [RecordId, RecordId]
    if (first === second) return
    for (const work of [ada, other]) {
      await work.roster.sync()
      expect((await take(work, fileOf(grimes, "Asthma"))).id).toBe(first)
    }
    await archiveRecord(ada, first, true)
    await other.roster.sync()
    expect((await take(other, fileOf(grimes, "Flu"))).id).toBe(second)
  })

  it("into one's own that is shared, and not into another person's with the same number", async () => {
    const { ada, mal } = await three("shared")
    const { id } = await take(ada, fileOf(grimes, "Gout"))
    await give(ada, mal, id, "reader")
    expect(await take(ada, fileOf(grimes, "Asthma"))).toMatchObject({ outcome: "merged", id })
    expect(await textsOf(mal, id)).toContain("Asthma")
    const other = await take(ada, fileOf({ family: "Kuhlman", given: "Brady", birthDate: "1961-07-09" }, "HIV"))
    expect(other).toMatchObject({ outcome: "added", apart: 1 })
    expect(await textsOf(mal, id)).not.toContain("HIV")
    expect(await take(ada, fileOf({ family: "Kuhlman", birthDate: "1961-07-09" }, "Flu"))).toMatchObject({
      id: other.id,
    })
  })

  it.each<[string, Person, boolean]>([
    ["a married name", { ...grimes, family: "Brown" }, true],
    ["another birth date", { ...grimes, birthDate: "1970-04-05" }, false],
    ["accents and case", { ...grimes, given: "ÁNN", family: "GRIMES" }, true],
    ["a name alone", { family: "Grimes", given: "Ann" }, true],
    ["another first name and birth date", { ...grimes, given: "Bob", birthDate: "1999-01-01" }, false],
    ["another name, born on the same day", { family: "Brown", given: "Bob", birthDate: "1970-05-04" }, false],
    ["nobody", { family: "" }, false],
    ["another vowel", { family: "Grimes", given: "रमा" }, false],
  ])("tells a person from another by name and birth date: %s", async (what, person, same) => {
    const [ada] = (await physicians(practice, `one-${what.replaceAll(/\W/g, "")}`.slice(0, 60).toLowerCase())) as [
      Workspace,
    ]
    const known = what === "another vowel" ? { family: "Grimes", given: "राम" } : grimes
    const { id } = await take(ada, fileOf(known, "Gout"))
    expect((await take(ada, fileOf(person, "Asthma"))).id === id).toBe(same)
  })

  it.each<[string, object, object, boolean]>([
    ["nothing", {}, {}, false],
    ["numbers of two hospitals", number("urn:a", "A-1"), number("urn:b", "B-77"), false],
    ["one number of two systems", number("urn:a", "1"), number("urn:b", "1"), false],
    ["a number without a system", { identifier: [{ value: "1" }] }, { identifier: [{ value: "1" }] }, false],
    ["a number of one system", number("urn:a", "A-1"), { ...number("urn:a", "A-1"), gender: "male" }, true],
    [
      "a number, and another gender",
      { ...number("urn:a", "A-1"), gender: "male" },
      { ...number("urn:a", "A-1"), gender: "female" },
      false,
    ],
    [
      "a number, and another birth date",
      { ...number("urn:a", "A-1"), birthDate: "1961-07-09" },
      { ...number("urn:a", "A-1"), birthDate: "1961-07-10" },
      false,
    ],
    ["the same last name alone", { name: [{ family: "Anonymous" }] }, { name: [{ family: "Anonymous" }] }, false],
  ])("tells patients without names from each other: %s", async (what, first, second, same) => {
    const [ada] = (await physicians(practice, `less-${what.replaceAll(/\W/g, "")}`.slice(0, 60).toLowerCase())) as [
      Workspace,
    ]
    const file = (patient: object) =>
      JSON.stringify({
        resourceType: "Bundle",
        type: "collection",
        entry: [{ resource: { resourceType: "Patient", id: "pat-1", ...patient } }],
      })
    const { id } = await take(ada, file(first))
    expect((await take(ada, file(second))).id === id).toBe(same)
  })

  it("not into one with a gap: what is exported and imported again can be shared", async () => {
    const { ada, mal, cyd, id } = await sabotaged(practice, "gap")
    await ada.roster.sync()
    await unshare(ada, id, mal.session.physician)
    await edit(ada, id, "Asthma")
    const made = await take(ada, exportBundle((await ada.records.open(id)).chart))
    expect(made).toMatchObject({ outcome: "added", apart: 1 })
    expect(made.id).not.toBe(id)
    await give(ada, cyd, made.id, "reader")
    expect(await textsOf(cyd, made.id)).toContain("Asthma")
  })
})

it("whatever a colleague wrote into a record, it can be exported and imported as a new one", async () => {
  const [ada, mal, bea] = (await physicians(practice, "ada-out", "mal-out", "bea-out")) as [
    Workspace,
    Workspace,
    Workspace,
  ]
  await meet(ada, mal)
  const { id } = await createPatient(ada, brady)
  await give(ada, mal, id, "writer")
  const opened = await mal.records.open(id)
  const others = [
    ["Basic/a", '{"resourceType":"Basic"}'],
    ["Basic/b", '{"resourceType":"Basic","id":"x"}'],
    ["Basic/c", '{"resourceType":"Basic","id":"x"}'],
    ["Basic/d", '{"resourceType":"Basic","id":"_"}'],
    ["Encounter/a", '{"resourceType":"Encounter","id":"a","class":[{"text":"x"}]}'],
    ["Patient/another", '{"resourceType":"Patient"}'],
  ] as const
  await mal.records.write(opened, { by: "Mal", changes: [...others] })
  const { chart } = await ada.records.open(id)
  const made = await take(bea, exportBundle(chart))
  expect(made).toMatchObject({ outcome: "added", added: chart.resources.size })
  expect([...(await bea.records.open(made.id)).chart.resources]).toEqual([...chart.resources])

  // Nor does a record without a patient stay where it is.
  const patients = [...chart.resources.keys()].filter((key) => key.startsWith("Patient/"))
  const again = await mal.records.open(id)
  await mal.records.write(again, { by: "Mal", changes: patients.map((key) => [key] as const) })
  const { chart: rest } = await ada.records.open(id)
  expect(await take(bea, exportBundle(rest))).toMatchObject({ outcome: "added", added: rest.resources.size, apart: 0 })
})

it("says how many resources of a file with several patients belong to none of them", async () => {
  const [ada] = (await physicians(practice, "ada-left")) as [Workspace]
  const patients = ["a", "b"].map((id) => ({ resource: { resourceType: "Patient", id, name: [{ family: id }] } }))
  const stray = { resource: { resourceType: "Basic", id: "c" } }
  const text = JSON.stringify({ resourceType: "Bundle", type: "collection", entry: [...patients, stray] })
  expect(await take(ada, text)).toMatchObject({ outcome: "added", leftOut: 1, added: 2 })
})
