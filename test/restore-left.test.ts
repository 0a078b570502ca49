import { afterEach, beforeEach, expect, test, vi } from "vitest"
import { archiveRecord, createPatient } from "../src/client/edits.ts"
import { lostAsText, sendAgain } from "../src/client/send-again.ts"
import { confirmMembers, viewSharing } from "../src/client/sharing.ts"
import type { ClientEvent, Unsent } from "../src/client/views.ts"
import type { Workspace } from "../src/client/workspace.ts"
import { formOf } from "../src/clinical/form.ts"
import type { RecordId } from "../src/encoding/ids.ts"
import { AppError } from "../src/errors.ts"
import { brady, edit, give, meet } from "./colleagues.ts"
import { pageOf } from "./page-api.ts"
import type { Between } from "./practice.ts"
import { password, Restoring } from "./restoring.ts"

/** What cannot be sent again is shown for as long as it is kept, and holds up nothing else. */
const long = 240_000
let practice: Restoring
beforeEach(async () => {
  practice = await Restoring.start()
})
afterEach(() => practice.close())

const storage = () => practice.device("ada").storage

async function back(username: string, code: string, between?: Between): Promise<Workspace> {
  const work = await practice.openAnyway(username, username, password, between)
  await work.session.confirmRestore(code)
  await work.roster.syncAfresh()
  return work
}

/** Signs in on Ada's page. @returns the page, and what it says of entries that are on this device alone */
async function page(store = storage()) {
  const api = pageOf(practice.url, store)
  const said: Unsent[] = []
  await api.subscribe((event: ClientEvent) => {
    if (event.type === "unsent") said.push(event.unsent)
  })
  await api.signIn("ada", password)
  await vi.waitFor(() => expect(said.length).toBeGreaterThan(0), { timeout: 20_000 })
  return { api, said }
}

test("the page names it at every sign-in, until it is taken out", { timeout: long }, async () => {
  for (const username of ["ada", "bob", "mal"]) await practice.register(username)
  const [ada, bob, mal] = [await practice.open("ada"), await practice.open("bob"), await practice.open("mal")]
  await meet(bob, ada)
  await meet(bob, mal)
  await meet(ada, mal)
  const { id } = await createPatient(bob, brady)
  await give(bob, ada, id, "writer")
  await give(bob, mal, id, "writer")
  for (const work of [ada, bob, mal]) await practice.putAway(work)
  await practice.backUp("night", true)
  await edit(ada, id, "Allergic to penicillin")
  await practice.putAway(ada)
  const { code } = await practice.restore("night")

  const own = await back("ada", code)
  expect(await sendAgain(own)).toMatchObject({ waiting: 1 })
  await practice.putAway(own)
  const owner = await back("bob", code)
  await confirmMembers(owner, await viewSharing(owner, id), [])
  // A writer's small entry comes first.
  await archiveRecord(await back("mal", code), id, true)

  for (const _ of [1, 2]) {
    const { api, said } = await page()
    expect(said.at(-1)!.left).toMatchObject([
      { id, name: "Kuhlman, Brady", reason: expect.stringMatching(/colleague has written/), isFinal: true },
    ])
    expect(await api.lostToRestore()).toContain("Allergic to penicillin")
    await api.signOut()
  }
  const store = storage()
  const { api, said } = await page(store)
  const keys = said.at(-1)!.left.map(({ key }) => key)
  // What the device does not let go of is not called gone.
  const broken = vi.spyOn(store, "delete").mockRejectedValue(new AppError("UNAVAILABLE", "The disk is full."))
  await expect(api.dismissUnsent(keys)).rejects.toThrow("The disk is full.")
  expect(said.at(-1)!.left.map(({ key }) => key)).toEqual(keys)
  broken.mockRestore()
  await api.dismissUnsent(keys)
  expect(said.at(-1)).toEqual({ left: [], elsewhere: [] })
  await api.signOut()
  expect((await page()).said.at(-1)!.left).toEqual([])
})

/** Ada's own records, of which each has entries that went back. */
async function twoLost(): Promise<{ ids: RecordId[]; code: string }> {
  await practice.register("ada")
  const ada = await practice.open("ada")
  const ids = [await createPatient(ada, brady), await createPatient(ada, { ...brady, firstName: "Other" })].map(
    ({ id }) => id,
  )
  await practice.putAway(ada)
  await practice.backUp("night", true)
  // The very first can be sent as it is.
  for (const diagnosis of ["Asthma", "Gout"]) for (const id of ids) await edit(ada, id, diagnosis)
  await practice.putAway(ada)
  return { ids, code: (await practice.restore("night")).code }
}

test.each(["UNAVAILABLE_UPDATE", "UNAVAILABLE_MEMORY", "CANNOT_OPEN"] as const)(
  "a record that fails with %s holds up no other",
  { timeout: long },
  async (failure) => {
    const { ids, code } = await twoLost()
    const ada = await back("ada", code)
    const open = ada.records.open.bind(ada.records)
    ada.records.open = async (id) => {
      if (id === ids[0]) throw new AppError(failure)
      return open(id)
    }
    expect(await sendAgain(ada)).toMatchObject({ left: [{ id: ids[0] }] })
    expect(formOf((await open(ids[1]!)).chart).diagnosis).toBe("Gout")
    ada.records.open = open
    expect(await sendAgain(ada)).toMatchObject({ anew: 1, left: [] })
    expect(await lostAsText(ada)).toBeNull()
  },
)

/** Another answer in the place of so many that say what became of an entry. */
function refuses(times: number, status: number, body: string): Between {
  return async (request, send) =>
    request.method === "POST" && request.path.endsWith("/entries") && times-- > 0
      ? { status, body: new TextEncoder().encode(body) }
      : send(request)
}

const saying = (code: string) => JSON.stringify({ code, message: "Something." })

test.each([
  ["a gateway", 502, "<html>Bad gateway"],
  ["a busy server", 503, saying("UNAVAILABLE_BUSY")],
  ["a full disk", 507, saying("UNAVAILABLE_STORAGE")],
  ["a full account", 429, saying("UNAVAILABLE_QUOTA")],
])("%s ends a run, and the next one sends everything in its order", { timeout: long }, async (_, status, body) => {
  const { ids, code } = await twoLost()
  const ada = await back("ada", code, refuses(1, status, body))
  await expect(sendAgain(ada)).rejects.toMatchObject({ code: expect.stringMatching(/^UNAVAILABLE/) })
  expect(await sendAgain(ada)).toMatchObject({ left: [] })
  for (const id of ids) expect(formOf((await ada.records.open(id)).chart).diagnosis).toBe("Gout")
})

test("a server that is full keeps nobody at the code", { timeout: long }, async () => {
  const { code } = await twoLost()
  const fails = (path: string, method: string) =>
    method === "POST" && path.endsWith("/entries") && new Response(saying("UNAVAILABLE_STORAGE"), { status: 507 })
  const api = pageOf(practice.url, storage(), { fails })
  await api.signIn("ada", password)
  expect(await api.confirmRestore(code, "")).toMatchObject({ sent: null })
  expect(await api.enterRestored()).toMatchObject({ state: "signed-in" })
  await api.signOut()
})

test("what fails for one entry keeps what was written later in its record", { timeout: long }, async () => {
  const { ids, code } = await twoLost()
  const ada = await back("ada", code, refuses(1, 422, saying("BAD_INPUT_FORMAT")))
  const reason = expect.stringMatching(/./)
  const { left } = await sendAgain(ada)
  expect(left).toMatchObject([{ id: ids[0], reason }, { id: ids[0] }])
  expect(left[1]!.reason).toBe(left[0]!.reason)
  expect(formOf((await ada.records.open(ids[1]!)).chart).diagnosis).toBe("Gout")
  expect(await sendAgain(ada)).toMatchObject({ left: [] })
  expect(formOf((await ada.records.open(ids[0]!)).chart).diagnosis).toBe("Gout")
})

test("what would still be sent cannot be removed", { timeout: long }, async () => {
  const { ids, code } = await twoLost()
  await practice.putAway(await back("ada", code))
  let isRefused = true
  const fails = (path: string, method: string) =>
    isRefused && method === "POST" && path.endsWith(`${ids[0]}/entries`)
      ? new Response(saying("BAD_INPUT_FORMAT"), { status: 422 })
      : false
  const api = pageOf(practice.url, storage(), { fails })
  let left: Unsent["left"] = []
  await api.subscribe((event: ClientEvent) => {
    if (event.type === "unsent") left = event.unsent.left
  })
  await api.signIn("ada", password)
  await vi.waitFor(() => expect(left).toHaveLength(2), { timeout: 20_000 })
  expect(left.map(({ isFinal }) => isFinal)).toEqual([false, false])
  await api.dismissUnsent(left.map(({ key }) => key))
  expect(left).toHaveLength(2)
  isRefused = false
  await api.signOut()
  const again = await practice.open("ada")
  expect(await sendAgain(again)).toMatchObject({ left: [] })
  expect(formOf((await again.records.open(ids[0]!)).chart).diagnosis).toBe("Gout")
})

test("a head that has changed meanwhile is asked for, and the entry tried again", { timeout: long }, async () => {
  const { ids, code } = await twoLost()
  const ada = await back("ada", code, refuses(1, 409, saying("CONFLICT_HEAD")))
  expect(await sendAgain(ada)).toMatchObject({ left: [] })
  for (const id of ids) expect(formOf((await ada.records.open(id)).chart).diagnosis).toBe("Gout")
})

test("where the server is away for a moment, the page sends the rest once it is back", { timeout: long }, async () => {
  const { ids, code } = await twoLost()
  await practice.putAway(await back("ada", code))
  let isAway = true
  vi.useFakeTimers({ toFake: ["setInterval", "clearInterval"] })
  try {
    let now = Date.now()
    const fails = (path: string, method: string) => isAway && method === "POST" && path.endsWith("/entries")
    const api = pageOf(practice.url, storage(), { fails, now: () => now })
    await api.signIn("ada", password)
    await api.record(ids[0]!)
    isAway = false
    const shown = async () => {
      now += 60_000
      await vi.advanceTimersByTimeAsync(60_000)
      return Promise.all(ids.map(async (id) => (await api.record(id)).form.diagnosis))
    }
    await vi.waitFor(async () => expect(await shown()).toEqual(["Gout", "Gout"]), { timeout: 30_000 })
    await api.signOut()
  } finally {
    vi.useRealTimers()
  }
})
