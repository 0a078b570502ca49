import { describe, expect, it } from "vitest"
import { createPatient, savePatient } from "../src/client/edits.ts"
import { viewHistory, viewRecord } from "../src/client/record-views.ts"
import { type Workspace, workspaceOf } from "../src/client/workspace.ts"
import { utf8 } from "../src/encoding/bytes.ts"
import { entryPlace, summaryPlace } from "../src/vault/places.ts"
import { seal } from "../src/vault/seal.ts"
import { appendLie, appendRaw } from "./append-raw.ts"
import { brady, give, meet, physicians } from "./colleagues.ts"
import { openPractice } from "./practice.ts"

const nonsense = utf8("This is not what a body looks like.")

const practice = await openPractice()

describe.each(["sealed nonsense", "sealed for another place"])("an entry that verifies and holds %s", (kind) => {
  const username = kind.replaceAll(" ", ".")

  it("is shown as unreadable with its author; the record goes on without it", async () => {
    const work = workspaceOf(await practice.register(username))
    const { id } = await createPatient(work, brady)
    const record = await work.records.open(id)
    const [key, seq, me] = [record.keys[0]!, record.head.seq + 1, work.session.physician]
    const elsewhere = kind === "sealed for another place" ? 7 : 0
    const body = await seal(key, entryPlace(id, 0, seq + elsewhere, me), nonsense)
    await appendRaw(work, record, body, await seal(key, summaryPlace(id, 0, seq + elsewhere), nonsense))

    const other = await practice.open(username, "another device")
    const read = await other.records.open(id)
    expect(read.steps.map((step) => step.unreadable)).toEqual([false, true])
    expect([...read.chart.resources]).toEqual([...record.chart.resources])
    const view = await viewRecord(work, read, 1)
    expect(view.unreadable).toHaveLength(1)
    expect(view.unreadable[0]).toMatchObject({ seq: 1 })
    expect((await viewHistory(work, read)).find((item) => item.seq === 1)).toMatchObject({ readable: false })

    const saved = await savePatient(other, id, 1, { ...brady, diagnosis: "Prediabetes" })
    expect(saved).toMatchObject({ saved: true, seq: 2 })
    expect(other.roster.rows.get(id)).toMatchObject({ lastName: "Kuhlman", diagnoses: ["Prediabetes"] })
  })
})

it("a summary that says something else than the record is told, and mended by the next write", async () => {
  const work = workspaceOf(await practice.register("summary"))
  const { id } = await createPatient(work, brady)
  await appendLie(work, id, "Somebody Else")

  const other = await practice.open("summary", "another device")
  const view = async () => {
    const record = await other.records.open(id)
    return viewRecord(other, record, record.head.seq)
  }
  expect(other.roster.rows.get(id)).toMatchObject({ lastName: "Somebody Else" })
  for (const _ of ["opened", "opened again"])
    expect(await view()).toMatchObject({ lastName: "Kuhlman", summaryDiffers: true })
  await savePatient(other, id, 1, { ...brady, diagnosis: "Prediabetes" })
  expect(await view()).toMatchObject({ lastName: "Kuhlman", summaryDiffers: false })
  expect(other.roster.rows.get(id)).toMatchObject({ lastName: "Kuhlman" })
})

it("a record is shown as what a page can be sent, whatever word a writer puts into it", async () => {
  const [ada, mal] = (await physicians(practice, "ada", "mal")) as [Workspace, Workspace]
  await meet(ada, mal)
  const { id } = await createPatient(ada, brady)
  await give(ada, mal, id, "writer")
  const opened = await mal.records.open(id)
  const [key, text] = [...opened.chart.resources].find(([name]) => name.startsWith("Patient/"))!
  const changed = JSON.stringify({ ...JSON.parse(text), maritalStatus: { text: "constructor" } })
  await mal.records.write(opened, { by: "Mal", changes: [[key, changed]] })
  const record = await ada.records.open(id)
  const view = await viewRecord(ada, record, record.head.seq)
  expect(structuredClone(view).contact).toEqual([{ label: "Marital status", value: "constructor" }])
})
