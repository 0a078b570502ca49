import { rm } from "node:fs/promises"
import { join } from "node:path"
import { afterEach, beforeEach, expect, test } from "vitest"
import { whatWentBack } from "../src/client/after-restore.ts"
import { createPatient } from "../src/client/edits.ts"
import { sendAgain } from "../src/client/send-again.ts"
import type { Workspace } from "../src/client/workspace.ts"
import { formOf } from "../src/clinical/form.ts"
import type { RecordId } from "../src/encoding/ids.ts"
import { brady, edit } from "./colleagues.ts"
import { Restoring } from "./restoring.ts"

/** One device, and several logs that the practice does not have any more: which of them was the last. */
const long = 240_000
const since = "You have written in this record since."

let practice: Restoring
/** Signed in before the backup: what is written there knows nothing of what is lost. */
let early: Workspace
let id: RecordId
beforeEach(async () => {
  practice = await Restoring.start()
  await practice.register("ada")
  early = await practice.open("ada")
  id = (await createPatient(early, brady)).id
  await practice.putAway(early)
  await practice.backUp("night", true)
})
afterEach(() => practice.close())

/** Puts a backup back, and confirms it on the one device. */
async function back(backup: string): Promise<Workspace> {
  const { code } = await practice.restore(backup)
  const ada = await practice.openAnyway("ada")
  await ada.session.confirmRestore(code)
  await ada.roster.syncAfresh()
  return ada
}

async function write(ada: Workspace, ...diagnoses: string[]): Promise<void> {
  for (const diagnosis of diagnoses) await edit(ada, id, diagnosis)
  await practice.putAway(ada)
}

const diagnosisOf = async (ada: Workspace) => formOf((await ada.records.open(id)).chart).diagnosis

/** The log of a second restore comes from two restores, the one after it from one. */
test("a log that was left later is the newer one, however many restores led to it", { timeout: long }, async () => {
  const first = await back("night")
  await practice.putAway(first)
  await practice.backUp("noon")
  await write(await back("noon"), "Older", "Older, 100 mg")
  const third = await back("night")
  await write(third, "Newest")
  expect(await sendAgain(third)).toMatchObject({ unchanged: 0, anew: 0, left: [{ reason: since }, { reason: since }] })
  await practice.putAway(third)
  const { code } = await practice.restore("night")
  const last = await practice.openAnyway("ada")
  expect((await whatWentBack(last)).records).toMatchObject([{ id, had: 3, has: 1, own: 3 }])
  await last.session.confirmRestore(code)
  await last.roster.syncAfresh()
  const sent = await sendAgain(last)
  expect({ sent, diagnosis: await diagnosisOf(last) }).toMatchObject({
    sent: { anew: 1, left: [{ reason: since }, { reason: since }] },
    diagnosis: "Newest",
  })
})

/** As if the device had been switched off between sending an entry again and letting go of it. */
test("an entry that was sent again is kept once, in the log that it is in", { timeout: long }, async () => {
  await write(early, "Gout")
  const first = await back("night")
  first.session.kept.done = async () => {}
  expect(await sendAgain(first)).toMatchObject({ unchanged: 1, left: [] })
  await practice.putAway(first)
  const second = await back("night")
  expect((await second.session.kept.former()).map(({ own }) => own.length)).toEqual([2, 2])
  expect((await whatWentBack(second)).own).toBe(1)
  expect(await sendAgain(second)).toMatchObject({ unchanged: 1, left: [] })
  expect(await diagnosisOf(second)).toBe("Gout")
})

/** The newest backup turns out to be a bad one, too. */
test("what the restored backup holds is kept, should an earlier one be put back next", { timeout: long }, async () => {
  await write(early, "Gout")
  await practice.backUp("noon")
  const noon = await back("noon")
  expect(await sendAgain(noon)).toMatchObject({ unchanged: 0, anew: 0, left: [] })
  await practice.putAway(noon)
  const night = await back("night")
  expect(await sendAgain(night)).toMatchObject({ left: [] })
  expect(await diagnosisOf(night)).toBe("Gout")
})

test("of logs from as many restores of one backup the one that was left last is the newest", {
  timeout: long,
}, async () => {
  for (const count of [1, 2, 3, 4]) {
    const ada = await back("night")
    await write(ada, ...Array.from({ length: count }, (_, i) => `Entry ${i + 1} of ${count}`))
  }
  const last = await back("night")
  // Each first entry after a restore brings one that begins a fresh key.
  expect((await last.session.kept.former()).map(({ own }) => own.length)).toEqual([5, 4, 3, 2, 1])
  const sent = await sendAgain(last)
  expect({ sent, diagnosis: await diagnosisOf(last) }).toMatchObject({
    sent: { anew: 4, left: Array.from({ length: 6 }, () => ({ reason: since })) },
    diagnosis: "Entry 4 of 4",
  })
})

test("a device whose pins were moved away goes on counting from its log's restores", { timeout: long }, async () => {
  await practice.putAway(await back("night"))
  await practice.backUp("noon")
  await practice.putAway(await back("noon"))
  await rm(join(practice.home("ada"), "pins"), { recursive: true })
  expect((await practice.open("ada")).session.pins.restores).toBe(2)
})
