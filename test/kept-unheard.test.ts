import { afterEach, beforeEach, expect, test, vi } from "vitest"
import { whatWentBack } from "../src/client/after-restore.ts"
import { createPatient, savePatient } from "../src/client/edits.ts"
import { lostAsText, sendAgain } from "../src/client/send-again.ts"
import { settleUnheard } from "../src/client/unheard.ts"
import type { Workspace } from "../src/client/workspace.ts"
import { formOf } from "../src/clinical/form.ts"
import type { RecordId } from "../src/encoding/ids.ts"
import { AppError } from "../src/errors.ts"
import { brady, edit, refused } from "./colleagues.ts"
import type { Between } from "./practice.ts"
import { Restoring } from "./restoring.ts"

/** An entry whose answer was lost: its device keeps it, for it may be in the log. */
const long = 240_000
const text = "Allergic to penicillin"
let practice: Restoring
let id: RecordId
let ada: Workspace
/** What does not arrive of the next entry. */
let drop: "request" | "answer" | null
/** Whether the server leaves out of its feed what was written. */
let withholds: boolean

const between: Between = async (request, send) => {
  if (withholds && request.path.startsWith("/api/changes")) {
    const answer = await send(request)
    const body = JSON.parse(new TextDecoder().decode(answer.body))
    return { ...answer, body: new TextEncoder().encode(JSON.stringify({ ...body, entries: [] })) }
  }
  const isEntry = request.method === "POST" && request.path.endsWith("/entries")
  if (!isEntry || drop === null) return send(request)
  const was = drop
  // The second try finds no server.
  drop = "request"
  if (was === "answer") await send(request)
  throw new AppError("UNAVAILABLE_SERVER")
}

beforeEach(async () => {
  drop = null
  withholds = false
  practice = await Restoring.start()
  await practice.register("ada")
  const first = await practice.open("ada")
  id = (await createPatient(first, brady)).id
  await practice.putAway(first)
  await practice.backUp("night", true)
  ada = await practice.openAnyway("ada", "ada", undefined, between)
}, 60_000)
afterEach(() => practice.close())

const lone = async () => {
  const names = await ada.session.around.storage.list("kept/")
  return names.filter((name) => name.includes("/sent-")).length
}
const diagnosisOf = async (work: Workspace) => formOf((await work.records.open(id)).chart).diagnosis

/** Saves, and learns nothing of it. @returns what saves the same once more */
async function saveUnheard(lost: "request" | "answer", diagnosis = text) {
  const { head, chart } = await ada.records.open(id)
  const form = { ...formOf(chart), diagnosis }
  const save = () => savePatient(ada, id, head.seq, form)
  drop = lost
  await expect(save()).rejects.toEqual(refused("UNAVAILABLE_SERVER"))
  drop = null
  return save
}

async function sentAfterRestore(): Promise<Workspace> {
  const { code } = await practice.restore("night")
  const back = await practice.openAnyway("ada")
  await back.session.confirmRestore(code)
  await back.roster.syncAfresh()
  expect(await sendAgain(back)).toMatchObject({ left: [] })
  return back
}

test("it is sent again after a restore, where the physician pressed Save once more", { timeout: long }, async () => {
  const save = await saveUnheard("answer")
  expect(await save()).toMatchObject({ saved: true, unchanged: true })
  await practice.putAway(ada)
  const back = await sentAfterRestore()
  expect(await diagnosisOf(back)).toBe(text)
  expect(await lostAsText(back)).toBeNull()
})

test("it is sent again where the server was put back right after it", { timeout: long }, async () => {
  await saveUnheard("answer")
  // Nothing more is done on this device: it is switched off.
  const { code } = await practice.restore("night")
  const back = await practice.openAnyway("ada")
  expect(await whatWentBack(back)).toMatchObject({ own: 1 })
  await back.session.confirmRestore(code)
  expect(await sendAgain(back)).toMatchObject({ anew: 1, left: [] })
  expect(await diagnosisOf(back)).toBe(text)
})

test("once it was seen in the log it is kept like any other", { timeout: long }, async () => {
  await saveUnheard("answer")
  expect(await lone()).toBe(1)
  ada = await practice.open("ada")
  await edit(ada, id, "Allergic to penicillin, and to cefalexin")
  await settleUnheard(ada)
  await ada.session.kept.flush()
  expect(await lone()).toBe(0)
  await practice.putAway(ada)
  expect(await diagnosisOf(await sentAfterRestore())).toBe("Allergic to penicillin, and to cefalexin")
})

test("what never arrived is forgotten once another stands in its place", { timeout: long }, async () => {
  await saveUnheard("request", "Typed, and thrown away")
  await edit(ada, id, text)
  await settleUnheard(ada)
  await ada.session.kept.flush()
  expect(await lone()).toBe(0)
})

test("what never arrived is not sent after a restore where another stood in its place", { timeout: long }, async () => {
  await saveUnheard("request", "Typed, and thrown away")
  await edit(ada, id, text)
  await edit(ada, id, "Hypertension")
  await practice.putAway(ada)
  const back = await sentAfterRestore()
  const { steps } = await back.records.open(id)
  expect(steps.filter(({ entry }) => entry.kind === "write")).toHaveLength(2)
  expect(await diagnosisOf(back)).toBe("Hypertension")
})

test("what never arrived is forgotten after a while, and not before", { timeout: long }, async () => {
  await saveUnheard("request")
  await ada.roster.sync()
  await settleUnheard(ada)
  expect(await lone()).toBe(1)
  practice.pass(11 * 60_000)
  const later = await practice.open("ada")
  await settleUnheard(later)
  expect(await lone()).toBe(0)
})

/** More than ten minutes later. */
async function settleLater(): Promise<void> {
  await ada.roster.syncAfresh()
  practice.pass(11 * 60_000)
  await settleUnheard(ada)
}

test("what the log has is kept, though the server leaves it out", { timeout: long }, async () => {
  await saveUnheard("answer")
  withholds = true
  await settleLater()
  expect(ada.roster.refused.get(id)).toEqual(refused("TAMPERED_ROLLBACK"))
  expect(await lone()).toBe(1)
})

test("what began a record is kept, though the server leaves it out", { timeout: long }, async () => {
  drop = "answer"
  await expect(createPatient(ada, brady)).rejects.toEqual(refused("UNAVAILABLE_SERVER"))
  withholds = true
  await settleLater()
  expect(await lone()).toBe(1)
  withholds = false
  const later = await practice.open("ada")
  await settleUnheard(later)
  await later.session.kept.flush()
  expect(await lone()).toBe(0)
})

test("what never began a record is forgotten after a while", { timeout: long }, async () => {
  drop = "request"
  await expect(createPatient(ada, brady)).rejects.toEqual(refused("UNAVAILABLE_SERVER"))
  await settleLater()
  expect(await lone()).toBe(0)
})

test("nothing is forgotten while a look at the leaves failed", { timeout: long }, async () => {
  await saveUnheard("request")
  await ada.roster.syncAfresh()
  const look = vi.spyOn(ada.roster, "looked").mockRejectedValue(new AppError("UNAVAILABLE_SERVER"))
  practice.pass(11 * 60_000)
  await settleUnheard(ada)
  expect(await lone()).toBe(1)
  look.mockRestore()
  await settleUnheard(ada)
  expect(await lone()).toBe(0)
})

test("what is sent again long after it was written is under way like any other", { timeout: long }, async () => {
  await practice.backUp("noon", true)
  await edit(ada, id, text)
  await practice.putAway(ada)
  practice.pass(11 * 60_000)
  const { code } = await practice.restore("noon")
  const left: number[] = []
  const deaf: Between = async (request, send) => {
    if (request.method !== "POST" || !request.path.endsWith("/entries")) return send(request)
    // The page pulls meanwhile, and so does another tab.
    for (const work of [ada, await practice.open("ada")]) await settleUnheard(work)
    left.push(await lone())
    throw new AppError("UNAVAILABLE_SERVER")
  }
  ada = await practice.openAnyway("ada", "ada", undefined, deaf)
  await ada.session.confirmRestore(code)
  await ada.roster.syncAfresh()
  await expect(sendAgain(ada)).rejects.toEqual(refused("UNAVAILABLE_SERVER"))
  expect(new Set(left)).toEqual(new Set([1]))
})

test("what the server refuses is not kept once another stands in its place", { timeout: long }, async () => {
  const opened = await ada.records.open(id)
  await edit(ada, id, text)
  await expect(ada.records.write(opened, { by: "Ada", changes: [] })).rejects.toEqual(refused("CONFLICT_HEAD"))
  await ada.session.kept.flush()
  expect(await lone()).toBe(1)
  await settleUnheard(ada)
  await ada.session.kept.flush()
  expect(await lone()).toBe(0)
})

test("a device that can store nothing keeps nobody from writing", { timeout: long }, async () => {
  const full = vi.spyOn(ada.session.around.storage, "put").mockRejectedValue(new AppError("UNAVAILABLE"))
  await edit(ada, id, text)
  full.mockRestore()
  await practice.putAway(ada)
  expect(await diagnosisOf(await sentAfterRestore())).toBe(text)
})

test("nothing is sealed under the key of a session that has ended", { timeout: long }, async () => {
  const before = await ada.session.around.storage.list("kept/")
  const opened = await ada.records.open(id)
  ada.session.wipe()
  await expect(ada.records.write(opened, { by: "Ada", changes: [] })).rejects.toEqual(refused("NOT_ALLOWED_SESSION"))
  await ada.session.kept.flush()
  expect(await ada.session.around.storage.list("kept/")).toEqual(before)
})
