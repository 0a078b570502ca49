import { afterEach, beforeEach, expect, test, vi } from "vitest"
import { endAfter } from "../src/cli/client.ts"
import { signInAnyway } from "../src/client/account.ts"
import { whatWentBack } from "../src/client/after-restore.ts"
import { createPatient } from "../src/client/edits.ts"
import { sendAgain } from "../src/client/send-again.ts"
import { type Workspace, workspaceOf } from "../src/client/workspace.ts"
import { formOf } from "../src/clinical/form.ts"
import { utf8 } from "../src/encoding/bytes.ts"
import type { RecordId } from "../src/encoding/ids.ts"
import { AppError } from "../src/errors.ts"
import { brady, edit, refused } from "./colleagues.ts"
import { pageOf } from "./page-api.ts"
import { password, Restoring } from "./restoring.ts"

/** What was sent again after a restore is kept like anything else that was written: the same backup is put back a second time. */
const long = 240_000
let practice: Restoring
let id: RecordId
beforeEach(async () => {
  practice = await Restoring.start()
  await practice.register("ada")
  const ada = await practice.open("ada")
  id = (await createPatient(ada, brady)).id
  await practice.putAway(ada)
  await practice.backUp("night", true)
  await edit(ada, id, "Gout")
  await practice.putAway(ada)
}, 60_000)
afterEach(() => practice.close())

const diagnosis = async (ada: Workspace) => formOf((await ada.records.open(id)).chart).diagnosis
const storage = () => practice.device("ada").storage
const isEntry = (path: string, method: string) => method === "POST" && path.endsWith("/entries")

async function back(): Promise<Workspace> {
  const { code } = await practice.restore("night")
  return confirmed(await practice.openAnyway("ada"), code)
}

async function confirmed(ada: Workspace, code: string): Promise<Workspace> {
  await ada.session.confirmRestore(code)
  await ada.roster.syncAfresh()
  return ada
}

/** Puts the backup back and sends again, and no answer to it comes. @returns the device when it is taken up again */
async function sentUnheard(): Promise<Workspace> {
  const { code } = await practice.restore("night")
  const deaf = practice.device("ada", async (request, send) => {
    const response = await send(request)
    if (isEntry(request.path, request.method)) throw new AppError("UNAVAILABLE_SERVER")
    return response
  })
  const first = workspaceOf(await signInAnyway(deaf, "ada", password))
  await first.roster.load()
  await first.roster.sync()
  await confirmed(first, code)
  await expect(sendAgain(first)).rejects.toEqual(refused("UNAVAILABLE_SERVER"))
  await practice.putAway(first)
  return practice.open("ada")
}

/** Puts the backup back once more, and demands that everything is on the device and is sent again. */
async function demandKept(newest: string, ...more: RecordId[]): Promise<void> {
  const ada = await back()
  await sendAgain(ada)
  expect(await diagnosis(ada)).toBe(newest)
  for (const one of more) expect(ada.roster.rows.has(one)).toBe(true)
  expect(await whatWentBack(ada)).toMatchObject({ records: [], own: 0 })
}

test("what was sent again unchanged, and what was anew, is kept", { timeout: long }, async () => {
  const ada = await practice.open("ada")
  await edit(ada, id, "Gout, 100 mg")
  const fresh = (await createPatient(ada, { ...brady, lastName: "New since the backup" })).id
  await practice.putAway(ada)
  const again = await back()
  expect(await sendAgain(again)).toMatchObject({ unchanged: 1, anew: 2, left: [] })
  // Not put away: what was sent is on the disk by now.
  await demandKept("Gout, 100 mg", fresh)
  await demandKept("Gout, 100 mg", fresh)
})

test("what was sent again is kept where its answer was lost", { timeout: long }, async () => {
  const second = await sentUnheard()
  expect(await diagnosis(second)).toBe("Gout")
  expect(await sendAgain(second)).toMatchObject({ unchanged: 0, anew: 0, left: [] })
  await demandKept("Gout")
})

test("what was sent again, its answer lost, and written upon, is settled", { timeout: long }, async () => {
  const second = await sentUnheard()
  await edit(second, id, "Gout, 100 mg")
  expect(await sendAgain(second)).toMatchObject({ unchanged: 0, anew: 0, left: [] })
  expect(await whatWentBack(second)).toMatchObject({ records: [], own: 0 })
  expect(await diagnosis(second)).toBe("Gout, 100 mg")
})

test.each(["signs out", "goes on, and signs out"])(
  "what the page sent again is kept where the physician %s",
  {
    timeout: long,
  },
  async (how) => {
    const ada = await practice.open("ada")
    await edit(ada, id, "Gout, 100 mg")
    await practice.putAway(ada)
    const { code } = await practice.restore("night")
    const api = pageOf(practice.url, storage())
    expect(await api.signIn("ada", password)).toMatchObject({ state: "restored" })
    expect(await api.confirmRestore(code, "")).toMatchObject({ sent: { unchanged: 1, anew: 1, left: [] } })
    if (how !== "signs out") await api.enterRestored()
    await api.signOut()
    const heads = (await storage().list("kept/")).filter((name) => name.includes("/heads-"))
    expect(heads).toHaveLength(2)
    await demandKept("Gout, 100 mg")
  },
)

test("where nothing can be written, the old copy stays", { timeout: long }, async () => {
  const again = await back()
  const { storage } = again.session.around
  const full = vi.spyOn(storage, "put").mockRejectedValue(new AppError("UNAVAILABLE"))
  expect(await sendAgain(again)).toMatchObject({ unchanged: 1, left: [] })
  full.mockRestore()
  await demandKept("Gout")
})

test("what a command wrote is kept where the server is lost after it", { timeout: long }, async () => {
  const ada = await practice.open("ada")
  const lost = endAfter(ada.session, async () => {
    await edit(ada, id, "Gout, 300 mg")
    throw new AppError("UNAVAILABLE_SERVER")
  })
  await expect(lost).rejects.toEqual(refused("UNAVAILABLE_SERVER"))
  await demandKept("Gout, 300 mg")
})

test("what the page wrote is kept where the server is lost after it, and the page is closed", {
  timeout: long,
}, async () => {
  let entries = 0
  const fails = (path: string, method: string) => entries > 0 || (isEntry(path, method) && entries++ > 0)
  const api = pageOf(practice.url, storage(), { fails })
  await api.signIn("ada", password)
  const patient = (n: number) => ({
    resource: { resourceType: "Patient", id: `p${n}`, name: [{ family: `Of file ${n}` }] },
  })
  const bundle = { resourceType: "Bundle", type: "collection", entry: [patient(1), patient(2)] }
  const before = await storage().list("kept/")
  await expect(api.importFile("two.json", utf8(JSON.stringify(bundle)), () => {}, null)).rejects.toEqual(
    refused("UNAVAILABLE_SERVER"),
  )
  await vi.waitFor(async () => {
    const files = (await storage().list("kept/")).filter((name) => !before.includes(name))
    expect(files.filter((name) => name.includes("/own-"))).toHaveLength(1)
  })
})
