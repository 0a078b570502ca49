import type { OpenRecord } from "../src/client/open-record.ts"
import { todayOf } from "../src/client/workspace.ts"
import { validatePatientFields } from "../src/clinical/fields.ts"
import { changesFor, formOf } from "../src/clinical/form.ts"
import { answerParent } from "./child.ts"
import { createRecord, memoryStorage, openClient } from "./our-client.ts"
import { diagnosis, patient } from "./patients.ts"
import { openPeer } from "./peer-client.ts"

export type AskSaves =
  | { readonly prepare: "ours" | "peer"; readonly url: string; readonly clients: number; readonly names: string }
  /** Saves with the first `clients` of those that were prepared. */
  | { readonly save: number; readonly ms: number }

export interface Saved {
  readonly saves: number
  readonly ms: number
}

/** Saves another diagnosis in a record of its own. */
type Save = (number: number) => Promise<void>

const savers: Save[] = []

answerParent(async (question: AskSaves): Promise<Saved> => {
  if ("save" in question) return saveFor(question.save, question.ms)
  for (let i = 0; i < question.clients; i++) {
    const open = question.prepare === "ours" ? ourSaver : peerSaver
    savers.push(await open(question.url, `${question.names}-${i}`, i))
  }
  return { saves: 0, ms: 0 }
})

async function saveFor(clients: number, ms: number): Promise<Saved> {
  let saves = 0
  const from = performance.now()
  const client = async (save: Save) => {
    while (performance.now() - from < ms) await save(saves++)
  }
  await Promise.all(savers.slice(0, clients).map(client))
  return { saves, ms: performance.now() - from }
}

/** A save as the page makes it: the form checked, the changes made, sealed, signed, sent; the receipt verified. */
async function ourSaver(url: string, username: string, number: number): Promise<Save> {
  const { work } = await openClient(url, username, memoryStorage(), true)
  let record: OpenRecord = await createRecord(work, patient(number))
  const today = todayOf(work.session)
  return async (n) => {
    const before = formOf(record.chart)
    const fields = validatePatientFields({ ...before, diagnosis: another(before.diagnosis, n) }, today, { before })
    const changes = changesFor(record.chart, fields, () => crypto.randomUUID(), today)
    record = await work.records.write(record, { by: work.session.fullName, changes })
    await work.roster.fold()
  }
}

/** The same form posted to the peer, its CSRF token fetched once. */
async function peerSaver(url: string, username: string, number: number): Promise<Save> {
  const web = await openPeer(url, username, true)
  const { firstName, lastName, birthDate, diagnosis: first } = patient(number)
  const fields = { first_name: firstName, last_name: lastName, dob: birthDate }
  await web.post("/record/new", { ...fields, diagnosis: first })
  const path = /href="(\/record\/\d+)"/.exec(await web.get("/"))?.[1]
  if (path === undefined) throw new Error("the peer kept no record")
  let last = first
  return async (n) => {
    last = another(last, n)
    await web.post(path, { ...fields, diagnosis: last })
  }
}

function another(before: string, number: number): string {
  const next = diagnosis(number)
  return next === before ? diagnosis(number + 1) : next
}
