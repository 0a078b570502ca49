import { cp, readdir, readFile } from "node:fs/promises"
import { join } from "node:path"
import { DatabaseSync } from "node:sqlite"
import { afterAll, beforeAll, describe, expect, test } from "vitest"
import { keysOf } from "../src/client/roster-row.ts"
import type { PhysicianId, RecordId } from "../src/encoding/ids.ts"
import { errors } from "../src/errors.ts"
import { parseEntry } from "../src/proof/entry.ts"
import type { RecordKey } from "../src/vault/keys.ts"
import { entryPlace, summaryPlace } from "../src/vault/places.ts"
import { open } from "../src/vault/seal.ts"
import { type Desk, desk, runCli } from "./cli.ts"
import { type LiveClient, openClient } from "./client.ts"
import { brady, edit, give, meet, refused } from "./colleagues.ts"
import { type LiveServer, removeFolder, serve, tempFolder } from "./server.ts"

/** The drill of docs/operations.md, command by command, with real server processes at one address. */
const longestMs = 600_000
const passphrase = { HEALTHCRYPT_BACKUP_PASSPHRASE: "a passphrase for backups" }
const newPassword = "a new password of cyd's"
const patient = (firstName: string) => ({ ...brady, firstName })

let folder: string
let server: LiveServer
let desks: Record<"ada" | "bea" | "mal" | "cyd" | "dan" | "eve", Desk>
let words: string[]
let shared: RecordId
let alone: RecordId
/** Of the restore that counts, and of the other one. */
let code: string
let otherCode: string
const keysOfMal: RecordKey[] = []

beforeAll(async () => {
  folder = await tempFolder()
  server = await serve({ dataDir: join(folder, "data") })
  desks = Object.fromEntries(
    ["ada", "bea", "mal", "cyd", "dan", "eve"].map((name) => [name, desk(server.url, folder, name)]),
  ) as typeof desks
  for (const [name, one] of Object.entries(desks)) {
    const sheet = await one.register(name, "Byron")
    if (name === "eve") words = sheet
  }
}, longestMs)
afterAll(async () => {
  await server?.kill()
  await removeFolder(folder)
})

const at = (name: string) => join(folder, name)
/** Ada at another of her machines. */
const machine = (name: string) => desks.ada.with({ home: at(`home-ada-${name}`) })
const inProcess = ({ where }: Desk) => openClient(where.server, where.home, where.username, where.password)

async function serveFrom(name: string): Promise<void> {
  await server.stop()
  server = await serve({ dataDir: at(name), port: server.port })
}

/** What a machine keeps when it is put away. */
async function putAway({ session, roster, close }: LiveClient): Promise<void> {
  await session.kept.keepHeads(roster)
  await session.kept.flush()
  await session.pins.save()
  await session.end()
  close()
}

/** All that a machine remembers, without what any command may note of the time. */
async function memoryOf({ where }: Desk): Promise<Record<string, string>> {
  const names = await readdir(where.home, { recursive: true, withFileTypes: true }).catch(() => [])
  const files = names.filter((one) => one.isFile()).map((one) => join(one.parentPath, one.name))
  // Which machine this is, it may write down wherever it is asked first.
  const kept = files.filter((file) => !file.endsWith(".lock") && file !== join(where.home, "device"))
  const pairs = await Promise.all(kept.map(async (file) => [file, (await readFile(file)).toString("hex")] as const))
  return Object.fromEntries(pairs.sort())
}

/** What a physician sees who has not typed the code: a refusal, nothing of a patient, and a machine that remembers what it remembered. */
async function demandRefusal(who: Desk, named = "put back to an earlier state"): Promise<void> {
  const before = await memoryOf(who)
  const list = await who.run(["records", "list", "--json"])
  expect([list.code, list.stdout], list.stderr).toEqual([3, ""])
  expect(list.stderr).toContain(named)
  expect(list.stderr).not.toContain("Kuhlman")
  const add = await who.run(["records", "add"], { input: patient("Sent too early") })
  expect([add.code, add.stdout], add.stderr).toEqual([3, ""])
  expect(await memoryOf(who)).toEqual(before)
}

const another = (digits: string) => digits.replace(/\d$/, (last) => String((Number(last) + 1) % 10))
const restoreInto = (name: string, ...args: string[]) =>
  runCli(["restore", at("backup"), "--data", at(name), ...args], { env: passphrase })

describe("the drill", () => {
  test("a backup of the running server, and what everybody does after it", { timeout: longestMs }, async () => {
    const ada = await inProcess(desks.ada)
    const [bea, mal] = [await inProcess(desks.bea), await inProcess(desks.mal)]
    await meet(ada, bea)
    await meet(ada, mal)
    shared = (await desks.ada.add(patient("Shared"))) as RecordId
    alone = (await desks.ada.add(patient("Alone"))) as RecordId
    await ada.roster.sync()
    await give(ada, bea, shared, "writer")
    await give(ada, mal, shared, "reader")
    keysOfMal.push(...keysOf(mal.roster.rows.get(shared)!).filter((key) => key !== undefined))
    for (const work of [ada, bea, mal]) await putAway(work)
    for (const one of [desks.ada, machine("behind"), desks.bea, desks.mal]) await one.list()

    // A session that is open while the backup is made: what it writes first knows nothing that the backup does not hold.
    const still = await inProcess(machine("open"))
    await still.roster.sync()
    const made = await runCli(["backup", at("backup"), "--data", at("data"), "--with-secrets"], { env: passphrase })
    expect(made.code, made.stderr).toBe(0)
    await edit(still, alone, "Sent as it was")
    await putAway(still)

    await desks.ada.must(["unshare", shared, "mal"])
    await desks.ada.must(["records", "edit", shared], { diagnosis: "After Mal has gone" })
    await desks.ada.add(patient("Fresh"))
    expect(await desks.mal.list()).toEqual([])
    const changed = await desks.cyd.run(["password"], { env: { HEALTHCRYPT_NEW_PASSWORD: newPassword } })
    expect(changed.code, changed.stderr).toBe(0)
    await desks.dan.list()
  })

  test("two restores of it have two codes, and neither replaces more than it says", {
    timeout: longestMs,
  }, async () => {
    const running = await restoreInto("data", "--force")
    expect([running.code, running.stdout]).toEqual([1, ""])
    expect(running.stderr).toMatch(/server|running/)
    await server.stop()
    const refusal = await restoreInto("data")
    expect([refusal.code, refusal.stdout]).toEqual([1, ""])
    expect(refusal.stderr).toContain("would be lost")
    await cp(at("data"), at("never restored"), { recursive: true })

    const done = await restoreInto("data", "--force")
    expect(done.code, done.stderr).toBe(0)
    code = done.stdout.trim()
    expect(code).toMatch(/^(\d{5} ){5}\d{5}$/)
    const again = await runCli(["restore", "--code", "--data", at("data")])
    expect(again.stdout.trim()).toBe(code)
    const other = await restoreInto("other")
    expect(other.code, other.stderr).toBe(0)
    otherCode = other.stdout.trim()
    expect(otherCode).not.toBe(code)
    for (const name of ["data", "other"]) expect((await runCli(["verify", "--data", at(name)])).code, name).toBe(0)
  })

  test("without a code every machine refuses, and nothing is written", { timeout: longestMs }, async () => {
    server = await serve({ dataDir: at("data"), port: server.port })
    const entries = entriesIn("data")
    for (const one of [desks.ada, machine("behind"), machine("open"), machine("new"), desks.bea, desks.mal])
      await demandRefusal(one)
    expect(entriesIn("data")).toEqual(entries)
  })

  test("a restore that one physician alone is shown is refused by everybody else, and theirs by them", {
    timeout: longestMs,
  }, async () => {
    await serveFrom("other")
    const dan = await desks.dan.run(["restored"], { input: otherCode })
    expect(dan.code, dan.stderr).toBe(0)
    await desks.dan.add(patient("In the other restore"))
    for (const one of [desks.ada, desks.bea]) {
      await demandRefusal(one)
      const wrong = await one.run(["restored"], { input: code })
      expect([wrong.code, wrong.stderr]).toEqual([1, expect.stringContaining("not the code of this restore")])
    }
    // What was never restored goes on for the others; dan's machines are beyond it.
    await serveFrom("never restored")
    await demandRefusal(desks.dan, errors.TAMPERED_ROLLBACK[1])
    expect(await desks.ada.list()).toHaveLength(3)
    await serveFrom("data")
    await demandRefusal(desks.dan)
  })

  test("a wrong code changes nothing", { timeout: longestMs }, async () => {
    const before = await memoryOf(desks.ada)
    for (const wrong of [otherCode, another(code), code.slice(6), "no digits"]) {
      const { code: exit, stderr } = await desks.ada.run(["restored"], { input: wrong })
      expect([exit, stderr]).toEqual([1, expect.stringMatching(/not the code of this restore|digits; the code has 30/)])
    }
    expect((await desks.ada.run(["restored"])).code).toBe(2)
    expect(await memoryOf(desks.ada)).toEqual(before)
    await demandRefusal(desks.ada)
  })

  test("the machine that was ahead confirms, and sends its own again, made anew", { timeout: longestMs }, async () => {
    const lost = at("lost.json")
    const done = await desks.ada.run(["restored", "-o", lost], { input: code.replaceAll(" ", "") })
    expect(done.code, done.stderr).toBe(0)
    expect(done.stdout).toMatch(/the whole record +1 +Kuhlman, Fresh/)
    expect(done.stdout).toMatch(/2 of 5 entries +2 +mal +Kuhlman, Shared/)
    expect(done.stderr).toContain("Sent again: 0 unchanged, 1 anew")
    expect(done.stderr).toContain("1 entry waits until an owner has confirmed")
    expect(JSON.stringify(JSON.parse(await readFile(lost, "utf8")))).toContain("After Mal has gone")
    expect((await desks.ada.list()).map(({ firstName }) => firstName).sort()).toEqual(["Alone", "Fresh", "Shared"])
  })

  test("her other machines follow without a code: one sends its entry as it was, one was behind", {
    timeout: longestMs,
  }, async () => {
    const followed = await machine("open").run(["restored"])
    expect(followed.code, followed.stderr).toBe(0)
    expect(followed.stderr).toContain("Sent again: 1 unchanged, 0 anew")
    const behind = machine("behind")
    expect((await behind.list()).map(({ firstName }) => firstName).sort()).toEqual(["Alone", "Fresh", "Shared"])
    expect(await behind.show(alone)).toMatchObject({ diagnosis: "Sent as it was" })
  })

  test("a shared record waits for its owner, who leaves out whoever had been removed", {
    timeout: longestMs,
  }, async () => {
    const early = await desks.ada.run(["records", "edit", shared], { input: { diagnosis: "Too early" } })
    expect([early.code, early.stderr]).toEqual([1, expect.stringContaining("One of its owners has to confirm")])
    const asked = await desks.ada.run(["members", shared])
    expect(asked.stderr).toContain(`members ${shared} --confirm --without mal`)
    expect((await desks.ada.run(["members", shared, "--confirm"])).code).toBe(2)
    await desks.ada.must(["members", shared, "--confirm", "--without", "mal"])
    const sent = await desks.ada.run(["restored"])
    expect(sent.stderr).toContain("Sent again: 0 unchanged, 1 anew")
    expect(await desks.ada.show(shared)).toMatchObject({ diagnosis: "After Mal has gone" })
    const over = await desks.ada.run(["restored"])
    expect([over.code, over.stderr]).toEqual([0, expect.stringContaining("Nothing of yours is left")])
  })

  test("a colleague who was offline all the while types the code, and goes on", { timeout: longestMs }, async () => {
    await demandRefusal(desks.bea)
    const done = await desks.bea.run(["restored"], { input: code })
    expect([done.code, done.stdout], done.stderr).toEqual([
      0,
      expect.stringContaining("Nothing that this device has seen went back."),
    ])
    expect(await desks.bea.show(shared)).toMatchObject({ diagnosis: "After Mal has gone" })
    await desks.bea.must(["records", "edit", shared], { diagnosis: "Written by Bea" })
    expect(await desks.ada.show(shared)).toMatchObject({ diagnosis: "Written by Bea" })
  })

  test("who had been removed reads nothing of what was written since, with all their keys", {
    timeout: longestMs,
  }, async () => {
    await demandRefusal(desks.mal)
    expect((await desks.mal.run(["restored"], { input: code })).code).toBe(0)
    expect(await desks.mal.list()).toEqual([])
    expect((await desks.mal.run(["records", "show", shared])).code).not.toBe(0)
    const mal = await inProcess(desks.mal)
    await mal.roster.syncAfresh()
    const keys = [...keysOfMal, ...[...mal.roster.rows.values()].flatMap(keysOf).filter((key) => key !== undefined)]
    expect(keys.length).toBeGreaterThan(0)
    await putAway(mal)
    const ada = await inProcess(desks.ada)
    const keysOfAda = keysOf(ada.roster.rows.get(shared)!)
    await putAway(ada)

    const epoch = keysOfAda.length - 1
    const entries = entriesIn("data")
    const since = entries.filter((one) => one.record === shared && one.epoch === epoch)
    expect(since.filter(({ body }) => body !== null).length).toBeGreaterThanOrEqual(2)
    for (const { seq, author, body, summary } of since)
      for (const [token, place] of [
        [body, (of: number) => entryPlace(shared, of, seq, author)],
        [summary, (of: number) => summaryPlace(shared, of, seq)],
      ] as const) {
        if (token === null) continue
        await open(keysOfAda[epoch]!, place(epoch), token)
        for (const key of keys)
          for (let of = 0; of <= epoch; of++)
            await expect(open(key, place(of), token)).rejects.toEqual(refused("CANNOT_OPEN"))
      }
    // The same keys open what mal had been given.
    const before = entries.find((one) => one.record === shared && one.seq === 0)!
    await open(keysOfMal[0]!, entryPlace(shared, 0, 0, before.author), before.body!)
  })

  test("who changed the password since signs in with the old one, and changes it again", {
    timeout: longestMs,
  }, async () => {
    const newer = desks.cyd.with({ password: newPassword })
    expect((await newer.run(["restored"], { input: code })).stderr).toContain("do not match")
    const without = await desks.cyd.run(["restored"], { input: code })
    expect([without.code, without.stderr]).toEqual([2, expect.stringContaining("HEALTHCRYPT_NEW_PASSWORD")])
    await demandRefusal(desks.cyd)
    const done = await desks.cyd.run(["restored"], { input: code, env: { HEALTHCRYPT_NEW_PASSWORD: newPassword } })
    expect(done.code, done.stderr).toBe(0)
    await newer.add(patient("Cyd's"))
    expect((await desks.cyd.run(["records", "list"])).stderr).toContain("do not match")
  })

  test("who has only the recovery words gets in with the code", { timeout: longestMs }, async () => {
    const lostAll = desks.eve.with({ home: at("home-eve-new"), password: "a password of eve's, made now" })
    const bare = await lostAll.run(["recover"], { input: words.join("\n") })
    expect([bare.code, bare.stdout]).toEqual([3, ""])
    expect(bare.stderr).toContain("recover --restored")
    const wrong = await lostAll.run(["recover", "--restored"], { input: `${another(code)}\n${words.join("\n")}` })
    expect([wrong.code, wrong.stdout]).toEqual([1, ""])
    const done = await lostAll.run(["recover", "--restored"], { input: `${code}\n${words.join("\n")}` })
    expect(done.code, done.stderr).toBe(0)
    expect(done.stdout.trimEnd().split("\n")).toHaveLength(24)
    await lostAll.add(patient("Eve's"))
    const used = await lostAll.run(["recover"], { input: words.join("\n") })
    expect(used.code).toBe(1)
  })

  test("who was shown another restore takes this one with its own code, and sends again what was written there", {
    timeout: longestMs,
  }, async () => {
    const done = await desks.dan.run(["restored"], { input: code })
    expect(done.code, done.stderr).toBe(0)
    expect(done.stderr).toContain("1 anew")
    expect((await desks.dan.list()).map(({ firstName }) => firstName)).toEqual(["In the other restore"])
    await server.stop()
    expect((await runCli(["verify", "--data", at("data")])).code).toBe(0)
  })
})

interface StoredEntry {
  readonly record: RecordId
  readonly seq: number
  readonly epoch: number
  readonly author: PhysicianId
  readonly body: Uint8Array | null
  readonly summary: Uint8Array | null
}

function entriesIn(name: string): StoredEntry[] {
  const database = new DatabaseSync(join(at(name), "healthcrypt.db"), { readOnly: true })
  try {
    return database
      .prepare("select statement, body, summary from entry order by record, seq")
      .all()
      .map(({ statement, body, summary }) => {
        const { record, seq, epoch, author } = parseEntry(new Uint8Array(statement as Uint8Array))
        const bytes = (value: unknown) => (value instanceof Uint8Array ? new Uint8Array(value) : null)
        return { record, seq, epoch, author, body: bytes(body), summary: bytes(summary) }
      })
  } finally {
    database.close()
  }
}
