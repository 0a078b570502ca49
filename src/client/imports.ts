import { encodeBody } from "../clinical/body.ts"
import { News } from "../clinical/difference.ts"
import { type ImportedPatient, readBundleSteps, textOfFile } from "../clinical/import.ts"
import { isUnderstood } from "../clinical/view.ts"
import { parseUtf8 } from "../encoding/bytes.ts"
import { deflate } from "../encoding/frame.ts"
import type { RecordId } from "../encoding/ids.ts"
import { limits } from "../encoding/limits.ts"
import { AppError } from "../errors.ts"
import { gently, othersTurn } from "./gently.ts"
import { importTarget } from "./import-target.ts"
import { NoRoom } from "./open-record.ts"
import { whileOvertaken } from "./overtaken.ts"
import type { ImportReport } from "./views.ts"
import type { Workspace } from "./workspace.ts"

/** A larger file is refused before it is read. */
export const maxImportBytes = limits.inflatedBytes

const attempts = 50
const noRoom =
  "The record that this belongs into has no room for it: what one physician may have in a record is 128 MiB and 60,000 resources, and half as much again with all that was replaced. Nothing of this file was taken. Import it as a new record: “As new records” on the page, or `healthcrypt import --new`."

interface Tally {
  readonly records: { id: RecordId; name: string }[]
  resources: number
  added: number
  changed: number
  made: number
  apart: number
}

/** Takes in one FHIR file. All of it is read and checked before anything is stored. What a record already holds, or held once, is
 * not taken again.
 * @param tick told after every patient how many of the file's resources are done.
 * @param among the records into which it may go, besides new ones: those that the same import has made. Any, if `null`
 * @param signal stops at any time: while the file is read and checked, and between two patients. A patient is taken whole or not at all,
 *               and taking in the same file once more goes on where it was stopped.
 * @returns what became of it; a refusal is an outcome, not an error. Only a lost session or server throws. */
export async function importFile(
  work: Workspace,
  file: string,
  bytes: Uint8Array,
  tick: (done: number, total: number) => void,
  signal: { readonly aborted: boolean },
  among: readonly RecordId[] | null = null,
): Promise<ImportReport> {
  const tally: Tally = { records: [], resources: 0, added: 0, changed: 0, made: 0, apart: 0 }
  const types = new Map<string, number>()
  let leftOut = 0
  const report = (outcome: ImportReport["outcome"]): ImportReport => ({
    file,
    outcome,
    records: tally.records,
    resources: tally.resources,
    added: tally.added,
    changed: tally.changed,
    apart: tally.apart,
    leftOut,
    notUnderstood: [...types].filter(([type]) => !isUnderstood(type)).map(([type, count]) => ({ type, count })),
  })
  try {
    const bundle = await gently(readBundleSteps(textOfFile(bytes)), signal)
    if (bundle === null) return report("cancelled")
    leftOut = bundle.leftOut.length
    tick(0, bundle.resources)
    if (bundle.patients.length > 1)
      for (const patient of bundle.patients) {
        await demandFits(work, patient)
        await othersTurn()
        if (signal.aborted) return report("cancelled")
      }
    // Two imports of one file at once would each find the patient missing.
    const { storage } = work.session.around
    const stopped = await storage.exclusive(`import/${work.session.physician}`, async () => {
      await work.roster.sync()
      for (const patient of bundle.patients) {
        if (signal.aborted) return true
        await importPatient(work, patient, tally, among)
        tally.resources += patient.changes.length
        for (const [type, count] of Object.entries(patient.types)) types.set(type, (types.get(type) ?? 0) + count)
        tick(Math.min(tally.resources, bundle.resources), bundle.resources)
      }
      return false
    })
    await work.roster.fold()
    if (stopped) return report("cancelled")
  } catch (error) {
    if (!(error instanceof AppError) || !error.is("BAD_INPUT")) throw error
    return { ...report("refused"), code: error.code, message: error.message }
  }
  if (tally.made > 0) return report("added")
  return report(tally.added + tally.changed > 0 ? "merged" : "nothing-new")
}

async function importPatient(
  work: Workspace,
  patient: ImportedPatient,
  tally: Tally,
  among: readonly RecordId[] | null,
): Promise<void> {
  const by = work.session.fullName
  const target = await importTarget(work, patient, among)
  const known = target.record
  if (known === null) {
    const made = await work.records.create({ by, changes: [...patient.changes] }, true)
    tally.made++
    if (target.apart) tally.apart++
    tally.added += patient.changes.length
    tally.records.push({ id: made.id, name: nameOf(work, made.id) })
    return
  }
  await whileOvertaken(attempts, async () => {
    const record = await work.records.open(known)
    const news = new News(patient.changes)
    await work.records.replay(record, (_, content) => {
      for (const { key, text } of content?.changes ?? [])
        if (text !== null && news.has(key)) news.knows(key, parseUtf8(text))
    })
    const { changes, added, changed } = news.to(record.chart)
    if (changes.length > 0)
      await work.records.write(record, { by, changes: [...changes] }, true).catch((error) => {
        throw error instanceof NoRoom ? new AppError("BAD_INPUT_SIZE", noRoom, { cause: error }) : error
      })
    tally.added += added
    tally.changed += changed
    tally.records.push({ id: known, name: nameOf(work, known) })
  })
}

/** Of a file with several patients, the last one's size has to be known before the first is stored. @throws BAD_INPUT_SIZE */
async function demandFits(work: Workspace, patient: ImportedPatient): Promise<void> {
  const content = encodeBody({ by: work.session.fullName, changes: [...patient.changes] })
  if (content.length > limits.bodyBytes && (await deflate(content)).length > limits.bodyBytes)
    throw new AppError("BAD_INPUT_SIZE")
}

function nameOf(work: Workspace, id: RecordId): string {
  const row = work.roster.rows.get(id)
  return row === undefined ? "" : [row.firstName, row.lastName].filter((part) => part !== "").join(" ")
}
