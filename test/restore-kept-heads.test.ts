import { afterEach, beforeEach, expect, test } from "vitest"
import { whatWentBack } from "../src/client/after-restore.ts"
import { Awaiting } from "../src/client/awaiting.ts"
import { createPatient } from "../src/client/edits.ts"
import { confirmMany, leave, unshare, viewSharing } from "../src/client/sharing.ts"
import type { Workspace } from "../src/client/workspace.ts"
import { newId, type RecordId } from "../src/encoding/ids.ts"
import { Desk } from "./cli.ts"
import { brady, edit, give, many, meet, refused } from "./colleagues.ts"
import { pageOf } from "./page-api.ts"
import { password, Restoring } from "./restoring.ts"

/** Ada's device saw that Bea, another owner, removed Mal after the backup; what came in between must not make it forget that. */
let practice: Restoring
let bea: Workspace
let id: RecordId
let mal: Workspace
beforeEach(async () => {
  practice = await Restoring.start()
  for (const username of ["ada", "bea", "mal"]) await practice.register(username)
  const ada = await practice.open("ada")
  bea = await practice.open("bea")
  mal = await practice.open("mal")
  await meet(ada, bea)
  await meet(ada, mal)
  await meet(bea, mal)
  id = (await createPatient(ada, brady)).id
  await give(ada, bea, id, "owner")
  await give(ada, mal, id, "writer")
  await practice.putAway(ada)
  await practice.backUp("night", true)
}, 120_000)
afterEach(() => practice.close())
const long = 240_000
const storage = () => practice.device("ada").storage
/** The feed, where more of it is asked for than a sign-in does. */
const isOfRoster = (path: string) => /\/api\/changes.*limit=1000/.test(path)

async function removeMal() {
  await bea.roster.syncAfresh()
  await unshare(bea, id, mal.session.physician)
}

/** Puts the backup back, and demands that Ada's device still knows who had been removed. */
async function demandKnown() {
  const { code } = await practice.restore("night")
  const ada = await practice.openAnyway("ada")
  expect((await whatWentBack(ada)).records).toMatchObject([{ id, had: 4, has: 3, returned: ["mal"] }])
  await ada.session.confirmRestore(code)
  await ada.roster.syncAfresh()
  const sharing = await viewSharing(ada, id)
  expect(sharing.members.filter(({ returned }) => returned).map(({ colleague }) => colleague.username)).toEqual(["mal"])
  const waiting = await new Awaiting(ada).list()
  expect(waiting).toMatchObject([{ apart: true }])
  expect(await confirmMany(ada, waiting, many)).toMatchObject({ done: 0 })
  await expect(edit(ada, id, "Not for Mal")).rejects.toEqual(refused("NOT_ALLOWED_RESTORED"))
}

test("a sign-in that is locked before its roster is open takes nothing away", { timeout: long }, async () => {
  await removeMal()
  await practice.putAway(await practice.open("ada"))
  const api = pageOf(practice.url, storage(), { fails: isOfRoster })
  expect(await api.signIn("ada", password)).toMatchObject({ state: "signed-in" })
  await api.lock()
  await demandKnown()
})

test("a sign-in that a hostile server ends at once takes nothing away", { timeout: long }, async () => {
  await removeMal()
  await practice.putAway(await practice.open("ada"))
  const ended = () => Response.json({ code: "NOT_ALLOWED_SESSION", message: "" }, { status: 401 })
  const api = pageOf(practice.url, storage(), { fails: (path) => isOfRoster(path) && ended() })
  const wiped = new Promise<void>((done) => {
    void api.subscribe(({ type }) => type === "wiped" && done())
  })
  expect(await api.signIn("ada", password)).toMatchObject({ state: "signed-in" })
  await wiped
  await demandKnown()
})

test("a command that fails keeps what it saw", { timeout: long }, async () => {
  await removeMal()
  const desk = new Desk({ server: practice.url, username: "ada", password, home: practice.home("ada") })
  expect(await desk.run(["records", "show", newId<"record">()])).toMatchObject({ code: 1 })
  await demandKnown()
})

test("an older tab of the same device takes nothing away", { timeout: long }, async () => {
  const older = await practice.open("ada")
  await removeMal()
  await practice.putAway(await practice.open("ada"))
  await practice.putAway(older)
  await demandKnown()
})

test("a record that another device has left is no roll-back on a device that still keeps its head", {
  timeout: long,
}, async () => {
  const second = (await createPatient(bea, brady)).id
  await give(bea, await practice.open("ada"), second, "writer")
  const packed = await practice.open("ada")
  await packed.roster.fold(true)
  await practice.putAway(packed)
  const desk = await practice.open("ada", "desk")
  await leave(desk, second)
  await desk.roster.syncAfresh()
  await desk.roster.fold(true)
  const ada = await practice.open("ada")
  expect([ada.roster.rows.has(second), ada.roster.leftAt.has(second)]).toEqual([false, false])
  await practice.putAway(ada)
  await practice.backUp("later", true)
  await practice.restore("later")
  expect(await whatWentBack(await practice.openAnyway("ada"))).toMatchObject({ records: [], own: 0 })
})
