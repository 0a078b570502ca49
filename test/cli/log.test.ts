import { spawn } from "node:child_process"
import { readFile, rm, writeFile } from "node:fs/promises"
import { join } from "node:path"
import { ed25519 } from "@noble/curves/ed25519.js"
import { afterAll, beforeAll, beforeEach, expect, test, vi } from "vitest"
import { encodeVkey, noteTypes } from "../../src/proof/note.ts"
import { desk, type Outcome, runCli } from "../cli.ts"
import { Operated } from "../operator.ts"
import { bareEnv, bin, removeFolder, tempFolder } from "../server.ts"

vi.setConfig({ testTimeout: 300_000, hookTimeout: 300_000 })

let server: Operated
let stranger: Operated
let folder: string
let homes = 0
let home: string
beforeAll(async () => {
  ;[server, stranger] = await Promise.all([Operated.start(), Operated.start()])
  folder = await tempFolder()
})
afterAll(async () => {
  await server?.close()
  await stranger?.close()
  await removeFolder(folder)
})
beforeEach(() => {
  home = join(folder, `home-${homes++}`)
})

const log = (args: readonly string[], at = server): Promise<Outcome> =>
  runCli(["log", ...args], { env: { ...bareEnv, HEALTHCRYPT_SERVER: at.url, HEALTHCRYPT_HOME: home } })
const first = "This machine has not seen this log before"
const advice = "typed it as it stands on the sheet"

test("checkpoint takes a log's key on trust once, and then holds the server to it", async () => {
  const once = await log(["checkpoint", "--json"])
  expect(once).toMatchObject({ code: 0, stderr: expect.stringContaining(first) })
  expect(JSON.parse(once.stdout)).toMatchObject({ trust: "first contact" })
  const again = await log(["checkpoint", "--json"])
  expect(again).toMatchObject({ code: 0, stderr: "" })
  expect(JSON.parse(again.stdout)).toMatchObject({ trust: "remembered", logKey: (await server.sheet()).key })
  expect(await log(["monitor", "--once"])).toMatchObject({ code: 0, stderr: "" })
  const { origin } = await server.sheet()
  const another = await log(["checkpoint", "--origin", origin, "--key", (await stranger.sheet()).key])
  expect(another).toMatchObject({ code: 1, stdout: "", stderr: expect.stringContaining("remembers another key") })
})

test("a key that was remembered is not given up when the server has another", async () => {
  expect((await log(["checkpoint"])).code).toBe(0)
  const memory = join(home, "monitor", "addresses")
  expect(JSON.parse(await readFile(memory, "utf8"))).toEqual({
    [new URL(server.url).origin]: (await server.sheet()).origin,
  })
  // The same address, with another practice behind it.
  const moved = JSON.parse(await readFile(memory, "utf8"))
  await writeFile(memory, JSON.stringify({ ...moved, [new URL(stranger.url).origin]: (await server.sheet()).origin }))
  expect(await log(["checkpoint"], stranger)).toMatchObject({ code: 3, stdout: "" })
  expect(await log(["monitor", "--once"], stranger)).toMatchObject({ code: 3, stdout: "" })
  // Nor does a slip on the command line make it look like one.
  const slip = ["--origin", "healthcrypt/slip", "--key", (await server.sheet()).key]
  expect(await log(["monitor", "--once", ...slip], stranger)).toMatchObject({ code: 3, stdout: "" })
  expect(await log(["monitor", "--once", ...slip])).toMatchObject({
    code: 1,
    stdout: "",
    stderr: expect.stringContaining(advice),
  })
})

test("a physician's own machine knows the log's key from the account", async () => {
  const ada = desk(server.url, folder, "ada").with({ home })
  await ada.register("Ada", "Byron")
  const checkpoint = await log(["checkpoint"])
  expect(checkpoint).toMatchObject({ code: 0, stderr: expect.stringContaining("that this machine remembers") })
  expect(checkpoint.stderr).not.toContain(first)
  home = join(folder, `home-${homes++}`)
  await ada.with({ home }).list()
  expect((await log(["checkpoint", "--json"])).stderr).toBe("")
})

test("a log's name that was mistyped is a slip first: exit code 1, and nothing is remembered", async () => {
  const { origin, key } = await server.sheet()
  for (const command of [["checkpoint"], ["monitor", "--once"]]) {
    const { code, stdout, stderr } = await log([...command, "--origin", `${origin}x`, "--key", key])
    expect({ command, code, stdout }).toEqual({ command, code: 1, stdout: "" })
    expect(stderr).toContain(`calls itself ${origin}, and not ${origin}x`)
    expect(stderr).toContain(advice)
  }
  expect(await log(["checkpoint", "--origin", origin, "--key", key])).toMatchObject({ code: 0 })
})

test("a key or a witness that was mistyped is refused with 3, and first with what may be a slip", async () => {
  const { origin, key } = await server.sheet()
  for (const command of [["checkpoint"], ["monitor", "--once"]]) {
    const wrong = await log([...command, "--origin", origin, "--key", (await stranger.sheet()).key])
    expect(wrong).toMatchObject({ code: 3, stdout: "", stderr: expect.stringMatching(/^Check first that you typed/) })
  }
  const publicKey = ed25519.getPublicKey(new Uint8Array(32).fill(7))
  const vkey = encodeVkey({ name: "witness.example/w1", type: noteTypes.cosignature, publicKey })
  const silent = await log(["monitor", "--once", "--origin", origin, "--key", key, "--witness", vkey])
  expect(silent).toMatchObject({ code: 3, stdout: "", stderr: expect.stringMatching(/^Check first.*--witness/) })
})

test("a witness that was given no name says which it took, and how to choose another, at its first start alone", async () => {
  const start = async (args: readonly string[]) => {
    const env = { ...bareEnv, HEALTHCRYPT_SERVER: server.url, HEALTHCRYPT_HOME: home }
    const child = spawn(process.execPath, [bin, "log", "witness", "--port", "0", ...args], { env })
    const out = { stdout: "", stderr: "" }
    child.stdout.on("data", (chunk) => (out.stdout += chunk))
    child.stderr.on("data", (chunk) => (out.stderr += chunk))
    const ended = new Promise((resolve) => child.once("close", resolve))
    await vi.waitFor(() => expect(out.stdout).toContain("is ready at"), 30_000)
    child.kill("SIGTERM")
    expect(await ended).toBe(0)
    return out
  }
  const first = await start([])
  const [, name] = /^vkey ([^+]+)\+/m.exec(first.stdout)!
  expect(first.stderr).toContain(`No --name was given: this witness signs as ${name}, for ever.`)
  expect(first.stderr).toContain(`delete ${join(home, "witness")}, and start it with --name.`)
  expect((await start([])).stderr).not.toContain("--name")
  await rm(join(home, "witness"))
  const named = await start(["--name", "witness.example/w1"])
  expect(named.stdout).toContain("vkey witness.example/w1+")
  expect(named.stderr).not.toContain("--name")
})
