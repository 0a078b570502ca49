import { afterEach, beforeEach, expect, test } from "vitest"
import { signInAnyway } from "../src/client/account.ts"
import { createPatient } from "../src/client/edits.ts"
import { sendAgain } from "../src/client/send-again.ts"
import { type Workspace, workspaceOf } from "../src/client/workspace.ts"
import { formOf } from "../src/clinical/form.ts"
import type { RecordId } from "../src/encoding/ids.ts"
import { brady, edit } from "./colleagues.ts"
import { password, Restoring } from "./restoring.ts"

/** A device's clock that is wrong for a while makes it forget nothing. */
const day = 24 * 3_600_000
const text = "Allergic to penicillin"
let practice: Restoring
let id: RecordId
beforeEach(async () => {
  practice = await Restoring.start()
  await practice.register("ada")
  const ada = await practice.open("ada")
  id = (await createPatient(ada, brady)).id
  await practice.putAway(ada)
  await practice.backUp("night", true)
}, 60_000)
afterEach(() => practice.close())

/** One sign-in on ada's device. */
async function signedIn(days: number, then: (ada: Workspace) => Promise<unknown>): Promise<void> {
  const around = { ...practice.device("ada"), now: () => Date.now() + days * day }
  const ada = workspaceOf(await signInAnyway(around, "ada", password))
  await ada.roster.load()
  await ada.roster.sync()
  await then(ada)
  await practice.putAway(ada)
}

const write = (ada: Workspace) => edit(ada, id, text)
const other = (ada: Workspace) => createPatient(ada, { ...brady, firstName: "Other" })

test.each([
  ["40 days ahead afterwards", [0, 40]],
  ["40 days ahead afterwards, and then right", [0, 40, 0]],
  ["40 days behind while it is written", [-40, 0]],
] as const)("what was written is kept, a clock being %s", { timeout: 120_000 }, async (_, [first, ...later]) => {
  await signedIn(first, write)
  for (const days of later) await signedIn(days, other)
  const { code } = await practice.restore("night")
  const back = await practice.openAnyway("ada")
  await back.session.confirmRestore(code)
  await back.roster.syncAfresh()
  const { unchanged, anew, left } = await sendAgain(back)
  expect([unchanged + anew, left]).toEqual([1 + later.length, []])
  expect(formOf((await back.records.open(id)).chart).diagnosis).toBe(text)
})
