import { afterEach, beforeEach, expect, test, vi } from "vitest"
import { wayByWords } from "../src/client/account.ts"
import { createPatient } from "../src/client/edits.ts"
import { brady, edit, refused } from "./colleagues.ts"
import { pageOf } from "./page-api.ts"
import { password, Restoring } from "./restoring.ts"

/** The page at a server that was put back, for a physician whose device was ahead of it. */
let practice: Restoring
let words: string
let code: string
beforeEach(async () => {
  practice = await Restoring.start()
  words = (await practice.register("ada")).join(" ")
  const one = await practice.open("ada")
  const { id } = await createPatient(one, brady)
  await practice.putAway(one)
  await practice.backUp("night", true)
  await edit(one, id, "Gout")
  await practice.putAway(one)
  code = (await practice.restore("night")).code
})
afterEach(async () => {
  vi.useRealTimers()
  await practice.close()
})
const long = 120_000
const storage = () => practice.device("ada").storage

test("new recovery words are shown also where the server is lost before everything is sent again", {
  timeout: long,
}, async () => {
  let lost = true
  const fails = (path: string, method: string) => lost && method === "POST" && path.endsWith("/entries")
  const api = pageOf(practice.url, storage(), { fails })
  expect(await api.recover("ada", words, "a new long password")).toBeNull()
  const { sheet, sent } = await api.confirmRestore(code, "")
  expect(sheet?.words).toHaveLength(24)
  expect(sent).toBeNull()
  lost = false
  // The words that she had are no use any more.
  await expect(wayByWords(practice.device("fresh"), "ada", words)).rejects.toEqual(refused("NOT_ALLOWED_RECOVERY"))
  await api.signOut()
})

test("the page that asks for the code does not stay open for ever", { timeout: long }, async () => {
  let now = Date.now()
  vi.useFakeTimers({ toFake: ["setInterval", "clearInterval"] })
  const api = pageOf(practice.url, storage(), { now: () => now })
  const back = { records: [{ name: "Kuhlman, Brady" }] }
  expect(await api.signIn("ada", password)).toMatchObject({ state: "restored", back })
  const events: string[] = []
  await api.subscribe((event) => {
    if (event.type === "account") events.push(event.account.state)
    if (event.type === "wiped") events.push(event.type)
  })
  now += 24 * 3_600_000
  await api.active()
  await vi.advanceTimersByTimeAsync(60_000)
  expect(events).toEqual([])
  now += 24 * 3_600_000
  await vi.advanceTimersByTimeAsync(60_000)
  vi.useRealTimers()
  await vi.waitFor(() => expect(events).toContain("wiped"), { timeout: 20_000 })
  expect(events).toEqual(["signed-out", "wiped"])
  // What the entries say is not to be had any more.
  await expect(api.lostToRestore()).rejects.toEqual(refused("NOT_ALLOWED_SESSION"))
})
