import type { Change } from "../clinical/body.ts"
import { validatePatientFields } from "../clinical/fields.ts"
import { changesFor, formOf } from "../clinical/form.ts"
import { type Choices, merge, resolve } from "../clinical/merge.ts"
import type { RecordId } from "../encoding/ids.ts"
import type { OpenRecord } from "./open-record.ts"
import { whileOvertaken } from "./overtaken.ts"
import type { SaveResult } from "./views.ts"
import { todayOf, type Workspace } from "./workspace.ts"

/** How often a save that keeps losing the race is replayed before the physician is told. */
const attempts = 500

/** Makes a record from a form. @throws BAD_INPUT_FORM */
export async function createPatient(work: Workspace, input: unknown): Promise<SaveResult> {
  const today = todayOf(work.session)
  const fields = validatePatientFields(input, today)
  const changes = changesFor(null, fields, () => crypto.randomUUID(), today)
  const record = await work.records.create({ by: work.session.fullName, changes })
  await work.roster.fold()
  return { saved: true, id: record.id, seq: record.head.seq, merged: false, unchanged: false }
}

/** Saves a form that was filled from entry `base`. What others wrote meanwhile is kept: changes are replayed resource by resource,
 * and the physician is asked only where both changed the same one.
 * @param answer what the physician chose, and for which head.
 * @throws BAD_INPUT_FORM */
export async function savePatient(
  work: Workspace,
  id: RecordId,
  base: number,
  input: unknown,
  answer?: { readonly head: number; readonly choices: Choices },
): Promise<SaveResult> {
  const today = todayOf(work.session)
  let mine: readonly Change[] | null = null
  return whileOvertaken(attempts, async () => {
    const record = await work.records.open(id)
    const start = await work.records.chartAt(record, base)
    if (mine === null) {
      const fields = validatePatientFields(input, today, { before: formOf(start) })
      mine = changesFor(start, fields, () => crypto.randomUUID(), today)
    }
    const moved = record.head.seq !== base
    const merged = moved ? merge(start, mine, record.chart) : { changes: mine, conflicts: [] }
    let changes = merged.changes
    if (merged.conflicts.length > 0) {
      const head = record.head.seq
      if (answer === undefined || answer.head !== head)
        return { saved: false, id, head, author: authorOf(work, record), fields: merged.conflicts }
      changes = resolve(start, mine, record.chart, answer.choices)
    }
    if (changes.length === 0) return { saved: true, id, seq: record.head.seq, merged: moved, unchanged: true }
    const written = await work.records.write(record, { by: work.session.fullName, changes })
    await work.roster.fold()
    return { saved: true, id, seq: written.head.seq, merged: moved, unchanged: false }
  })
}

/** Archives a record, or brings it back: an entry like any other.
 * @returns false where it was so already: nothing is stored then */
export async function archiveRecord(work: Workspace, id: RecordId, archived: boolean): Promise<boolean> {
  return whileOvertaken(attempts, async () => {
    const record = await work.records.open(id)
    if (record.chart.archived === archived) return false
    await work.records.write(record, { by: work.session.fullName, changes: [], archived })
    await work.roster.fold()
    return true
  })
}

/** Who wrote last, by verified username, and the name they give themself. */
function authorOf({ session }: Workspace, record: OpenRecord): string {
  const newest = record.steps.findLast(({ entry, unreadable }) => entry.body !== undefined && !unreadable)
  if (newest === undefined) return ""
  const { author } = newest.entry
  if (session.people.isMe(author)) return "You, on another device"
  const { name } = session.people.colleague(author)
  return name === "" ? session.people.label(author) : `${session.people.label(author)} (${name})`
}
