import { cp, writeFile } from "node:fs/promises"
import { join } from "node:path"
import { DatabaseSync } from "node:sqlite"
import { afterAll, expect } from "vitest"
import { importFile } from "../../src/client/imports.ts"
import { acceptInvitations } from "../../src/client/invitations.ts"
import { share } from "../../src/client/sharing.ts"
import type { Workspace } from "../../src/client/workspace.ts"
import { encodeBody } from "../../src/clinical/body.ts"
import { encodeSummary, summaryOf } from "../../src/clinical/summary.ts"
import type { RecordId } from "../../src/encoding/ids.ts"
import { entryPlace, summaryPlace } from "../../src/vault/places.ts"
import { seal } from "../../src/vault/seal.ts"
import { appendRaw } from "../append-raw.ts"
import { many, meet, physicians } from "../colleagues.ts"
import { type Door, openDoor } from "../hostile/door.ts"
import { openPractice, type Practice } from "../practice.ts"

/** A line that only this program may print. */
export const forged = "Signed by the key that you named."
/** Clear screen, clipboard, title, colour by C1; line breaks of every kind, each before a false line; directions; what cannot be seen. */
export const evil = [
  "Mallory\u001b[2J\u001b[1;1H\u001b]52;c;Y3VybA==\u0007\u001b]0;x\u001b\\\u009b31m\u0090q\u009c\u007f\b\u0000",
  ...["\n", "\r", "\r\n", "\u0085", "\u2028", "\u2029", "\v", "\f"].map((end) => `${end}${forged}`),
  "\u202egpj.exe\u202c\u2066\u2067\u2068\u2069\u200e\u200f\u061c\ufeff\u200b\u2060\u00ad\u{e0001}\u{e0041}\u3164\t.",
].join("")
/** As much of it as goes into a text without control characters and line breaks, such as a username in a database. */
export const short = `Mallory${evil.slice(7, 120)}`

/** What must stand in no output: all that steers, but for a joiner or a selector behind what it belongs to. */
const steering =
  /[\p{Cc}\p{Cs}\p{Zl}\p{Zp}\p{Bidi_Control}[\p{Default_Ignorable_Code_Point}--[\u200c\u200d\ufe00-\ufe0f\u{e0100}-\u{e01ef}]]]/v

export function expectHarmless(output: string, what: string): void {
  for (const line of output.split("\n")) {
    expect(JSON.stringify(line.match(steering)?.[0] ?? ""), `${what}: ${JSON.stringify(line)}`).toBe('""')
    expect(line, what).not.toMatch(/^\s*"?(Signed by the key that you named|forged)/)
  }
}

/** A practice in which everything that somebody else writes is hostile, and what a command's case has in hand. */
export interface Scene {
  readonly practice: Practice
  /** Stands before the server, honest until it is told otherwise. */
  readonly door: Door
  readonly id: RecordId
  readonly invited: RecordId
  /** A copy of the server's folder, whose database is hostile; and the folder of the server that runs. */
  readonly data: string
  readonly live: string
  readonly file: string
  /** Somebody writes into a record while ada watches. */
  writeWatched(): Promise<void>
}

/** The scene of a file's tests, which ends with them. */
export async function openScene(): Promise<Scene> {
  const practice = await openPractice()
  const door = await openDoor()
  afterAll(() => door.close())
  door.open(practice.server.url, null, true)
  const [ada, bea] = await physicians(practice, "ada", "bea")
  await meet(ada!, bea!)
  Object.defineProperty(bea!.session, "fullName", { value: evil })
  const file = join(practice.folder, "evil.json")
  const ids: RecordId[] = []
  // One to read, one to accept, one to watch, and one that is never accepted.
  for (const at of [0, 1, 2, 3]) {
    const bytes = new TextEncoder().encode(JSON.stringify(bundleOf(evil, at)))
    const report = await importFile(bea!, "evil.json", bytes, () => {}, { aborted: false })
    ids.push(report.records[0]!.id)
    await writeFile(file, bytes)
  }
  const [id, invited, watched] = ids as [RecordId, RecordId, RecordId]
  for (const one of ids) await share(bea!, [one], "ada", "owner", null, many)
  await acceptInvitations(ada!, [id, watched], many)
  await writeEvil(bea!, id)
  await ada!.roster.sync()
  await ada!.roster.fold()
  await ada!.session.pins.save()
  const data = join(practice.folder, "hostile-data")
  await cp(join(practice.folder, "data"), data, { recursive: true, filter: (path) => !/lock\.db$|\.sock$/.test(path) })
  poison(join(data, "healthcrypt.db"))
  const writeWatched = () => writeEvil(bea!, watched, [true])
  return { practice, door, id, invited, data, live: join(practice.folder, "data"), file, writeWatched }
}

/** An entry with a note, and an author's name, that no honest client writes; and one that cannot be read. */
async function writeEvil(bea: Workspace, id: RecordId, kinds: readonly boolean[] = [true, false]): Promise<void> {
  for (const readable of kinds) {
    const record = await bea.records.open(id)
    const seq = record.head.seq + 1
    const key = record.keys[0]!
    const body = encodeBody({ by: evil, changes: [], note: evil })
    const summary = encodeSummary({ ...summaryOf(record.chart), lastName: evil, firstName: evil, diagnoses: [evil] })
    const place = entryPlace(id, 0, readable ? seq : seq + 7, bea.session.physician)
    await appendRaw(bea, record, await seal(key, place, body), await seal(key, summaryPlace(id, 0, seq), summary))
  }
}

/** A patient of whom everything that can be a text is one and the same. */
function bundleOf(text: string, at: number) {
  const patient = `1111111${at}-1111-4111-8111-111111111111`
  const subject = { reference: `Patient/${patient}` }
  const coded = { text, coding: [{ system: "http://example.org", code: "x", display: text }] }
  const id = (n: number) => `2222222${n}-2222-4222-8222-22222222222${at}`
  const resources = [
    {
      resourceType: "Patient",
      id: patient,
      name: [{ family: text, given: [text], prefix: [text] }],
      birthDate: "1961-07-09",
      gender: "female",
      identifier: [{ type: { text }, system: text, value: text }],
      telecom: [{ system: "phone", value: text }],
      address: [{ text, line: [text], city: text }],
      contact: [{ relationship: [coded], name: { text }, telecom: [{ system: "phone", value: text }] }],
    },
    { resourceType: "Condition", id: id(1), subject, code: coded, note: [{ text }] },
    { resourceType: "AllergyIntolerance", id: id(2), patient: subject, code: coded },
    { resourceType: "Observation", id: id(3), subject, status: "final", code: coded, valueString: text },
    {
      resourceType: "MedicationRequest",
      id: id(4),
      subject,
      status: "active",
      intent: "order",
      medicationCodeableConcept: coded,
    },
    { resourceType: "Basic", id: id(5), subject, code: coded },
  ]
  return { resourceType: "Bundle", type: "collection", entry: resources.map((resource) => ({ resource })) }
}

/** Puts the hostile text into a row of every text column that takes it. */
function poison(path: string): void {
  const database = new DatabaseSync(path)
  database.exec("pragma ignore_check_constraints = on; pragma foreign_keys = off")
  const tables = database.prepare("select name from sqlite_schema where type = 'table'").all() as { name: string }[]
  let poisoned = 0
  for (const { name } of tables.filter(({ name }) => !/^(sqlite|kysely)_/.test(name)))
    for (const column of database.prepare(`pragma table_info("${name}")`).all() as { name: string; type: string }[]) {
      if (!/text/i.test(column.type)) continue
      try {
        const sql = `update "${name}" set "${column.name}" = ? where rowid = (select min(rowid) from "${name}")`
        poisoned += Number(database.prepare(sql).run(short).changes)
      } catch {
        // A column that is checked otherwise, or a table without rowid.
      }
    }
  database.close()
  expect(poisoned).toBeGreaterThan(5)
}
