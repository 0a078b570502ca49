import { afterEach, beforeEach, expect, test } from "vitest"
import { createPatient } from "../src/client/edits.ts"
import { sendAgain } from "../src/client/send-again.ts"
import { confirmMembers, viewSharing } from "../src/client/sharing.ts"
import { formOf } from "../src/clinical/form.ts"
import { brady, edit, give, meet } from "./colleagues.ts"
import { Restoring } from "./restoring.ts"

let practice: Restoring
beforeEach(async () => {
  practice = await Restoring.start()
})
afterEach(() => practice.close())

test("what a colleague wrote after the first restore is not written over after the second", {
  timeout: 240_000,
}, async () => {
  for (const username of ["ada", "bea"]) await practice.register(username)
  const ada = await practice.open("ada")
  const other = await practice.open("bea")
  await meet(ada, other)
  const { id } = await createPatient(ada, brady)
  await give(ada, other, id, "writer")
  await practice.putAway(ada)
  await practice.putAway(other)
  await practice.backUp("first", true)
  await edit(ada, id, "Ada, long ago")
  await practice.putAway(ada)
  const { code } = await practice.restore("first")
  const back = async (username: string, digits: string, device = username) => {
    const work = await practice.openAnyway(username, device)
    await work.session.confirmRestore(digits)
    await work.roster.syncAfresh()
    return work
  }
  const desk = await back("ada", code, "desk")
  await confirmMembers(desk, await viewSharing(desk, id), [])
  const bea = await back("bea", code)
  await edit(bea, id, "Bea, newer")
  await practice.putAway(bea)
  const own = await practice.openAnyway("ada")
  expect(await sendAgain(own)).toMatchObject({
    anew: 0,
    left: [{ id, reason: expect.stringMatching(/colleague has written/) }],
  })
  await practice.putAway(own)
  await practice.backUp("second", true)
  const second = await practice.restore("second")
  const again = await back("ada", second.code)
  await confirmMembers(again, await viewSharing(again, id), [])
  const sent = await sendAgain(again)
  const diagnosis = formOf((await again.records.open(id)).chart).diagnosis
  expect({ sent, diagnosis }).toMatchObject({ sent: { anew: 0 }, diagnosis: "Bea, newer" })
})
