import { afterEach, beforeEach, expect, test } from "vitest"
import { whatWentBack } from "../src/client/after-restore.ts"
import { Awaiting } from "../src/client/awaiting.ts"
import { createPatient } from "../src/client/edits.ts"
import { sendAgain } from "../src/client/send-again.ts"
import { confirmMany, confirmMembers, share, unshare, viewSharing } from "../src/client/sharing.ts"
import type { SharingView } from "../src/client/views.ts"
import type { Workspace } from "../src/client/workspace.ts"
import { formOf } from "../src/clinical/form.ts"
import type { RecordId } from "../src/encoding/ids.ts"
import type { Role } from "../src/proof/entry.ts"
import { brady, edit, give, many, meet, refused } from "./colleagues.ts"
import { Restoring } from "./restoring.ts"

/** Mal belonged to a record of Ada's when the backup was made, and was removed since. What was written after that is not for Mal to read, in
 * whatever order the restore is confirmed, and whoever confirms the list of members. */
let practice: Restoring
let id: RecordId
let ada: Workspace
let mal: Workspace
let code: string
beforeEach(async () => {
  practice = await Restoring.start()
})
afterEach(() => practice.close())

const long = 240_000
const hour = 3_600_000
const secret = "A secret from Mal"
const diagnosis = async (work: Workspace) => formOf((await work.records.open(id)).chart).diagnosis

/** Ada, Mal and perhaps Bea share a record; a backup is made; `since` is done, and the backup is put back. */
async function putBack(role: Role, since: (bea: Workspace | null) => Promise<unknown>, bea?: Role) {
  for (const username of ["ada", "mal", "bea"]) await practice.register(username)
  ada = await practice.open("ada")
  mal = await practice.open("mal")
  await meet(ada, mal)
  id = (await createPatient(ada, brady)).id
  await give(ada, mal, id, role)
  const other = bea === undefined ? null : await practice.open("bea")
  if (other !== null && bea !== undefined) {
    await meet(ada, other)
    await meet(mal, other)
    await give(ada, other, id, bea)
  }
  await practice.putAway(ada)
  await practice.backUp("last-night", true)
  await since(other)
  for (const work of [ada, mal, ...(other === null ? [] : [other])]) await practice.putAway(work)
  code = (await practice.restore("last-night")).code
}

const removeAndWrite = async () => {
  await unshare(ada, id, mal.session.physician)
  await edit(ada, id, secret)
}

async function back(username: string, device = username): Promise<Workspace> {
  const work = await practice.openAnyway(username, device)
  await work.session.confirmRestore(code)
  await work.roster.syncAfresh()
  return work
}

async function confirmedBy(work: Workspace): Promise<void> {
  expect(await confirmMembers(work, await viewSharing(work, id), [])).toBe("done")
}

async function readBy(work: Workspace): Promise<string> {
  await work.roster.syncAfresh()
  return diagnosis(work)
}

test("an owner who is back and confirms first is sent nothing of what was written since", {
  timeout: long,
}, async () => {
  await putBack("owner", removeAndWrite)
  mal = await back("mal")
  await confirmedBy(mal)

  // What the command and the page do, without a question in between.
  ada = await practice.openAnyway("ada")
  expect(await whatWentBack(ada)).toMatchObject({ confirm: [id], records: [{ returned: ["mal"] }] })
  await ada.session.confirmRestore(code)
  const waits = { unchanged: 0, anew: 0, waiting: 1 }
  expect(await sendAgain(ada)).toMatchObject(waits)
  await expect(edit(ada, id, "Typed without knowing")).rejects.toEqual(refused("NOT_ALLOWED_RESTORED"))
  // The same at every later sign-in.
  await practice.putAway(ada)
  ada = await practice.open("ada")
  expect(await sendAgain(ada)).toMatchObject(waits)
  expect(await readBy(mal)).toBe("Hypertension")

  const sharing = await viewSharing(ada, id)
  expect(sharing).toMatchObject({ confirmFirst: true, mayShare: true })
  expect(sharing.members.filter(({ returned }) => returned).map(({ colleague }) => colleague.username)).toEqual(["mal"])
  expect(await confirmMembers(ada, sharing, [mal.session.physician])).toBe("done")
  expect(await sendAgain(ada)).toMatchObject({ anew: 1, waiting: 0 })
  expect(await diagnosis(ada)).toBe(secret)
  await mal.roster.syncAfresh()
  await expect(mal.records.open(id)).rejects.toEqual(refused("NOT_ALLOWED"))
})

test("whom their owner keeps reads on", { timeout: long }, async () => {
  await putBack("owner", removeAndWrite)
  mal = await back("mal")
  await confirmedBy(mal)
  ada = await back("ada")
  await confirmedBy(ada)
  expect(await sendAgain(ada)).toMatchObject({ anew: 1, waiting: 0 })
  expect(await viewSharing(ada, id)).toMatchObject({ confirmFirst: false })
  expect(await readBy(mal)).toBe(secret)
  await edit(ada, id, "Afterwards")
  expect(await readBy(mal)).toBe("Afterwards")
})

test("who is confirmed out is out, whoever confirmed a moment before", { timeout: long }, async () => {
  await putBack("owner", removeAndWrite)
  ada = await back("ada")
  const shown = await viewSharing(ada, id)
  mal = await back("mal")
  await confirmedBy(mal)
  expect(await confirmMembers(ada, shown, [mal.session.physician])).toBe("done")
  expect((await viewSharing(ada, id)).members.map(({ colleague }) => colleague.username)).toEqual(["ada"])
  expect(await sendAgain(ada)).toMatchObject({ anew: 1 })
})

test("nobody is confirmed whom the list that was shown does not have", { timeout: long }, async () => {
  await putBack("owner", removeAndWrite)
  ada = await back("ada")
  const shown = await viewSharing(ada, id)
  mal = await back("mal")
  await confirmedBy(mal)
  await meet(mal, await back("bea"))
  expect(await share(mal, [id], "bea", "reader", null, many)).toMatchObject({ done: 1 })
  const without = [mal.session.physician]
  await expect(confirmMembers(ada, shown, without)).rejects.toEqual(refused("CONFLICT_MEMBERS"))
  expect(await sendAgain(ada)).toMatchObject({ anew: 0, waiting: 1 })
  const again = await viewSharing(ada, id)
  const returned = again.members.filter((member) => member.returned).map(({ colleague }) => colleague.physician)
  expect(returned).toHaveLength(2)
  expect(await confirmMembers(ada, again, returned)).toBe("done")
  expect((await viewSharing(ada, id)).members).toHaveLength(1)
})

test("a writer's notes wait for an owner who was one when Mal was out", { timeout: long }, async () => {
  await putBack(
    "owner",
    async (bea) => {
      await unshare(ada, id, mal.session.physician)
      await edit(bea!, id, secret)
    },
    "writer",
  )
  mal = await back("mal")
  await confirmedBy(mal)
  const bea = await back("bea")
  expect(await sendAgain(bea)).toMatchObject({ anew: 0, waiting: 1 })
  expect(await viewSharing(bea, id)).toMatchObject({ confirmFirst: true, mayShare: false })
  expect(await readBy(mal)).toBe("Hypertension")
  ada = await back("ada")
  expect(await confirmMembers(ada, await viewSharing(ada, id), [mal.session.physician])).toBe("done")
  await bea.roster.syncAfresh()
  expect(await sendAgain(bea)).toMatchObject({ anew: 1, waiting: 0 })
  expect(await readBy(ada)).toBe(secret)
})

test("a device that was cut off before it kept its heads knows whom its own entries removed", {
  timeout: long,
}, async () => {
  for (const username of ["ada", "mal"]) await practice.register(username)
  ada = await practice.open("ada")
  mal = await practice.open("mal")
  await meet(ada, mal)
  id = (await createPatient(ada, brady)).id
  await give(ada, mal, id, "owner")
  await practice.putAway(ada)
  await practice.putAway(mal)
  await practice.backUp("last-night", true)
  await removeAndWrite()
  await ada.session.remember()
  code = (await practice.restore("last-night")).code
  mal = await back("mal")
  await confirmedBy(mal)
  ada = await back("ada")
  expect(await sendAgain(ada)).toMatchObject({ anew: 0, waiting: 1 })
  expect(await readBy(mal)).toBe("Hypertension")
})

test("of a record that went on with its owner alone, the owner is not one who came back", {
  timeout: long,
}, async () => {
  await putBack("reader", () => unshare(ada, id, mal.session.physician))
  const { records } = await whatWentBack(await practice.openAnyway("ada"))
  expect(records.map(({ returned }) => returned)).toEqual([["mal"]])
})

test("whom an owner left out since the restore is told calmly, on a device that had seen the record", {
  timeout: long,
}, async () => {
  await putBack("reader", removeAndWrite)
  ada = await back("ada")
  expect(await confirmMembers(ada, await viewSharing(ada, id), [mal.session.physician])).toBe("done")
  // Mal confirms on another device first, and packs there what is left.
  const other = await practice.openAnyway("mal", "another of mal's")
  await other.session.confirmRestore(code)
  await other.roster.syncAfresh()
  await createPatient(other, brady)
  await other.roster.fold(true)
  mal = await practice.openAnyway("mal")
  await mal.roster.looked()
  expect(await whatWentBack(mal)).toMatchObject({ records: [], own: 0 })
  expect(mal.roster.rows.has(id)).toBe(false)
  expect(mal.session.log.refusal).toBeNull()
})

/** Mal was an owner at the time of the backup and removed since. He confirms himself, and gives the record to somebody for an hour. When
 * Ada then writes on a device that never saw the removal, her program makes a fresh key by itself: nobody was shown a list. */
test("a key that a program changed by itself decides about nobody who came back", { timeout: long }, async () => {
  for (const username of ["ada", "mal", "bea"]) await practice.register(username)
  ada = await practice.open("ada")
  mal = await practice.open("mal")
  await meet(ada, mal)
  id = (await createPatient(ada, brady)).id
  await give(ada, mal, id, "owner")
  await practice.putAway(ada)
  await practice.backUp("night", true)
  await unshare(ada, id, mal.session.physician)
  await edit(ada, id, secret)
  await practice.putAway(ada)
  await practice.putAway(mal)
  code = (await practice.restore("night")).code
  mal = await back("mal")
  await confirmMembers(mal, await viewSharing(mal, id), [])
  await meet(mal, await back("bea"))
  expect(await share(mal, [id], "bea", "reader", Date.now() + hour, many)).toMatchObject({ done: 1 })
  practice.pass(2 * hour)
  // Her machine at the practice, which never saw that Mal was removed: she writes, and is asked nothing.
  const desk = await back("ada", "desk")
  await edit(desk, id, "Harmless")
  await practice.putAway(desk)
  // Her own, which knows, and sends again at sign-in without a question.
  const own = await practice.openAnyway("ada")
  await own.roster.syncAfresh()
  const sent = await sendAgain(own)
  mal = await practice.open("mal")
  const read = formOf((await mal.records.open(id)).chart).diagnosis
  expect({ sent, read }).toMatchObject({ sent: { anew: 0, waiting: 1 }, read: "Harmless" })
})

test("who had a record until a day that was over is not sent what was written afterwards", {
  timeout: long,
}, async () => {
  for (const username of ["ada", "bea", "mal"]) await practice.register(username)
  ada = await practice.open("ada")
  mal = await practice.open("mal")
  const other = await practice.open("bea")
  await meet(ada, mal)
  await meet(ada, other)
  await meet(mal, other)
  id = (await createPatient(ada, brady)).id
  await give(ada, mal, id, "owner")
  await give(ada, other, id, "writer")
  await practice.putAway(ada)
  await practice.backUp("night", true)
  const day = 24 * 3_600_000
  expect(await share(ada, [id], "mal", "reader", Date.now() + day, many)).toMatchObject({ done: 1 })
  practice.pass(2 * day)
  const bea = await practice.open("bea")
  await edit(bea, id, "Not for Mal")
  await practice.putAway(bea)
  const late = await practice.open("mal")
  expect(late.roster.rows.has(id)).toBe(false)
  await practice.putAway(late)
  code = (await practice.restore("night")).code
  const malAgain = await back("mal")
  await confirmMembers(malAgain, await viewSharing(malAgain, id), [])
  const beaAgain = await back("bea")
  const sharing = await viewSharing(beaAgain, id)
  const sent = await sendAgain(beaAgain)
  await malAgain.roster.syncAfresh()
  const read = formOf((await malAgain.records.open(id)).chart).diagnosis
  expect({ waits: sharing.confirmFirst, sent, read }).toMatchObject({
    waits: true,
    sent: { waiting: 1, anew: 0 },
    read: "Hypertension",
  })
})

/** Mal was removed on Ada's laptop, and her desk has not heard of it. */
async function removedOnLaptop(): Promise<void> {
  for (const username of ["ada", "mal"]) await practice.register(username)
  ada = await practice.open("ada", "laptop")
  mal = await practice.open("mal")
  await meet(ada, mal)
  id = (await createPatient(ada, brady)).id
  await give(ada, mal, id, "reader")
  for (const work of [ada, mal, await practice.open("ada", "desk")]) await practice.putAway(work)
  await practice.backUp("night", true)
  await removeAndWrite()
  await practice.putAway(ada)
  code = (await practice.restore("night")).code
}

/** Nobody is asked who is back. */
async function confirmedOnDesk(): Promise<void> {
  const desk = await back("ada", "desk")
  expect(await confirmMany(desk, await new Awaiting(desk).list(), many)).toMatchObject({ done: 1 })
  await practice.putAway(desk)
}

const returnedIn = ({ members }: SharingView) => members.filter(({ returned }) => returned).length

test("what another device confirmed that knew nothing of it decides about nobody", { timeout: long }, async () => {
  await removedOnLaptop()
  await confirmedOnDesk()
  const laptop = await practice.openAnyway("ada", "laptop")
  expect(await sendAgain(laptop)).toMatchObject({ waiting: 1 })
  const shown = await viewSharing(laptop, id)
  expect([shown.confirmFirst, returnedIn(shown)]).toEqual([true, 1])
  const tab = await practice.open("ada", "laptop")
  expect(await viewSharing(tab, id)).toMatchObject({ confirmFirst: true })
  // Whom they keep there reads on.
  await confirmMembers(laptop, shown, [])
  await tab.roster.syncAfresh()
  for (const work of [laptop, tab]) expect(await viewSharing(work, id)).toMatchObject({ confirmFirst: false })
  expect(await sendAgain(laptop)).toMatchObject({ anew: 1, waiting: 0 })
})

const noted = async ({ session }: Workspace) =>
  (await session.around.storage.list("kept/")).filter((name) => name.endsWith("/decided")).length

test("whom a device has kept is not asked about once more when the server is put back again", {
  timeout: long,
}, async () => {
  await removedOnLaptop()
  ada = await back("ada", "laptop")
  await confirmedBy(ada)
  expect(await noted(ada)).toBe(1)
  await practice.putAway(ada)
  await practice.backUp("noon", true)
  code = (await practice.restore("noon")).code
  await confirmedOnDesk()
  const laptop = await practice.openAnyway("ada", "laptop")
  const shown = await viewSharing(laptop, id)
  expect([shown.confirmFirst, returnedIn(shown)]).toEqual([false, 0])
  expect(await sendAgain(laptop)).toMatchObject({ anew: 1, waiting: 0 })
})

test("a confirmation that decides about nobody who is back is not noted", { timeout: long }, async () => {
  await putBack("reader", async () => {})
  ada = await back("ada")
  await confirmedBy(ada)
  expect(await noted(ada)).toBe(0)
})
