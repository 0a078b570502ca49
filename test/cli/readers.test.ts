import { type ChildProcess, spawn } from "node:child_process"
import { closeSync, openSync } from "node:fs"
import { readFile, writeFile } from "node:fs/promises"
import { join } from "node:path"
import { DatabaseSync } from "node:sqlite"
import { afterAll, afterEach, beforeAll, describe, expect, test, vi } from "vitest"
import { renewWords } from "../../src/client/account.ts"
import { type Desk, desk, runCli } from "../cli.ts"
import { Restoring, password as restoringPassword } from "../restoring.ts"
import { bareEnv, bin, type LiveServer, removeFolder, serve, tempFolder } from "../server.ts"
import { canMount, smallDisk } from "../small-disk.ts"

vi.setConfig({ testTimeout: 240_000, hookTimeout: 120_000 })

/** Whoever reads what a command writes may go away, and a file that takes it may be full. */
let folder: string
let server: LiveServer
beforeAll(async () => {
  folder = await tempFolder()
  server = await serve({ dataDir: join(folder, "data") })
})
afterAll(async () => {
  await server.stop()
  await removeFolder(folder)
})

let child: ChildProcess | null = null
afterEach(() => {
  child?.kill("SIGKILL")
})

interface Ended {
  readonly code: number | null
  readonly stderr: string
}

interface Run {
  readonly env?: Readonly<Record<string, string>>
  readonly input?: string
  /** A file descriptor for standard output; a pipe without a reader where left out. */
  readonly stdout?: number | undefined
}

/** Runs the real command, with nobody to read its standard output. */
function unread(args: readonly string[], { env = {}, input = "", stdout }: Run = {}): Promise<Ended> {
  const started = spawn(process.execPath, [bin, ...args], {
    env: { ...bareEnv, ...env },
    stdio: ["pipe", stdout ?? "pipe", "pipe"],
  })
  child = started
  started.stdout?.destroy()
  let stderr = ""
  started.stderr!.on("data", (chunk: Buffer) => {
    stderr += chunk.toString()
  })
  started.stdin!.on("error", () => {})
  started.stdin!.end(input)
  return new Promise((resolve) => started.once("close", (code) => resolve({ code, stderr })))
}

/** A file on a disk that is full. */
async function onFullDisk<T>(work: (stdout: number) => Promise<T>): Promise<T> {
  const disk = smallDisk(join(folder, "full"), 1)
  const file = openSync(join(disk.path, "out"), "w")
  try {
    disk.fill()
    return await work(file)
  } finally {
    closeSync(file)
    disk.unmount()
  }
}

const as = (who: Desk, changes: Run = {}): Run => ({ ...changes, env: { ...who.env, ...changes.env } })
const names = JSON.stringify({ firstName: "Ada", lastName: "Byron" })
const bundle = (n: number) =>
  JSON.stringify({
    resourceType: "Patient",
    id: `p${n}`,
    name: [{ given: [`N${n}`], family: "F" }],
    birthDate: `1980-01-0${n}`,
  })

describe("a command whose reader goes away", () => {
  test("goes on serving without one", async () => {
    const args = [bin, "serve", "--port", "0", "--data", join(folder, "silent")]
    const started = spawn(process.execPath, args, { env: bareEnv, stdio: ["ignore", "pipe", "pipe"] })
    child = started
    started.stdout.destroy()
    await new Promise((resolve) => setTimeout(resolve, 5000))
    expect([started.exitCode, started.signalCode]).toEqual([null, null])
    started.kill("SIGTERM")
    expect(await new Promise((resolve) => started.once("close", resolve))).toBe(0)
  })

  test("says what it found, and ends as it would have", async () => {
    const changed = join(folder, "changed")
    await (await serve({ dataDir: changed })).stop()
    const database = new DatabaseSync(join(changed, "healthcrypt.db"))
    database.exec("update meta set value = replace(value, 'healthcrypt/', 'healthcrypu/') where name = 'checkpoint'")
    database.close()
    const read = await runCli(["verify", "--data", changed])
    expect(read.code).toBe(3)
    expect(await unread(["verify", "--data", changed])).toEqual({ code: 3, stderr: read.stderr })
  })

  test("does all of its work", async () => {
    const ada = desk(server.url, folder, "importing")
    await ada.register("Ada", "Byron")
    const files = [1, 2, 3].map((n) => join(folder, `${n}.json`))
    for (const [i, file] of files.entries()) await writeFile(file, bundle(i + 1))
    expect(await unread(["import", ...files], as(ada))).toEqual({ code: 0, stderr: "" })
    expect(await ada.list()).toHaveLength(3)
    // Reading alone ends in silence.
    expect(await unread(["records", "list"], as(ada))).toEqual({ code: 0, stderr: "" })
  })

  test("that watches ends with it", async () => {
    const ada = desk(server.url, folder, "watching")
    await ada.register("Ada", "Byron")
    const watching = unread(["records", "watch"], as(ada))
    const patient = { firstName: "Bea", lastName: "Beer", birthDate: "1938-02-27", diagnosis: "Gout" }
    const timer = setInterval(() => void ada.run(["records", "add"], { input: patient }), 3000)
    try {
      expect(await watching).toMatchObject({ code: 0 })
    } finally {
      clearInterval(timer)
    }
  })

  test("does not end with 0 where nothing else has what it was to write", async () => {
    const code = expect.objectContaining({ code: 1, stderr: expect.stringContaining("Standard output") })
    expect(await unread(["accounts", "invite", "--data", server.dataDir])).toEqual(code)
    const ada = desk(server.url, folder, "exporting")
    await ada.register("Ada", "Byron")
    const id = await ada.add({ firstName: "Bea", lastName: "Beer", birthDate: "1938-02-27", diagnosis: "Gout" })
    expect(await unread(["export", id, "-o", "-"], as(ada))).toEqual(code)
  })
})

describe.skipIf(!canMount)("a file that takes nothing", () => {
  test("is named, and no command ends with 0", async () => {
    const ada = desk(server.url, folder, "full")
    await ada.register("Ada", "Byron")
    const list = await onFullDisk((stdout) => unread(["accounts", "list", "--data", server.dataDir], { stdout }))
    expect(list).toEqual({ code: 1, stderr: expect.stringContaining("Standard output cannot be written (ENOSPC)") })
    const help = await onFullDisk((stdout) => unread(["--help"], { stdout }))
    expect(help).toEqual({ code: 1, stderr: expect.stringContaining("Standard output") })
    const json = await onFullDisk((stdout) => unread(["records", "list", "--json"], as(ada, { stdout })))
    expect(json.stderr).not.toContain("fault")
    expect(json.code).toBe(1)
  })
})

/** They count from when the server has them, and nobody can print them again. */
describe("recovery words that nobody was given", () => {
  const ways: [string, (run: (stdout?: number) => Promise<Ended>) => Promise<Ended>][] = [
    ["a reader that has gone", (run) => run()],
    ...(canMount ? [["a full disk", (run) => onFullDisk(run)] as (typeof ways)[number]] : []),
  ]

  test.each(ways)("are those of no new account: %s", async (_, through) => {
    const ada = desk(server.url, folder, `new${_.length}`)
    const { code, stderr } = await through((stdout) => unread(["register"], as(ada, { input: names, stdout })))
    expect([code, stderr]).toEqual([1, expect.stringContaining("could not be written")])
    expect(await ada.register("Ada", "Byron")).toHaveLength(24)
  })

  test.each(ways)("replace none with `recover`: %s", async (_, through) => {
    const ada = desk(server.url, folder, `old${_.length}`)
    const words = await ada.register("Ada", "Byron")
    const env = { HEALTHCRYPT_NEW_PASSWORD: "another sentence of hers" }
    const refused = await through((stdout) => unread(["recover"], as(ada, { input: words.join("\n"), env, stdout })))
    expect([refused.code, refused.stderr]).toEqual([1, expect.stringContaining("could not be written")])
    expect(refused.stderr).not.toContain("fault")
    expect(await ada.list()).toEqual([])
    const done = await ada.run(["recover"], { input: words.join("\n"), env })
    expect([done.code, done.stderr]).toEqual([0, expect.stringContaining("once this command ends without an error")])
    const fresh = done.stdout.trimEnd().split("\n")
    expect((await ada.run(["recover"], { input: words.join("\n"), env })).code).toBe(1)
    expect((await ada.run(["recover"], { input: fresh.join("\n"), env })).code).toBe(0)
  })

  test("replace none with `restored`", async () => {
    const practice = await Restoring.start()
    try {
      const words = await practice.register("cyd")
      await practice.backUp("night", true)
      const cyd = await practice.open("cyd")

      await renewWords(cyd.session, restoringPassword)
      await practice.putAway(cyd)
      const { code } = await practice.restore("night")
      const env = {
        HEALTHCRYPT_SERVER: practice.url,
        HEALTHCRYPT_HOME: practice.home("cyd"),
        HEALTHCRYPT_USERNAME: "cyd",
        HEALTHCRYPT_PASSWORD: restoringPassword,
      }
      const refused = await unread(["restored", "--json"], { env, input: code })
      expect([refused.code, refused.stderr]).toEqual([1, expect.stringContaining("words")])
      const again = await runCli(["restored"], { env })
      expect(again.stdout.match(/^[a-z]{3,8}$/gm)).toHaveLength(24)
      expect(again.code).toBe(0)
      expect((await runCli(["recover"], { env, input: words.join("\n") })).code).toBe(1)
    } finally {
      await practice.close()
    }
  })
})

test("a server goes on when nobody reads its log any more", async () => {
  const args = [bin, "serve", "--port", "0", "--data", join(folder, "unread")]
  const started = spawn(process.execPath, args, { env: bareEnv, stdio: ["ignore", "pipe", "pipe"] })
  child = started
  const url = await new Promise<string>((resolve) => {
    started.stdout.on("data", (chunk: Buffer) => {
      const ready = /ready at (\S+)/.exec(chunk.toString())
      if (ready) resolve(ready[1]!)
    })
  })
  started.stderr.destroy()
  for (let i = 0; i < 3; i++) expect((await fetch(`${url}/api/practice`)).status).toBe(200)
  const before = await ticksOf(started.pid!)
  await new Promise((resolve) => setTimeout(resolve, 1000))
  expect((await fetch(`${url}/api/practice`)).status).toBe(200)
  expect(started.exitCode).toBeNull()
  // Hundredths of a second of processor time: it once told itself of every line that it could not tell.
  expect((await ticksOf(started.pid!)) - before).toBeLessThan(50)
})

/** What a process has used of its processor, in clock ticks. Source: man 5 proc_pid_stat, fields 14 and 15 */
async function ticksOf(pid: number): Promise<number> {
  const fields = (await readFile(`/proc/${pid}/stat`, "utf8")).replace(/.*\) /, "").split(" ")
  return Number(fields[11]) + Number(fields[12])
}
