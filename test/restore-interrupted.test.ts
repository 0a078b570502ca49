import { afterEach, beforeEach, expect, test, vi } from "vitest"
import { signInAnyway } from "../src/client/account.ts"
import { whatWentBack } from "../src/client/after-restore.ts"
import { createPatient } from "../src/client/edits.ts"
import { lostAsText, sendAgain } from "../src/client/send-again.ts"
import { settleUnheard } from "../src/client/unheard.ts"
import { type Workspace, workspaceOf } from "../src/client/workspace.ts"
import { formOf } from "../src/clinical/form.ts"
import { utf8 } from "../src/encoding/bytes.ts"
import type { RecordId } from "../src/encoding/ids.ts"
import { AppError } from "../src/errors.ts"
import { brady, edit, refused } from "./colleagues.ts"
import { pageOf } from "./page-api.ts"
import type { Between } from "./practice.ts"
import { password, Restoring } from "./restoring.ts"

/** Three edits of one record went back, and something comes between while they are sent again: the newest is the newest afterwards. */
const long = 240_000
const newest = "Third: allergic to penicillin"
let practice: Restoring
let id: RecordId
let code: string
beforeEach(async () => {
  practice = await Restoring.start()
  await practice.register("ada")
  const ada = await practice.open("ada")
  id = (await createPatient(ada, brady)).id
  await practice.putAway(ada)
  await practice.backUp("night", true)
  for (const diagnosis of ["First", "Second", newest]) await edit(ada, id, diagnosis)
  await practice.putAway(ada)
  code = (await practice.restore("night")).code
}, 60_000)
afterEach(() => practice.close())

const storage = () => practice.device("ada").storage
const isEntry = (path: string, method: string) => method === "POST" && path.endsWith("/entries")
const diagnosisOf = async (ada: Workspace) => formOf((await ada.records.open(id)).chart).diagnosis

/** The server is away once so many entries have come to it. @param heard whether the last of them was answered */
function away(after: number, heard: boolean): Between {
  let entries = 0
  return async (request, send) => {
    if (!isEntry(request.path, request.method)) return send(request)
    if (++entries > after) throw new AppError("UNAVAILABLE_SERVER")
    const answer = await send(request)
    if (entries === after && !heard) throw new AppError("UNAVAILABLE_SERVER")
    return answer
  }
}

async function back(digits: string, between?: Between): Promise<Workspace> {
  const ada = workspaceOf(await signInAnyway(practice.device("ada", between), "ada", password))
  await ada.roster.load()
  await ada.roster.sync()
  await ada.session.confirmRestore(digits)
  await ada.roster.syncAfresh()
  return ada
}

/** Signs in as on any later day, and demands that all is there, once. */
async function demandNewest(): Promise<void> {
  const ada = await practice.open("ada")
  expect(await sendAgain(ada)).toMatchObject({ left: [] })
  expect(await diagnosisOf(ada)).toBe(newest)
  const { steps } = await ada.records.open(id)
  expect(steps.filter(({ entry }) => entry.kind === "write")).toHaveLength(3)
  expect(await whatWentBack(ada)).toMatchObject({ own: 0 })
  expect(await lostAsText(ada)).toBeNull()
  await practice.putAway(ada)
}

/** The first entry of four begins a fresh key. */
test.each([
  [1, false],
  [2, true],
  [2, false],
  [3, true],
  [3, false],
  [4, false],
])(
  "the server is away after %i entries, and whether the last one was answered: %s",
  {
    timeout: long,
  },
  async (after, heard) => {
    const ada = await back(code, away(after, heard))
    await expect(sendAgain(ada)).rejects.toEqual(refused("UNAVAILABLE_SERVER"))
    await practice.putAway(ada)
    await demandNewest()
    // Nor does it matter when the same backup comes once more.
    await back((await practice.restore("night")).code).then((ada) => practice.putAway(ada))
    await demandNewest()
  },
)

test("the backup comes once more before all was sent again", { timeout: long }, async () => {
  const ada = await back(code, away(3, true))
  await expect(sendAgain(ada)).rejects.toEqual(refused("UNAVAILABLE_SERVER"))
  await practice.putAway(ada)
  await back((await practice.restore("night")).code).then((ada) => practice.putAway(ada))
  await demandNewest()
})

test("the page locks itself meanwhile", { timeout: long }, async () => {
  let entries = 0
  const fails = (path: string, method: string) => {
    if (isEntry(path, method) && ++entries === 3) void api.lock()
    return false
  }
  const api = pageOf(practice.url, storage(), { fails })
  await api.signIn("ada", password)
  await api.confirmRestore(code, "").catch(() => {})
  await vi.waitFor(async () => expect(await api.restore()).toMatchObject({ state: "signed-out" }), { timeout: 20_000 })
  await demandNewest()
})

test("a second tab does the same at the same time", { timeout: long }, async () => {
  const tabs = [await back(code), await practice.open("ada")]
  await Promise.all(tabs.map((tab) => sendAgain(tab)))
  await demandNewest()
})

test("a second tab that waited for the first one sends nothing twice, where that one lost the server", {
  timeout: long,
}, async () => {
  const first = await back(code, away(3, false))
  const second = await practice.open("ada")
  await expect(sendAgain(first)).rejects.toEqual(refused("UNAVAILABLE_SERVER"))
  await sendAgain(second)
  await demandNewest()
})

test("what another tab has sent is not sent twice where a record fails before it", { timeout: long }, async () => {
  const before = await back(code)
  await sendAgain(before)
  const other = (await createPatient(before, { ...brady, firstName: "Other" })).id
  await practice.putAway(before)
  await practice.backUp("noon", true)
  await edit(before, other, "Asthma")
  await edit(before, id, "Fourth")
  await practice.putAway(before)
  const no = utf8(JSON.stringify({ code: "NOT_ALLOWED", message: "No." }))
  const refuses =
    (then: Between): Between =>
    async (request, send) =>
      isEntry(request.path, request.method) && request.path.includes(other)
        ? { status: 403, body: no }
        : then(request, send)
  const first = await back((await practice.restore("noon")).code, refuses(away(2, false)))
  const second = await practice.openAnyway(
    "ada",
    "ada",
    password,
    refuses((request, send) => send(request)),
  )
  // Both tabs are there before either sends.
  await settleUnheard(second)
  await expect(sendAgain(first)).rejects.toEqual(refused("UNAVAILABLE_SERVER"))
  await second.roster.syncAfresh()
  expect(await sendAgain(second)).toMatchObject({ anew: 0, left: [{ id: other }] })
  const { steps } = await second.records.open(id)
  expect(steps.filter(({ entry }) => entry.kind === "write")).toHaveLength(4)
  expect(await diagnosisOf(second)).toBe("Fourth")
  const last = await practice.open("ada")
  expect(await sendAgain(last)).toMatchObject({ unchanged: 1, anew: 0, left: [] })
})

test("what is written on the page meanwhile waits for it", { timeout: long }, async () => {
  const other = await back(code, away(2, true))
  await expect(sendAgain(other)).rejects.toEqual(refused("UNAVAILABLE_SERVER"))
  await practice.putAway(other)
  const api = pageOf(practice.url, storage())
  await api.signIn("ada", password)
  const shown = await api.record(id)
  const saved = await api.save(id, shown.head, { ...brady, ...shown.form, firstName: "Changed" })
  expect(saved).toMatchObject({ saved: true })
  await api.signOut()
  const ada = await practice.open("ada")
  expect(formOf((await ada.records.open(id)).chart)).toMatchObject({ firstName: "Changed", diagnosis: newest })
  expect(await sendAgain(ada)).toMatchObject({ anew: 0, left: [] })
})

test("what may be there, in a record that does not open, is not forgotten", { timeout: long }, async () => {
  const unheard = await back(code, away(3, false))
  await expect(sendAgain(unheard)).rejects.toEqual(refused("UNAVAILABLE_SERVER"))
  await practice.putAway(unheard)
  await edit(await practice.open("ada", "another device"), id, "Between")
  const ada = await practice.open("ada")
  const open = ada.records.open.bind(ada.records)
  ada.records.open = async () => {
    throw new AppError("UNAVAILABLE_MEMORY")
  }
  await sendAgain(ada)
  ada.records.open = open
  const reason = "You have written in this record since."
  expect((await sendAgain(ada)).left.map((one) => one.reason)).toEqual([reason])
  await practice.putAway(ada)
})

/** An entry that was sent again, its answer lost, and one that was written upon it: both are known by one leaf at most. */
test("of two entries with one leaf neither is forgotten with the other", { timeout: long }, async () => {
  const unheard = await back(code, away(2, false))
  await expect(sendAgain(unheard)).rejects.toEqual(refused("UNAVAILABLE_SERVER"))
  await practice.putAway(unheard)
  const ada = await practice.open("ada")
  await sendAgain(ada)
  await edit(ada, id, "Fourth")
  await practice.putAway(ada)
  const again = await back((await practice.restore("night")).code, away(3, true))
  await expect(sendAgain(again)).rejects.toEqual(refused("UNAVAILABLE_SERVER"))
  await practice.putAway(again)
  const last = await practice.open("ada")
  expect(await sendAgain(last)).toMatchObject({ left: [] })
  expect(await diagnosisOf(last)).toBe("Fourth")
})
