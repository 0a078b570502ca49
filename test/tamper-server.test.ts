import { cp, rm } from "node:fs/promises"
import { join } from "node:path"
import { DatabaseSync } from "node:sqlite"
import { afterAll, beforeAll, beforeEach, describe, expect, test, vi } from "vitest"
import { type Desk, desk, type ListedRow, type Outcome } from "./cli.ts"
import { type Call, changing, type Meddling, startRelay } from "./relay.ts"
import { type LiveServer, removeFolder, serve, tempFolder } from "./server.ts"

/** The operator's socket is none of what a server keeps. */
const noSocket = (path: string) => !path.endsWith(".sock")

vi.setConfig({ testTimeout: 300_000, hookTimeout: 300_000 })

let folder: string
let server: LiveServer
let running: LiveServer[] = []
/** The folder as it was after Ada's first record, and as it is now. */
let early: string
let honest: string
let first: string
let second: string
let list: ListedRow[]

const patient = (name: string) => ({
  firstName: name,
  lastName: "Geheim",
  birthDate: "1938-02-27",
  diagnosis: "Podagra",
})

beforeAll(async () => {
  folder = await tempFolder()
  early = join(folder, "early")
  honest = join(folder, "honest")
  server = await serve({ dataDir: join(folder, "data"), args: ["--log-level", "warn"] })
  const ada = desk(server.url, folder, "ada")
  await ada.register("Ada", "Byron")
  await desk(server.url, folder, "bea").register("Bea", "Bloom")
  first = await ada.add(patient("Uno"))
  await server.stop()
  await cp(server.dataDir, early, { recursive: true, filter: noSocket })
  server = await serve({ dataDir: server.dataDir, port: server.port, args: ["--log-level", "warn"] })
  await ada.must(["records", "edit", first], { diagnosis: "Podagra acuta" })
  second = await ada.add(patient("Duo"))
  list = await ada.list()
  await server.stop()
  await cp(server.dataDir, honest, { recursive: true, filter: noSocket })
  await cp(join(folder, "home-ada"), join(folder, "home-before"), { recursive: true })
})
beforeEach(async () => {
  // Refusing leaves the machine's memory as it was, but a test must not lean on that.
  await rm(join(folder, "home-ada"), { recursive: true })
  await cp(join(folder, "home-before"), join(folder, "home-ada"), { recursive: true })
  await Promise.all(running.map((one) => one.stop()))
  running = []
})
afterAll(async () => {
  await Promise.all(running.map((one) => one.stop()))
  await removeFolder(folder)
})

/** A server on a copy of a folder, after something was done to the copy. */
async function serveCopy(of: string, change: (copy: string) => Promise<void> | void = () => {}): Promise<LiveServer> {
  const copy = join(folder, `copy-${crypto.randomUUID()}`)
  await cp(of, copy, { recursive: true, filter: noSocket })
  await change(copy)
  const started = await serve({ dataDir: copy, args: ["--log-level", "warn"] })
  running.push(started)
  return started
}

/** Ada at the machine that has seen everything, or at one that remembers nothing. */
const knowing = (url: string): Desk => desk(url, folder, "ada")
const fresh = (url: string): Desk => knowing(url).with({ home: join(folder, `fresh-${crypto.randomUUID()}`) })

function expectRefused(outcome: Outcome, code: number, says: string): void {
  expect(outcome).toMatchObject({ code, stdout: "", stderr: expect.stringContaining(says) })
  expect(outcome.stderr).not.toMatch(/Geheim|Podagra|Uno|Duo/)
}

const older = "an older state than this device has seen"
const contradicts = "contradicts what this device has seen"
const notThePractice = "not the practice you registered with"
const badLog = "log does not check"

describe("a server that goes back", () => {
  test("to an older copy of its folder is refused by whoever has seen more, reading and writing", async () => {
    const { url } = await serveCopy(early)
    expectRefused(await knowing(url).run(["records", "list"]), 3, older)
    expectRefused(await knowing(url).run(["records", "show", first]), 3, older)
    expectRefused(await knowing(url).run(["records", "add"], { input: patient("Tre") }), 3, older)
    // A fresh device shown an old world whole cannot know.
    expect(await fresh(url).list()).toHaveLength(1)
  })

  test("and then grows beyond what was seen, with another history, is refused as a fork", async () => {
    const { url } = await serveCopy(early)
    const bea = desk(url, folder, "bea").with({ home: join(folder, "home-bea-forked") })
    for (let i = 0; i < 6; i++) await bea.add(patient(`Bea's ${i}`))
    // Not even a keyring that is as new as the one that was seen makes it the same history.
    for (let i = 0; i < 6; i++) await fresh(url).add(patient(`Ada's ${i}`))
    expectRefused(await knowing(url).run(["records", "list"]), 3, contradicts)
    expectRefused(await knowing(url).run(["records", "show", first]), 3, contradicts)
  })

  test("and is put right again is read as before", async () => {
    const back = await serveCopy(early)
    expectRefused(await knowing(back.url).run(["records", "list"]), 3, older)
    const { url } = await serveCopy(honest)
    expect(await knowing(url).list()).toEqual(list)
  })
})

describe("a server that cuts off", () => {
  /** Takes a record's newest entry away as if it had never been written; the log stays as it is. */
  const withoutLast = (record: string) => (copy: string) => {
    const database = new DatabaseSync(join(copy, "healthcrypt.db"))
    const [last] = database.prepare("select max(seq) as seq from entry where record = ?").all(record)
    const seq = Number(last!.seq)
    database.exec("pragma foreign_keys = off")
    database.prepare("delete from entry where record = ? and seq = ?").run(record, seq)
    if (seq === 0) {
      for (const table of ["member", "self_grant"])
        database.prepare(`delete from ${table} where record = ?`).run(record)
      database.prepare("delete from record where id = ?").run(record)
    } else {
      const [before] = database
        .prepare("select statement_sha256, leaf from entry where record = ? and seq = ?")
        .all(record, seq - 1)
      database
        .prepare("update record set head_seq = ?, head_hash = ?, head_leaf = ? where id = ?")
        .run(seq - 1, before!.statement_sha256!, before!.leaf!, record)
    }
    database.close()
  }

  test("a record's newest entry is refused for that record; the others are read", async () => {
    const { url } = await serveCopy(honest, withoutLast(first))
    const listed = await knowing(url).run(["records", "list", "--json"])
    expect(JSON.parse(listed.stdout)).toEqual(list.filter(({ id }) => id !== first))
    expect(listed).toMatchObject({ code: 3, stderr: expect.stringContaining(`${first}: TAMPERED`) })
    const shown = await knowing(url).run(["records", "show", first])
    expectRefused(shown, 3, "Stop")
    expect(await knowing(url).show(second)).toMatchObject({ firstName: "Duo" })
  })

  test("a whole record is missed", async () => {
    const { url } = await serveCopy(honest, withoutLast(second))
    const listed = await knowing(url).run(["records", "list", "--json"])
    expect(JSON.parse(listed.stdout)).toEqual(list.filter(({ id }) => id !== second))
    expect(listed).toMatchObject({ code: 3, stderr: expect.stringContaining(`${second}: TAMPERED`) })
    const shown = await knowing(url).run(["records", "show", second])
    expect(shown.stdout).toBe("")
    expect(shown.code).not.toBe(0)
  })
})

describe("a server that is another", () => {
  let url: string
  beforeEach(async () => {
    url = (await serveCopy(honest)).url
  })
  const about = ({ path }: Call) => path === "/api/practice"
  const through = async (meddling: Meddling, work: (desk: Desk) => Promise<void>) => {
    const relay = await startRelay(url, meddling)
    await work(knowing(relay.url))
    await work(fresh(relay.url))
    await relay.close()
  }
  interface Practice {
    practice: string
    origin: string
    logKey: string
    opaqueKey: string
  }
  const someBytes = Buffer.alloc(32, 0xa5).toString("base64url")

  test("passed on as it is, everything works", async () => {
    await through({}, async (ada) => expect(await ada.list()).toEqual(list))
  })

  test("another log key", async () => {
    const meddling = changing<Practice>(about, (practice) => ({ ...practice, logKey: someBytes }))
    await through(meddling, async (ada) => expectRefused(await ada.run(["records", "list"]), 3, notThePractice))
  })

  test("another origin", async () => {
    const origin = `healthcrypt/${Buffer.alloc(16, 0xa5).toString("base64url")}`
    const meddling = changing<Practice>(about, (practice) => ({ ...practice, origin }))
    await through(meddling, async (ada) => expectRefused(await ada.run(["records", "list"]), 3, notThePractice))
  })

  test("another OPAQUE key", async () => {
    const meddling = changing<Practice>(about, (practice) => ({ ...practice, opaqueKey: someBytes }))
    await through(meddling, async (ada) => expectRefused(await ada.run(["records", "list"]), 3, notThePractice))
  })

  test("another practice: the password's proof is for one practice alone", async () => {
    const practice = Buffer.alloc(16, 0xa5).toString("base64url")
    const meddling = changing<Practice>(about, (said) => ({ ...said, practice, origin: `healthcrypt/${practice}` }))
    await through(meddling, async (ada) => {
      const outcome = await ada.run(["records", "list"])
      expect([1, 3]).toContain(outcome.code)
      expect(outcome.stdout).toBe("")
    })
  })

  test("other secrets beside the same database: another log key does not start, another OPAQUE setup lets nobody in", async () => {
    const other = await serve({ dataDir: join(folder, `other-${crypto.randomUUID()}`) })
    await other.stop()
    const swapping = (name: string) => (copy: string) =>
      cp(join(other.dataDir, "secrets", name), join(copy, "secrets", name))
    await expect(serveCopy(honest, swapping("log-key"))).rejects.toThrow(/ended with 3:\n.*does not belong to the key/)
    const opaque = await serveCopy(honest, swapping("opaque-setup"))
    expectRefused(await knowing(opaque.url).run(["records", "list"]), 1, "do not match")
  })
})

describe("a server that lies in an answer", () => {
  let url: string
  beforeAll(async () => {
    server = await serve({ dataDir: honest, args: ["--log-level", "warn"] })
    url = server.url
  })
  afterAll(() => server.stop())
  interface Entries {
    entries: { statement: string; leaf: { index: number; salt: string } }[]
    /** Hashes, one after the other, in base64url. */
    inclusion: string
    log: { checkpoint: string; consistency: string }
  }
  const entriesOf = (record: string) => (call: Call) =>
    call.method === "GET" && call.path.startsWith(`/api/records/${record}/entries`)
  const appends = (call: Call) => call.method === "POST" && /^\/api\/records\/[^/]+\/entries$/.test(call.path)

  test.each<[string, (body: Entries) => unknown, string]>([
    ["withholds the newest entry", (body) => ({ ...body, entries: body.entries.slice(0, -1) }), badLog],
    ["withholds an entry in between", (body) => ({ ...body, entries: body.entries.slice(1) }), "does not fit together"],
    ["changes their order", (body) => ({ ...body, entries: body.entries.toReversed() }), "does not fit together"],
    [
      "says one twice",
      (body) => ({ ...body, entries: [...body.entries, body.entries.at(-1)] }),
      "does not fit together",
    ],
    ["leaves out the proof", (body) => ({ ...body, inclusion: "" }), badLog],
    ["gives none", (body) => ({ ...body, entries: [], inclusion: "" }), ""],
  ])("%s", async (_, lie, says) => {
    const relay = await startRelay(url, changing(entriesOf(first), lie))
    const outcome = await fresh(relay.url).run(["records", "show", first])
    expectRefused(outcome, 3, says)
    await relay.close()
  })

  test("gives another record's entries", async () => {
    let others: Entries["entries"] = []
    const listening = await startRelay(
      url,
      changing<Entries>(entriesOf(second), (body) => {
        others = body.entries
      }),
    )
    await fresh(listening.url).show(second)
    await listening.close()
    expect(others).toHaveLength(1)
    const relay = await startRelay(
      url,
      changing<Entries>(entriesOf(first), (body) => ({ ...body, entries: others })),
    )
    expectRefused(await fresh(relay.url).run(["records", "show", first]), 3, "does not fit together")
    await relay.close()
  })

  test("cuts the signature off its checkpoint, or says another size", async () => {
    for (const change of [
      (note: string) => note.slice(0, note.indexOf("\n\n") + 2),
      (note: string) => note.replace(/\n(\d+)\n/, (_, size: string) => `\n${Number(size) + 1}\n`),
    ]) {
      const relay = await startRelay(
        url,
        changing<Entries>(entriesOf(first), (body) => ({
          ...body,
          log: { ...body.log, checkpoint: change(body.log.checkpoint) },
        })),
      )
      expectRefused(await fresh(relay.url).run(["records", "show", first]), 3, badLog)
      await relay.close()
    }
  })

  test("acknowledges a write with a leaf that is not in its log: the command says so, and prints no id", async () => {
    interface Receipt {
      leaf: { index: number; time: number; salt: string }
    }
    const other = Buffer.alloc(16, 1).toString("base64url")
    const relay = await startRelay(
      url,
      changing<Receipt>(appends, (receipt) => ({ ...receipt, leaf: { ...receipt.leaf, salt: other } })),
    )
    expectRefused(await fresh(relay.url).run(["records", "add"], { input: patient("Tre") }), 3, badLog)
    await relay.close()
  })

  test("answers with what is no JSON, or another shape, or an error page", async () => {
    for (const text of ["", "<html>", "{}", "null", '{"code":"TAMPERED_FORK","message":"x"}']) {
      const relay = await startRelay(url, {
        after: (call, body) => (entriesOf(first)(call) ? Buffer.from(text) : body),
      })
      const outcome = await fresh(relay.url).run(["records", "show", first])
      expectRefused(outcome, 1, "")
      expect(outcome.stderr).not.toBe("")
      await relay.close()
    }
  })
})
