import { join } from "node:path"
import { DatabaseSync } from "node:sqlite"
import { beforeAll, expect, it } from "vitest"
import { createPatient, savePatient } from "../src/client/edits.ts"
import { acceptInvitations } from "../src/client/invitations.ts"
import { share, unshare } from "../src/client/sharing.ts"
import type { Workspace } from "../src/client/workspace.ts"
import { formOf } from "../src/clinical/form.ts"
import type { RecordId } from "../src/encoding/ids.ts"
import { limits } from "../src/encoding/limits.ts"
import { parseEntry } from "../src/proof/entry.ts"
import { openGrant } from "../src/vault/grants.ts"
import { asSecretKey, type SecretKey } from "../src/vault/keys.ts"
import { entryPlace, selfGrantPlace, summaryPlace } from "../src/vault/places.ts"
import { open } from "../src/vault/seal.ts"
import { brady, many, meet } from "./colleagues.ts"
import { openPractice } from "./practice.ts"

const practice = await openPractice()
let ada: Workspace
let ben: Workspace
let cyd: Workspace
let id: RecordId

beforeAll(async () => {
  for (const name of ["ada", "ben", "cyd"]) await practice.register(name)
  ;[ada, ben, cyd] = [await practice.open("ada"), await practice.open("ben"), await practice.open("cyd")]
  for (const other of [ben, cyd]) {
    await meet(ada, other)
  }
  id = (await createPatient(ada, brady)).id
  for (const other of [ben, cyd]) {
    await share(ada, [id], other.session.username, "writer", null, many)
    await acceptInvitations(other, [id], many)
  }
})

async function write(by: Workspace, diagnosis: string): Promise<number> {
  const { head, chart } = await by.records.open(id)
  const saved = await savePatient(by, id, head.seq, { ...formOf(chart), diagnosis })
  if (!saved.saved) throw new Error("not saved")
  return saved.seq
}

it("gives no key that the removed one ever had a way into what is written afterwards, with the whole database before them", async () => {
  const before = await write(ben, "Asthma")
  const had = (await ben.records.open(id)).keys.filter((key) => key !== undefined)
  await unshare(ada, id, ben.session.physician)
  const after = await write(ada, "Migraine")
  await write(cyd, "Gout")

  const database = new DatabaseSync(join(practice.folder, "data", "healthcrypt.db"), { readOnly: true })
  const rows = database.prepare("SELECT seq, statement, summary, body FROM entry WHERE record = ? ORDER BY seq").all(id)
  const grants = database.prepare("SELECT seq, recipient, token FROM sealed_grant WHERE record = ?").all(id)
  const selfGrants = database.prepare("SELECT physician, epoch, token FROM self_grant WHERE record = ?").all(id)
  database.close()

  // Everything secret that Ben's client ever held, and whatever it can make of the database with it.
  const { session } = ben
  const keys: SecretKey[] = [
    ...had,
    session.key,
    asSecretKey(session.keyring.signSeed),
    asSecretKey(session.keyring.sealSeed),
  ]
  const opens = async (key: SecretKey, place: Uint8Array, token: unknown, exact = false) =>
    open(key, place, token as Uint8Array, exact ? { exact } : { inflateTo: limits.inflatedBytes }).then(
      (body) => body,
      () => null,
    )
  const everybody = [ada, ben, cyd].map((work) => work.session.physician)
  for (const { epoch, token } of selfGrants)
    for (const physician of everybody) {
      const opened = await opens(session.key, selfGrantPlace(physician, id, Number(epoch)), token, true)
      if (opened !== null) keys.push(asSecretKey(opened))
    }
  const fingerprints = new Map(
    [ada, ben, cyd].map((work) => [work.session.physician, work.session.identity.fingerprint]),
  )
  let grantsOpened = 0
  for (const { seq, token } of grants)
    for (const granter of everybody)
      for (const recipient of everybody)
        for (const role of ["owner", "writer", "reader"] as const) {
          const place = {
            record: id,
            granter,
            granterFingerprint: fingerprints.get(granter)!,
            recipient,
            recipientFingerprint: fingerprints.get(recipient)!,
            seq: Number(seq),
            role,
          }
          const granted = await openGrant(session.keyring.sealSeed, place, token as Uint8Array).catch(() => null)
          if (granted === null) continue
          grantsOpened++
          keys.push(...granted.keys.values())
        }
  // Or the search would show nothing: one grant was Ben's, and with its key what was written before opens.
  expect(grantsOpened).toBe(1)

  const opened: number[] = []
  for (const row of rows) {
    const entry = parseEntry(row.statement as Uint8Array)
    for (const key of keys)
      for (const epoch of [0, 1, 2]) {
        const places = [
          [entryPlace(id, epoch, entry.seq, entry.author), row.body],
          [summaryPlace(id, epoch, entry.seq), row.summary],
        ] as const
        for (const [place, token] of places)
          if (token !== null && (await opens(key, place, token)) !== null) opened.push(entry.seq)
      }
  }
  expect(new Set(opened)).toEqual(new Set([0, before]))
  expect(after).toBeGreaterThan(before)

  // And their client keeps nothing of it.
  await expect(ben.records.open(id)).rejects.toMatchObject({ code: "NOT_ALLOWED" })
  expect(ben.roster.rows.has(id)).toBe(false)
  expect(ben.session.pins.heads.has(id)).toBe(false)
  await ben.session.remember()
  expect((await practice.open("ben")).roster.rows.has(id)).toBe(false)
})
