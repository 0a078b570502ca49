import { readFile, rm } from "node:fs/promises"
import { join } from "node:path"
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest"
import { accountActivity, listSessions, recordActivity } from "../src/client/activity.ts"
import { listInvitations } from "../src/client/invitations.ts"
import { history, viewRecord } from "../src/client/record-views.ts"
import { viewSharing } from "../src/client/sharing.ts"
import type { RecordId } from "../src/encoding/ids.ts"
import { type Desk, desk, runCli } from "./cli.ts"
import { openClient } from "./client.ts"
import { type LiveServer, removeFolder, serve, tempFolder } from "./server.ts"
import { canMount, type SmallDisk, smallDisk } from "./small-disk.ts"

vi.setConfig({ testTimeout: 240_000, hookTimeout: 120_000 })

const patient = { firstName: "Brady", lastName: "Kuhlman", birthDate: "1961-07-09", diagnosis: "Hypertension" }
const another = { firstName: "Carla", lastName: "Loos", birthDate: "1970-01-02", diagnosis: "Asthma" }
const cannot = "The server cannot store anything right now: you can read, not write."

describe.skipIf(!canMount)("a disk of a physician's that takes nothing", () => {
  const said = "This device can store nothing right now"
  let folder: string
  let disk: SmallDisk
  let server: LiveServer
  let ada: Desk
  let record: string
  beforeEach(async () => {
    folder = await tempFolder()
    disk = smallDisk(join(folder, "disk"), 8)
    server = await serve({ dataDir: join(folder, "data") })
    ada = desk(server.url, disk.path, "ada")
    await ada.register("Ada", "Byron")
    record = await ada.add(patient)
  })
  afterEach(async () => {
    await server.kill()
    disk.unmount()
    await removeFolder(folder)
  })

  async function demandReading(who: Desk): Promise<void> {
    for (const args of [
      ["records", "list"],
      ["records", "show", record],
      ["records", "history", record],
    ]) {
      const { code, stdout, stderr } = await who.run(args)
      expect([code, stderr.match(new RegExp(said, "g"))?.length], `${args.join(" ")}: ${stderr}`).toEqual([0, 1])
      expect(stdout.length).toBeGreaterThan(20)
    }
  }

  test("is read on with, on a machine that knows the practice and on one that is new", async () => {
    disk.fill()
    await demandReading(ada)
    await demandReading(desk(server.url, join(disk.path, "new"), "ada"))
    const monitor = await ada.run(["log", "monitor", "--once"])
    expect([monitor.code, monitor.stderr]).toEqual([1, expect.stringContaining("takes nothing (ENOSPC)")])
    disk.free()
    const list = await ada.run(["records", "list"])
    expect([list.code, list.stderr]).toEqual([0, ""])
  })

  test("is read on with where it is mounted for reading alone", async () => {
    disk.remount("ro")
    await demandReading(ada)
    disk.remount("rw")
    expect((await ada.run(["records", "list"])).stderr).toBe("")
  })
})

describe.skipIf(!canMount)("a disk that takes nothing", () => {
  let folder: string
  let disk: SmallDisk
  let data: string
  let server: LiveServer
  /** The one to end, whatever a test came to. */
  let running: LiveServer | null = null
  let ada: Desk
  let record: string

  beforeEach(async () => {
    folder = await tempFolder()
    disk = smallDisk(join(folder, "disk"), 8)
    data = join(disk.path, "data")
    server = running = await serve({ dataDir: data })
    ada = desk(server.url, folder, "ada")
    await ada.register("Ada", "Byron")
    record = await ada.add(patient)
  })
  afterEach(async () => {
    await running?.kill()
    running = null
    disk.unmount()
    await removeFolder(folder)
  })

  /** What a physician does who only reads, on a machine that knows the practice. */
  async function demandReading(): Promise<void> {
    const list = await ada.run(["records", "list", "--json"])
    expect([list.code, JSON.parse(list.stdout).map((row: { id: string }) => row.id)], list.stderr).toEqual([
      0,
      [record],
    ])
    expect(list.stderr.match(new RegExp(cannot, "g"))).toHaveLength(1)
    expect(await ada.show(record)).toMatchObject(patient)
    expect(await ada.must(["records", "history", record])).toContain("Ada Byron")
    const file = join(folder, "bundle.json")
    await ada.must(["export", record, "-o", file, "--force"])
    expect(JSON.parse(await readFile(file, "utf8"))).toMatchObject({ resourceType: "Bundle" })
  }

  async function demandNoWriting(): Promise<void> {
    const refused = await ada.run(["records", "add"], { input: another })
    expect([refused.code, refused.stdout]).toEqual([1, ""])
    expect(refused.stderr).toContain("The server cannot store anything right now")
  }

  const size = async () => Number((await (await fetch(`${server.url}/log/checkpoint`)).text()).split("\n")[1])

  test("is read from all the same, and written to again as soon as there is room; nothing is lost", async () => {
    disk.fill()
    const before = await size()
    await demandReading()
    await demandNoWriting()
    await demandReading()
    expect(await size()).toBe(before)
    disk.free()
    await expect
      .poll(async () => (await fetch(`${server.url}/api/practice`)).headers.has("x-healthcrypt-read-only"), {
        timeout: 30_000,
      })
      .toBe(false)
    const added = await ada.run(["records", "add"], { input: another })
    expect([added.code, added.stderr]).toEqual([0, expect.not.stringContaining(cannot)])
    expect(await ada.list()).toHaveLength(2)
    await server.stop()
    expect((await runCli(["verify", "--data", data])).code).toBe(0)
  })

  test("a password that is wrong is refused there as anywhere, and a suspended physician too", async () => {
    disk.fill()
    const wrong = await ada.with({ password: "another password" }).run(["records", "list"])
    expect([wrong.code, wrong.stderr]).toEqual([1, expect.stringContaining("do not match")])
    const refused = await runCli(["accounts", "suspend", "ada", "--data", data])
    expect([refused.code, refused.stderr]).toEqual([1, expect.stringContaining("cannot store anything")])
    await demandReading()
  })

  test("takes nothing from whoever only reads: every page of theirs, on a machine that knows nothing yet", async () => {
    disk.fill()
    const leaves = await size()
    const home = join(folder, "a new machine")
    const work = await openClient(server.url, home, "ada", ada.where.password)
    const { session, records, roster } = work
    await roster.looked()
    const opened = await records.open(record as RecordId)
    expect(await viewRecord(work, opened, opened.head.seq)).toMatchObject({ id: record })
    expect(await history(work, record as RecordId)).toHaveLength(1)
    await records.act(record as RecordId, "read")
    expect((await viewSharing(work, record as RecordId)).members).toHaveLength(1)
    expect((await recordActivity(work, record as RecordId, null)).items.length).toBeGreaterThan(0)
    expect((await accountActivity(work, null)).items.length).toBeGreaterThan(0)
    expect((await listSessions(work)).filter(({ current }) => current)).toHaveLength(1)
    expect((await listInvitations(work)).invitations).toEqual([])
    expect(session.people.all([])).toEqual([])
    await roster.sync(true)
    await session.remember()
    await session.end()
    work.close()
    expect(await size()).toBe(leaves)
    // What it has seen, it remembers: the machine holds the server to it from now on.
    const again = await openClient(server.url, home, "ada", ada.where.password)
    expect(again.session.pins.isNew).toBe(false)
    again.close()
  })

  test("that is mounted for reading alone is served from, after a clean end and after a kill", async () => {
    await server.stop()
    disk.remount("ro")
    server = running = await serve({ dataDir: data, port: server.port })
    expect(server.log()).toContain(`Nothing can be written to ${data}: physicians can read, and nothing else.`)
    await demandReading()
    await demandNoWriting()
    await server.kill()

    disk.remount("rw")
    server = running = await serve({ dataDir: data, port: server.port })
    await ada.must(["records", "edit", record], { diagnosis: "Hypertension" })
    await server.kill()
    disk.remount("ro")
    server = running = await serve({ dataDir: data, port: server.port })
    await demandReading()
    await server.kill()

    disk.remount("rw")
    await rm(join(data, "healthcrypt.db-shm"))
    disk.remount("ro")
    await expect(serve({ dataDir: data })).rejects.toThrow(/cannot be read without writing.*start once/s)
    disk.remount("rw")
    server = running = await serve({ dataDir: data, port: server.port })
    expect(await ada.list()).toHaveLength(1)
  })

  test("that is full when the server starts is served from", async () => {
    await server.stop()
    disk.fill()
    server = running = await serve({ dataDir: data, port: server.port })
    await demandReading()
    await demandNoWriting()
    await server.kill()
    disk.free()
    server = running = await serve({ dataDir: data, port: server.port })
    await ada.add(another)
  })
})
