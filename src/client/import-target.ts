import { type PatientNumbers, patientForm, patientNumbers } from "../clinical/form.ts"
import type { ImportedPatient } from "../clinical/import.ts"
import { parseUtf8 } from "../encoding/bytes.ts"
import type { PhysicianId, RecordId } from "../encoding/ids.ts"
import { AppError } from "../errors.ts"
import { newerEntry, type OpenRecord } from "./open-record.ts"
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
 * entries that cannot be read takes nothing in: exporting it and importing that again makes one that can be shared.
 * @param among the records that may be it; any, if `null` */
export async function importTarget(
  work: Workspace,
  { patient, changes }: ImportedPatient,
  among: readonly RecordId[] | null,
): Promise<ImportTarget> {
  if (patient === "") return { record: null, apart: false }
  const { roster, records } = work
  const text = changes.find(([key]) => key === patient)?.[1] ?? ""
  const rows = roster.rows
    .ofPatient(patient)
    .filter(({ id }) => among === null || among.includes(id))
    .sort(inOrder)
  for (const row of rows) {
    if (roster.refused.has(row.id) || gapsOf(row).size > 0) continue
    const record = await openedOf(records.open(row.id))
    if (record === null || !mayWrite(work, record) || newerEntry(record) !== null) continue
    if (await isTheirs(work, record, patient, text)) return { record: row.id, apart: false }
  }
  return { record: null, apart: rows.length > 0 }
}

/** The same on every device: first what is not archived. */
function inOrder(a: RosterRow, b: RosterRow): number {
  return Number(a.archived) - Number(b.archived) || (a.id < b.id ? -1 : 1)
}

/** Whether a Patient's text speaks of the one whom this physician wrote down, from the record's first entry on. Where a colleague wrote in
 * between, an edit of this physician's has the colleague's words in it, and does not count. Nobody's where the first entry is another's,
 * or of another patient. */
async function isTheirs(work: Workspace, record: OpenRecord, patient: string, text: string): Promise<boolean> {
  const me = work.session.physician
  let last: PhysicianId = me
  let first = false
  let same = false
  await work.records.replay(record, ({ entry }, content) => {
    const change = content?.changes.find(({ key }) => key === patient)
    if (entry.seq === 0) first = entry.author === me && change !== undefined && change.text !== null
    if (change === undefined || !first) return
    const own = entry.author === me && last === me && change.text !== null
    same ||= own && samePerson(parseUtf8(change.text), text)
    last = entry.author
  })
  return first && same
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
 * missing, both names. Whoever has no two of these, such as somebody whose names were taken out, has to have a number of the same system,
 * and nothing that differs. To take one patient for another is worse than a second record. */
function samePerson(a: string, b: string): boolean {
  const [one, other] = [patientForm(a), patientForm(b)]
  const same = (name: keyof typeof one) => plain(one[name]) === plain(other[name])
  const inBoth = (name: keyof typeof one) => one[name] !== "" && other[name] !== ""
  const names = (["firstName", "lastName"] as const).filter(inBoth)
  if (inBoth("birthDate") && !same("birthDate")) return false
  if (inBoth("birthDate") && names.length > 0) return names.some(same)
  if (!names.every(same)) return false
  return names.length === 2 || sameNumber(patientNumbers(a), patientNumbers(b))
}

function sameNumber(a: PatientNumbers, b: PatientNumbers): boolean {
  if (a.gender !== "" && b.gender !== "" && a.gender !== b.gender) return false
  return b.numbers.some((number) => a.numbers.includes(number))
}

/** Without case, and without marks where they are accents; in other scripts they are vowels. */
function plain(text: string): string {
  const accents = /(?<=[\p{Script=Latin}\p{Script=Greek}\p{Script=Cyrillic}]\p{M}*)\p{M}/gu
  return text.normalize("NFKD").replace(accents, "").normalize("NFC").toLowerCase()
}
