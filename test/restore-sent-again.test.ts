import { afterEach, beforeEach, expect, test } from "vitest"
import { createPatient } from "../src/client/edits.ts"
import { sendAgain } from "../src/client/send-again.ts"
import type { Workspace } from "../src/client/workspace.ts"
import { formOf } from "../src/clinical/form.ts"
import type { RecordId } from "../src/encoding/ids.ts"
import { brady, edit } from "./colleagues.ts"
import { Restoring } from "./restoring.ts"

/** What a device sends again, where something was written since the restore. */
let practice: Restoring
let id: RecordId
let code: string
const diagnosis = async (work: Workspace) => formOf((await work.records.open(id)).chart).diagnosis

beforeEach(async () => {
  practice = await Restoring.start()
  await practice.register("ada")
  const one = await practice.open("ada", "one")
  id = (await createPatient(one, brady)).id
  await practice.putAway(one)
  await practice.putAway(await practice.open("ada", "two"))
  await practice.backUp("night", true)
  await edit(one, id, "Gout")
  await edit(one, id, "Gout, 100 mg")
  await practice.putAway(one)
  code = (await practice.restore("night")).code
})
afterEach(() => practice.close())

test("what the physician wrote on another device since the restore is not written over with older entries", {
  timeout: 120_000,
}, async () => {
  const two = await practice.openAnyway("ada", "two")
  await two.session.confirmRestore(code)
  await edit(two, id, "Gout, 300 mg since the restore")
  await practice.putAway(two)
  const one = await practice.openAnyway("ada", "one")
  const sent = await sendAgain(one)
  expect({ sent, diagnosis: await diagnosis(one) }).toMatchObject({
    sent: { anew: 0 },
    diagnosis: "Gout, 300 mg since the restore",
  })
})

test("of two devices that both send again, as the manual says, the newest entry is the newest afterwards", {
  timeout: 120_000,
}, async () => {
  // Both had written: first one, then two.
  await practice.backUp("later", true)
  const two = await practice.openAnyway("ada", "two")
  await two.session.confirmRestore(code)
  const one = await practice.open("ada", "one")
  await sendAgain(one)
  await edit(one, id, "Older, from one")
  await practice.putAway(one)
  const again = await practice.open("ada", "two")
  await edit(again, id, "Newest, from two")
  await practice.putAway(again)
  const second = await practice.restore("later")
  const first = await practice.openAnyway("ada", "two")
  await first.session.confirmRestore(second.code)
  await sendAgain(first)
  expect(await diagnosis(first)).toBe("Newest, from two")
  await practice.putAway(first)
  const last = await practice.openAnyway("ada", "one")
  await sendAgain(last)
  expect(await diagnosis(last)).toBe("Newest, from two")
})

test("two tabs of one device send again once", { timeout: 120_000 }, async () => {
  const first = await practice.openAnyway("ada", "one")
  await first.session.confirmRestore(code)
  const tabs = [first, await practice.openAnyway("ada", "one")]
  // Where both let go of an entry at once, one of them fails.
  await Promise.allSettled(tabs.map((tab) => sendAgain(tab)))
  const { steps } = await (await practice.open("ada", "fresh")).records.open(id)
  expect(steps.filter(({ entry }) => entry.kind === "write")).toHaveLength(2)
})

test("nobody else is said to have begun a record whose first entry was too large to be kept", {
  timeout: 120_000,
}, async () => {
  const one = await practice.openAnyway("ada", "one")
  await one.session.confirmRestore(code)
  await sendAgain(one)
  await practice.backUp("later", true)
  const patient = { resourceType: "Patient", name: [{ family: "Large" }], x: "x".repeat(8 * 1024 * 1024) }
  const large = await one.records.create({ by: "Ada", changes: [["Patient/1", JSON.stringify(patient)]] })
  await edit(one, large.id, "Asthma")
  await practice.putAway(one)
  const second = await practice.restore("later")
  const again = await practice.openAnyway("ada", "one")
  await again.session.confirmRestore(second.code)
  const { left } = await sendAgain(again)
  expect(left).toEqual([expect.objectContaining({ id: large.id, hasContent: true })])
  expect(left[0]!.reason).toMatch(/this device has not kept the entry that began it.* too large/)
})
