import { spawn } from "node:child_process"
import { createServer } from "node:http"
import { join } from "node:path"
import { afterEach, beforeEach, expect, test, vi } from "vitest"
import { type Desk, desk } from "../cli.ts"
import { bareEnv, bin, type LiveServer, removeFolder, serve, tempFolder } from "../server.ts"

vi.setConfig({ testTimeout: 300_000, hookTimeout: 300_000 })

let folder: string
let server: LiveServer
let ada: Desk
/** The same physician at another machine. */
let elsewhere: Desk
let id: string

beforeEach(async () => {
  folder = await tempFolder()
  server = await serve({ dataDir: join(folder, "data"), args: ["--log-level", "warn"] })
  ada = desk(server.url, folder, "ada")
  elsewhere = ada.with({ home: join(folder, "elsewhere") })
  await ada.register("Ada", "Byron")
  id = await ada.add({ firstName: "Bea", lastName: "Beer", birthDate: "1961-07-09", diagnosis: "Hypertension" })
})
afterEach(async () => {
  await server.stop()
  await removeFolder(folder)
})

/** `records watch`, once it watches. */
async function watching(...args: string[]) {
  const child = spawn(process.execPath, [bin, "records", "watch", ...args], { env: { ...bareEnv, ...ada.env } })
  const out = { stdout: "", stderr: "" }
  child.stdout.on("data", (chunk) => (out.stdout += chunk))
  child.stderr.on("data", (chunk) => (out.stderr += chunk))
  const ended = new Promise<number | null>((resolve) => child.once("close", resolve))
  const until = (which: keyof typeof out, text: string) =>
    vi.waitFor(() => expect(out[which]).toContain(text), { timeout: 60_000 })
  await until("stderr", "Watching")
  return { out, until, ended, stop: () => child.kill("SIGINT") }
}

/** What a proxy answers, and a server that is about to end. */
async function away(port: number, work: () => Promise<void>): Promise<void> {
  const proxy = createServer((_, response) => response.writeHead(503).end("Service Unavailable"))
  await new Promise<void>((resolve) => proxy.listen(port, "127.0.0.1", resolve))
  await work()
  proxy.closeAllConnections()
  await new Promise((closed) => proxy.close(closed))
}

test("goes on through a server that is stopped and started, and misses nothing", async () => {
  const watch = await watching()
  const { port, dataDir } = server
  await server.stop()
  await away(port, () => watch.until("stderr", "Trying on."))
  server = await serve({ dataDir, port, args: ["--log-level", "warn"] })
  await elsewhere.must(["records", "edit", id], { diagnosis: "Migraine" })
  await watch.until("stdout", "Hypertension → Migraine")
  await watch.until("stderr", "answers again.")
  expect(watch.out.stdout).toMatch(
    /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(Z|[+-]\d\d:\d\d) {2}Ada Byron {2}Bea Beer {2}\S{22}$/m,
  )
  watch.stop()
  expect(await watch.ended).toBe(0)
  expect(watch.out.stderr.match(/Trying on/g)).toHaveLength(1)
})

test("says so when its session is ended from elsewhere", async () => {
  const watch = await watching("--json")
  await elsewhere.must(["password"], "another horse, another battery\n")
  expect(await watch.ended).toBe(1)
  expect(watch.out).toMatchObject({ stdout: "", stderr: expect.stringContaining("session has ended") })
})

test("says when and of whom a record goes that can be read no more", async () => {
  const beta = desk(server.url, folder, "beta")
  await beta.register("Bea", "Beta")
  const { safetyNumber } = JSON.parse(await ada.must(["physicians", "show", "beta", "--json"]))
  for (const [who, other] of [
    [ada, "beta"],
    [beta, "ada"],
  ] as const)
    await who.must(["physicians", "verify", other], `${safetyNumber}\n`)
  await ada.must(["share", id, "beta", "--role", "owner"])
  await beta.must(["shares", "accept", id])
  const [text, json] = [await watching(), await watching("--json")]
  await beta.must(["unshare", id, "ada"])
  await text.until("stdout", "You can no longer read this record")
  expect(text.out.stdout).toMatch(
    /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(Z|[+-]\d\d:\d\d) {2}Bea Beer {2}\S{22}\n {4}You can no longer read this record\n$/m,
  )
  await json.until("stdout", "You can no longer read this record")
  const line = JSON.parse(json.out.stdout.trim().split("\n").at(-1)!)
  expect(line).toMatchObject({ record: id, seq: null, serverTime: null, patient: "Bea Beer" })
  expect(Math.abs(Date.parse(line.time) - Date.now())).toBeLessThan(120_000)
  for (const watch of [text, json]) {
    watch.stop()
    expect(await watch.ended).toBe(0)
  }
})
