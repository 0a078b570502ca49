import { afterEach, beforeEach, expect, test } from "vitest"
import { whatWentBack } from "../src/client/after-restore.ts"
import { createPatient, savePatient } from "../src/client/edits.ts"
import { dismiss, lostAsText, sendAgain } from "../src/client/send-again.ts"
import { unshare } from "../src/client/sharing.ts"
import { settleUnheard } from "../src/client/unheard.ts"
import type { Workspace } from "../src/client/workspace.ts"
import { formOf } from "../src/clinical/form.ts"
import type { RecordId } from "../src/encoding/ids.ts"
import { type ErrorCode, errors } from "../src/errors.ts"
import { brady, edit, give, meet, refused } from "./colleagues.ts"
import type { Between } from "./practice.ts"
import { Restoring } from "./restoring.ts"

/** That a server refused an entry is its word: the device keeps it until the log shows what became of it. */
const long = 240_000
const text = "Allergic to penicillin"
const waitMs = 11 * 60_000
let practice: Restoring
let id: RecordId
let ada: Workspace
/** What the server says of entries, and whether it stores them all the same. */
let says: ErrorCode | null
let stores: boolean
/** The records whose entries were asked for since they were last counted, */
let reads: string[]
/** and what the server says of one of them instead of showing them. */
let hidden: { readonly record: RecordId; readonly code: ErrorCode } | null

const saying = (code: ErrorCode) => ({
  status: errors[code][0],
  body: new TextEncoder().encode(JSON.stringify({ code, message: "No." })),
})

const between: Between = async (request, send) => {
  const read = request.method === "GET" && /\/records\/([^/]+)\/entries\?/.exec(request.path)?.[1]
  if (read) {
    reads.push(read)
    if (read === hidden?.record) return saying(hidden.code)
  }
  if (says === null || request.method !== "POST" || !request.path.endsWith("/entries")) return send(request)
  if (stores) await send(request)
  return saying(says)
}

beforeEach(async () => {
  says = null
  stores = false
  reads = []
  hidden = null
  practice = await Restoring.start()
  await practice.register("ada")
  const first = await practice.open("ada")
  id = (await createPatient(first, brady)).id
  await practice.putAway(first)
  await practice.backUp("night", true)
  ada = await practice.openAnyway("ada", "ada", undefined, between)
}, 60_000)
afterEach(() => practice.close())

const lone = async (work = ada) => {
  const names = await work.session.around.storage.list("kept/")
  return names.filter((name) => name.includes("/sent-")).length
}
const diagnosisOf = async (work: Workspace) => formOf((await work.records.open(id)).chart).diagnosis

async function refuse(code: ErrorCode, record = id): Promise<void> {
  const { head, chart } = await ada.records.open(record)
  says = code
  const saving = savePatient(ada, record, head.seq, { ...formOf(chart), diagnosis: text })
  await expect(saving).rejects.toEqual(refused(code))
  says = null
}

async function settleLater(): Promise<void> {
  practice.pass(waitMs)
  await ada.roster.syncAfresh()
  await settleUnheard(ada)
}

async function restored(name = "night", through?: Between): Promise<Workspace> {
  const { code } = await practice.restore(name)
  const back = await practice.openAnyway("ada", "ada", undefined, through)
  await back.session.confirmRestore(code)
  await back.roster.syncAfresh()
  return back
}

test.each(["BAD_INPUT_STATEMENT", "NOT_ALLOWED", "UNAVAILABLE_STORAGE"] as const)(
  "what the log has is sent again after a restore, though the server said %s",
  { timeout: long },
  async (code) => {
    stores = true
    await refuse(code)
    await ada.roster.syncAfresh()
    await settleUnheard(ada)
    expect(await diagnosisOf(ada)).toBe(text)
    await practice.putAway(ada)
    expect(await lone()).toBe(0)
    const back = await restored()
    expect(await sendAgain(back)).toMatchObject({ anew: 1, left: [] })
    expect(await diagnosisOf(back)).toBe(text)
  },
)

test("so is what the physician was told to be saved with a colleague's changes", { timeout: long }, async () => {
  const { head, chart } = await ada.records.open(id)
  says = "CONFLICT_HEAD"
  stores = true
  const saved = await savePatient(ada, id, head.seq, { ...formOf(chart), diagnosis: text })
  expect(saved).toMatchObject({ saved: true, merged: true })
  // Nothing was asked of the log yet: the device is put away right after it.
  await practice.putAway(ada)
  const back = await restored()
  expect(await sendAgain(back)).toMatchObject({ anew: 1, left: [] })
  expect(await diagnosisOf(back)).toBe(text)
})

test("so is what the physician's next entry was put on", { timeout: long }, async () => {
  stores = true
  await refuse("BAD_INPUT_STATEMENT")
  await edit(ada, id, "Allergic to penicillin, and to cefalexin")
  // It is switched off.
  const back = await restored()
  expect(await sendAgain(back)).toMatchObject({ left: [] })
  const { steps } = await back.records.open(id)
  expect(steps.filter(({ entry }) => entry.kind === "write")).toHaveLength(2)
  expect(await diagnosisOf(back)).toBe("Allergic to penicillin, and to cefalexin")
})

test.each([true, false])(
  "what nothing was seen of is named after a restore, and sent by nobody: stored %s",
  { timeout: long },
  async (stored) => {
    stores = stored
    await refuse("BAD_INPUT_STATEMENT")
    const back = await restored()
    expect(await whatWentBack(back)).toMatchObject({ own: 0 })
    const { left, ...sent } = await sendAgain(back)
    expect(sent).toMatchObject({ unchanged: 0, anew: 0, waiting: 0 })
    expect(left).toMatchObject([{ id, hasContent: true, isFinal: true }])
    expect(await diagnosisOf(back)).toBe(brady.diagnosis)
    expect(await lostAsText(back)).toContain(text)
    await dismiss(
      back,
      left.map(({ key }) => key),
    )
    expect(await lostAsText(back)).toBeNull()
    expect(await sendAgain(back)).toMatchObject({ left: [] })
  },
)

test("a conflict is settled once the other entry was seen", { timeout: long }, async () => {
  const { head, chart } = await ada.records.open(id)
  const elsewhere = await practice.open("ada", "ada, elsewhere")
  await edit(elsewhere, id, "Gout")
  const merged = await savePatient(ada, id, head.seq, { ...formOf(chart), lastName: "Kuhlmann" })
  expect(merged).toMatchObject({ saved: true, merged: true })
  await settleUnheard(ada)
  await ada.session.kept.flush()
  expect(await lone()).toBe(0)
})

test("what the server refuses is forgotten after a while, and at once with the next entry", {
  timeout: long,
}, async () => {
  await refuse("UNAVAILABLE_QUOTA")
  await refuse("UNAVAILABLE_STORAGE")
  await ada.roster.syncAfresh()
  await settleUnheard(ada)
  expect(await lone()).toBe(2)
  await settleLater()
  expect(await lone()).toBe(0)
  await refuse("UNAVAILABLE_BUSY")
  await edit(ada, id, text)
  await settleUnheard(ada)
  await ada.session.kept.flush()
  expect(await lone()).toBe(0)
})

/** Settles what is left. @returns how often each record's entries were asked for */
async function readsToSettle(work: Workspace, ...records: readonly RecordId[]): Promise<number[]> {
  reads = []
  await settleUnheard(work)
  await work.session.kept.flush()
  return records.map((record) => reads.filter((one) => one === record).length)
}

test.each(["NOT_ALLOWED", "UNAVAILABLE_BUSY"] as const)(
  "what was refused of a record is settled at once, and keeps no other record's waiting: %s",
  { timeout: long },
  async (code) => {
    const other = (await createPatient(ada, { ...brady, firstName: "Other" })).id
    for (const diagnosis of ["First", "Second", "Third"]) {
      await refuse("UNAVAILABLE_QUOTA")
      await edit(ada, id, diagnosis)
    }
    await refuse("UNAVAILABLE_QUOTA", other)
    for (const diagnosis of ["First", "Second"]) await edit(ada, other, diagnosis)
    await ada.session.kept.flush()
    expect(await lone()).toBe(4)
    hidden = { record: id, code }
    expect(await readsToSettle(ada, id, other)).toEqual([1, 1])
    expect(await lone()).toBe(3)
    // It is asked about once whenever something new is asked for, and nothing is forgotten for that.
    practice.pass(waitMs)
    expect(await readsToSettle(ada, id, other)).toEqual([1, 0])
    expect(await lone()).toBe(3)
    hidden = null
    expect(await readsToSettle(ada, id, other)).toEqual([1, 0])
    expect(await lone()).toBe(0)
  },
)

test("of a record that its author is out of, what was refused is asked about once", { timeout: long }, async () => {
  await practice.register("bob")
  const bob = await practice.openAnyway("bob", "bob", undefined, between)
  await meet(ada, bob)
  await give(ada, bob, id, "writer")
  const opened = await bob.records.open(id)
  await unshare(ada, id, bob.session.physician)
  for (const by of ["Bob", "Bob once more"])
    await expect(bob.records.write(opened, { by, changes: [] })).rejects.toEqual(refused("NOT_ALLOWED"))
  await bob.roster.syncAfresh()
  hidden = { record: id, code: "NOT_ALLOWED" }
  expect(await readsToSettle(bob, id)).toEqual([1])
  practice.pass(waitMs)
  expect(await readsToSettle(bob, id)).toEqual([0])
  expect(await lone(bob)).toBe(2)
})

test("what somebody wrote who is out of the record is settled by what they may still read", {
  timeout: long,
}, async () => {
  await practice.register("bob")
  const bob = await practice.open("bob")
  await meet(ada, bob)
  await give(ada, bob, id, "writer")
  const opened = await bob.records.open(id)
  await unshare(ada, id, bob.session.physician)
  await expect(bob.records.write(opened, { by: "Bob", changes: [] })).rejects.toEqual(refused("NOT_ALLOWED"))
  expect(await lone(bob)).toBe(1)
  await bob.roster.syncAfresh()
  expect(bob.roster.rows.has(id)).toBe(false)
  await settleUnheard(bob)
  expect(await lone(bob)).toBe(0)
})

test("what is refused while it is sent again goes on from what it was made of", { timeout: long }, async () => {
  await edit(ada, id, text)
  await practice.putAway(ada)
  const back = await restored("night", between)
  says = "UNAVAILABLE_STORAGE"
  // Every pull tries it once more.
  for (let i = 0; i < 3; i++) await expect(sendAgain(back)).rejects.toEqual(refused("UNAVAILABLE_STORAGE"))
  says = null
  // The disk is full, and the operator puts the backup back once more.
  const again = await restored()
  expect(await sendAgain(again)).toMatchObject({ anew: 1, left: [] })
  const { steps } = await again.records.open(id)
  expect(steps.filter(({ entry }) => entry.kind === "write")).toHaveLength(1)
  expect(await diagnosisOf(again)).toBe(text)
  expect(await lostAsText(again)).toBeNull()
})

test("a server that refuses everything fills no disk", { timeout: long }, async () => {
  const { own } = ada.session.kept
  const time = Date.now()
  const body = new Uint8Array(5 * 1024 * 1024)
  const sent = { statement: new Uint8Array(100), signature: new Uint8Array(64), body }
  for (let i = 0; i < 8; i++) {
    const one = { record: id, seq: 1, time: time + i, hash: new Uint8Array(32).fill(i), sent }
    await own.sending(one)
    await own.refused(one)
  }
  expect(own.recent.map(({ hash }) => hash[0])).toEqual([5, 6, 7])
  expect(await lone()).toBe(3)
})
