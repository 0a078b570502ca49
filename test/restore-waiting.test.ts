import { afterEach, beforeEach, expect, test } from "vitest"
import { Awaiting } from "../src/client/awaiting.ts"
import { createPatient } from "../src/client/edits.ts"
import { viewRecord } from "../src/client/record-views.ts"
import { confirmMany, share, unshare } from "../src/client/sharing.ts"
import type { Workspace } from "../src/client/workspace.ts"
import type { RecordId } from "../src/encoding/ids.ts"
import type { Role } from "../src/proof/entry.ts"
import { desk } from "./cli.ts"
import { brady, edit, give, home, many, meet } from "./colleagues.ts"
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
