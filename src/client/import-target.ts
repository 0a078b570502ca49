import { patientForm } from "../clinical/form.ts"
import type { ImportedPatient } from "../clinical/import.ts"
import type { PhysicianId, RecordId } from "../encoding/ids.ts"
import { AppError } from "../errors.ts"
import type { OpenRecord } from "./open-record.ts"
import { gapsOf, type RosterRow } from "./roster-row.ts"
import type { Workspace } from "./workspace.ts"

export interface ImportTarget {
  /** `null` where the patient gets a record of their own. */
  readonly record: RecordId | null
  /** Whether a record with the same Patient key is there into which nothing of the file must go. */
  readonly apart: boolean
}

/** Where a patient of a file belongs: into the record that this physician made of that very patient, by its first entry, and into no
 * other. A summary, and what a colleague wrote since, are claims: who could bring a file into a record of theirs would read it. Two
 * systems may number two patients alike, so the person has to be the same too, as this physician wrote them down. And a record with
 * entries that cannot be read takes nothing in: exporting it and importing that again makes one that can be shared. */
export async function importTarget(work: Workspace, { patient, changes }: ImportedPatient): Promise<ImportTarget> {
  const { roster, records, session } = work
  const text = changes.find(([key]) => key === patient)?.[1] ?? ""
  const rows = [...roster.rows.values()].filter((row) => row.patient === patient).sort(inOrder)
  for (const row of rows) {
    if (roster.refused.has(row.id) || gapsOf(row).size > 0) continue
    const record = await openedOf(records.open(row.id))
    if (record === null || !mayWrite(work, record)) continue
    if (ownWords(record, patient, session.physician).some((person) => samePerson(person, text)))
      return { record: row.id, apart: false }
  }
  return { record: null, apart: rows.length > 0 }
}

/** The same on every device: first what is not archived. */
function inOrder(a: RosterRow, b: RosterRow): number {
  return Number(a.archived) - Number(b.archived) || (a.id < b.id ? -1 : 1)
}

/** A Patient as one physician wrote them, from the record's first entry on. Where a colleague wrote in between, an edit of this physician's
 * has the colleague's words in it, and does not count. None where the first entry is another's, or of another patient. */
function ownWords({ steps }: OpenRecord, patient: string, me: PhysicianId): string[] {
  const words: string[] = []
  let last: PhysicianId = me
  for (const [at, { entry, body }] of steps.entries()) {
    const change = body?.changes.find(([key]) => key === patient)
    if (at === 0 && (change?.[1] === undefined || entry.author !== me)) return []
    if (change === undefined) continue
    if (entry.author === me && last === me && change[1] !== undefined) words.push(change[1])
    last = entry.author
  }
  return words
}

/** `null` for a record that was taken away, or is refused by now. */
async function openedOf(opening: Promise<OpenRecord>): Promise<OpenRecord | null> {
  try {
    return await opening
  } catch (error) {
    const ofTheRecord = error instanceof AppError && (error.is("TAMPERED") || error.code === "NOT_ALLOWED")
    if (ofTheRecord) return null
    throw error
  }
}

function mayWrite({ session }: Workspace, record: OpenRecord): boolean {
  const role = record.head.members.find(({ physician }) => physician === session.physician)?.role
  return role === "owner" || role === "writer"
}

/** Whether two texts of a Patient speak of one person: of two birth dates, both have to be the same, and one name with them; where one is
 * missing, both names. To take one patient for another is worse than a second record. */
function samePerson(a: string, b: string): boolean {
  const [one, other] = [patientForm(a), patientForm(b)]
  const equal = (name: keyof typeof one) => plain(one[name]) === plain(other[name])
  const same = (name: keyof typeof one) => one[name] !== "" && equal(name)
  if (one.birthDate !== "" && other.birthDate !== "")
    return same("birthDate") && (same("firstName") || same("lastName"))
  return (same("firstName") && same("lastName")) || (equal("firstName") && equal("lastName") && equal("birthDate"))
}

/** Without case, and without marks where they are accents; in other scripts they are vowels. */
function plain(text: string): string {
  const accents = /(?<=[\p{Script=Latin}\p{Script=Greek}\p{Script=Cyrillic}]\p{M}*)\p{M}/gu
  return text.normalize("NFKD").replace(accents, "").normalize("NFC").toLowerCase()
}
