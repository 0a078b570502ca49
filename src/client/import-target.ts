import { patientForm } from "../clinical/form.ts"
import type { ImportedPatient } from "../clinical/import.ts"
import type { RecordId } from "../encoding/ids.ts"
import { AppError } from "../errors.ts"
import type { OpenRecord } from "./open-record.ts"
import { gapsOf } from "./roster-row.ts"
import { fold } from "./search.ts"
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
  const rows = [...roster.rows.values()].filter((row) => row.patient === patient)
  for (const row of rows) {
    if (roster.refused.has(row.id) || gapsOf(row).size > 0) continue
    const record = await openedOf(records.open(row.id))
    if (record === null || !mayWrite(work, record)) continue
    const own = record.steps.map(({ entry, body }) => (entry.author === session.physician ? body : null))
    const persons = own.map((body) => body?.changes.find(([key]) => key === patient)?.[1])
    if (persons[0] === undefined) continue
    if (persons.some((person) => person !== undefined && samePerson(person, text)))
      return { record: row.id, apart: false }
  }
  return { record: null, apart: rows.length > 0 }
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

/** Whether two texts of a Patient speak of one person: what is the same outweighs one name, or the birth date, that was corrected. */
function samePerson(a: string, b: string): boolean {
  const [one, other] = [patientForm(a), patientForm(b)]
  const equal = (name: keyof typeof one) => fold(one[name]) === fold(other[name])
  const same = (name: keyof typeof one) => one[name] !== "" && equal(name)
  if (same("birthDate") && (same("firstName") || same("lastName"))) return true
  return (same("firstName") && same("lastName")) || (equal("firstName") && equal("lastName") && equal("birthDate"))
}
