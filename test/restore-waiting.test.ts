import { afterEach, beforeEach, expect, test, vi } from "vitest"
import { Awaiting } from "../src/client/awaiting.ts"
import { createPatient } from "../src/client/edits.ts"
import { viewRecord } from "../src/client/record-views.ts"
import { Resending } from "../src/client/resending.ts"
import { confirmMany, confirmMembers, share, unshare, viewSharing } from "../src/client/sharing.ts"
import type { ClientEvent } from "../src/client/views.ts"
import type { Workspace } from "../src/client/workspace.ts"
import { formOf } from "../src/clinical/form.ts"
import type { RecordId } from "../src/encoding/ids.ts"
import type { Role } from "../src/proof/entry.ts"
import { desk } from "./cli.ts"
import { brady, edit, give, home, many, meet } from "./colleagues.ts"
import { pageOf } from "./page-api.ts"
import { password, Restoring } from "./restoring.ts"

/** After a restore: which records wait for their owner, who that is, and what confirms many of them at a time. */
let practice: Restoring
let ada: Workspace
let bea: Workspace
let mal: Workspace
beforeEach(async () => {
  practice = await Restoring.start()
  for (const username of ["ada", "bea", "mal"]) await practice.register(username)
  ada = await practice.open("ada")
  bea = await practice.open("bea")
  mal = await practice.open("mal")
  await meet(ada, bea)
  await meet(ada, mal)
})
afterEach(() => practice.close())
const long = 240_000

async function shared(name: string, ...others: readonly (readonly [Workspace, Role])[]): Promise<RecordId> {
  const { id } = await createPatient(ada, { ...brady, firstName: name })
  for (const [work, role] of others) await give(ada, work, id, role)
  return id
}

/** The backup is put back, and Ada and Bea have confirmed it. */
async function putBack(since: () => Promise<unknown> = async () => {}): Promise<void> {
  for (const work of [ada, bea, mal]) await practice.putAway(work)
  await practice.backUp("night", true)
  await since()
  for (const work of [ada, bea, mal]) await practice.putAway(work)
  const { code } = await practice.restore("night")
  for (const username of ["ada", "bea"]) {
    const work = await practice.openAnyway(username)
    await work.session.confirmRestore(code)
    await practice.putAway(work)
  }
  ada = await practice.open("ada")
  bea = await practice.open("bea")
}

test("home and the record say what waits, and for whom", { timeout: long }, async () => {
  const alone = await shared("Alone")
  const both = await shared("Both", [bea, "writer"])
  await putBack()
  expect(home(ada)).toMatchObject({ waiting: 1 })
  expect(home(bea)).toMatchObject({ waiting: 0 })
  for (const work of [ada, bea]) expect(home(work).rows.find(({ id }) => id === both)).toMatchObject({ waits: true })
  expect(home(ada).rows.find(({ id }) => id === alone)).toMatchObject({ waits: false })
  const view = async (work: Workspace, id: RecordId) => {
    const record = await work.records.open(id)
    return viewRecord(work, record, record.head.seq)
  }
  expect((await view(ada, both)).waits).toEqual({ mine: true, owners: [] })
  expect((await view(bea, both)).waits).toEqual({ mine: false, owners: ["ada"] })
  expect((await view(ada, alone)).waits).toBeNull()

  const list = await new Awaiting(ada).list()
  expect(await confirmMany(ada, list, many)).toMatchObject({ done: 1, already: 0, refused: [] })
  expect(home(ada)).toMatchObject({ waiting: 0 })
  expect((await view(ada, both)).waits).toBeNull()
  await bea.roster.syncAfresh()
  await edit(bea, both, "Written by Bea")
})

test("many are confirmed at once, but for those in which this device knows better", { timeout: long }, async () => {
  const both = await shared("Both", [bea, "writer"])
  const three = await shared("Three", [bea, "reader"], [mal, "reader"])
  const removed = await shared("Removed", [bea, "writer"], [mal, "writer"])
  const added = await shared("Added", [bea, "writer"])
  await putBack(async () => {
    await unshare(ada, removed, mal.session.physician)
    await give(ada, mal, added, "reader")
  })
  const awaiting = new Awaiting(ada)
  const list = await awaiting.list()
  const plain = list.map(({ firstName, mine, apart, members }) => [
    firstName,
    mine,
    apart,
    members.map(({ colleague, role, returned }) => `${colleague.username} ${role}${returned ? " back" : ""}`).sort(),
  ])
  expect(plain.sort()).toEqual([
    ["Added", true, true, ["ada owner", "bea writer"]],
    ["Both", true, false, ["ada owner", "bea writer"]],
    ["Removed", true, true, ["ada owner", "bea writer", "mal writer back"]],
    ["Three", true, false, ["ada owner", "bea reader", "mal reader"]],
  ])
  expect(list[0]!.members.find(({ you }) => !you)?.colleague.state).toBe("verified")

  // One that is decided by itself is not confirmed with the others, whoever asks.
  const report = await confirmMany(ada, list, many)
  expect(report).toMatchObject({ done: 2, already: 0, cancelled: false })
  expect(report.refused.map(({ id }) => id).sort()).toEqual([removed, added].sort())
  const left = await awaiting.list()
  expect(left.map(({ id }) => id).sort()).toEqual([removed, added].sort())
  expect(await confirmMany(ada, list, many)).toMatchObject({ done: 2, already: 2 })
  for (const id of [both, three]) await edit(ada, id, "Afterwards")
})

test("a list that has moved since it was shown is not confirmed, and is listed again", { timeout: long }, async () => {
  const id = await shared("Moved", [bea, "owner"])
  await meet(bea, mal)
  await putBack()
  const list = await new Awaiting(ada).list()
  const stop = { ...many, signal: { aborted: true } }
  expect(await confirmMany(ada, list, stop)).toMatchObject({ done: 0, cancelled: true })
  // Somebody joins, as if it had been so before the restore.
  const without = list.map((one) => ({ ...one, members: one.members.filter(({ you }) => you) }))
  expect((await confirmMany(ada, without, many)).refused).toMatchObject([{ id, code: "CONFLICT_MEMBERS" }])
  expect((await new Awaiting(ada).list()).map((one) => one.id)).toEqual([id])
  expect(await confirmMany(bea, await new Awaiting(bea).list(), many)).toMatchObject({ done: 1 })
  expect((await share(bea, [id], "mal", "reader", null, many)).done).toBe(1)
  expect((await confirmMany(ada, list, many)).refused).toMatchObject([{ id, code: "CONFLICT_MEMBERS" }])
})

test("the command line confirms many, and names the others with their own command", { timeout: long }, async () => {
  const alone = await shared("Alone")
  const both = await shared("Both", [bea, "writer"])
  const removed = await shared("Removed", [bea, "writer"], [mal, "writer"])
  await putBack(() => unshare(ada, removed, mal.session.physician))
  await practice.putAway(ada)
  const machine = desk(practice.url, practice.folder, "ada").with({ home: practice.home("ada"), password })
  const run: typeof machine.run = (...args) => machine.run(...args)
  expect((await run(["members", "-"], { input: both })).code).toBe(2)
  expect((await run(["members", "-", "--confirm"], { input: "" })).code).toBe(2)
  const done = await run(["members", "-", "--confirm"], { input: [alone, both, removed].join("\n") })
  expect(done.code, done.stderr).toBe(1)
  expect(done.stderr).toContain("Confirmed, each under a fresh key: 1.")
  expect(done.stderr).toContain(`healthcrypt members ${removed} --confirm --without mal`)
  expect(done.stderr).toContain("Nothing to confirm in 1 of these.")
  const again = await run(["members", "-", "--confirm"], { input: both })
  expect([again.code, again.stderr]).toEqual([0, expect.stringContaining("Nothing to confirm in 1 of these.")])
})

const diagnosisOf = async ({ records }: Workspace, id: RecordId) => formOf((await records.open(id)).chart).diagnosis

test("what waits is sent once a colleague confirms, and not before anything has changed", {
  timeout: long,
}, async () => {
  const [id, other] = [await shared("Both", [bea, "writer"]), await shared("Other")]
  await putBack(() => edit(bea, id, "Allergic to penicillin"))
  const runs = vi.spyOn(bea.session.kept, "alone")
  const resending = new Resending(bea, new Awaiting(bea), () => {})
  expect(await resending.run()).toMatchObject({ waiting: 1 })
  const confirm = async (record: RecordId) => confirmMembers(ada, await viewSharing(ada, record), [])
  const pulled = async () => {
    await bea.roster.syncAfresh()
    return resending.isOwed
  }
  await edit(ada, other, "Gout")
  await edit(bea, (await createPatient(bea, brady)).id, "Gout")
  expect(await pulled()).toBe(false)
  await resending.settled()
  expect(runs).toHaveBeenCalledTimes(1)

  await confirm(id)
  // Whoever is about to write has not heard of it yet.
  await resending.settled()
  expect(runs).toHaveBeenCalledTimes(2)
  expect(await diagnosisOf(bea, id)).toBe("Allergic to penicillin")
  expect(await pulled()).toBe(false)
})

test("a page that is open sends what waited when a colleague confirms, and saves on top of it", {
  timeout: long,
}, async () => {
  const id = await shared("Both", [bea, "writer"])
  await putBack(() => edit(bea, id, "Allergic to penicillin"))
  const api = pageOf(practice.url, practice.device("bea").storage)
  const events: ClientEvent[] = []
  await api.subscribe((event) => events.push(event))
  await api.signIn("bea", password)
  await vi.waitFor(() => expect(events.some(({ type }) => type === "unsent")).toBe(true), { timeout: 20_000 })
  await confirmMembers(ada, await viewSharing(ada, id), [])
  await vi.waitFor(
    async () => {
      await ada.roster.syncAfresh()
      expect(await diagnosisOf(ada, id)).toBe("Allergic to penicillin")
    },
    { timeout: 60_000, interval: 500 },
  )
  const { form, head } = await api.record(id)
  expect(await api.save(id, head, { ...form, firstName: "Braydon" })).toMatchObject({ saved: true })
  await api.signOut()
  const again = await practice.open("bea")
  expect(await diagnosisOf(again, id)).toBe("Allergic to penicillin")
  expect((await again.records.open(id)).head.seq).toBeGreaterThan(3)
})
