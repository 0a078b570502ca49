import { mkdir, stat, writeFile } from "node:fs/promises"
import { join } from "node:path"
import { afterAll, beforeAll, describe, expect, test, vi } from "vitest"
import { encodeInvite, parseInvite } from "../../src/protocol/invite.ts"
import { type Desk, desk, runCli } from "../cli.ts"
import { type LiveServer, removeFolder, serve, tempFolder } from "../server.ts"
import { hasTerminal, openTerminal } from "../terminal.ts"

vi.setConfig({ testTimeout: 120_000, hookTimeout: 120_000 })

const names = { firstName: "Ada", lastName: "Byron" }
let folder: string
let server: LiveServer
let number = 0

beforeAll(async () => {
  folder = await tempFolder()
  server = await serve({ dataDir: join(folder, "data"), args: ["--registration", "invited"] })
})
afterAll(async () => {
  await server?.kill()
  await removeFolder(folder)
})

const accounts = (args: readonly string[], data = server.dataDir) => runCli(["accounts", ...args, "--data", data])

interface Made {
  readonly link: string
  readonly code: string
  readonly origin: string
  readonly logKey: string
}

async function invite(data = server.dataDir): Promise<Made> {
  const { code, stdout, stderr } = await accounts(["invite"], data)
  expect(code, stderr).toBe(0)
  const lines = /^link {5}(\S+)\ncode {5}(\S+)\norigin {3}(\S+)\nlog key {2}([0-9a-f]{64})\n$/.exec(stdout)
  const [, link, line, origin, logKey] = lines ?? expect.fail(stdout)
  return { link: link!, code: line!, origin: origin!, logKey: logKey! }
}

const register = (who: Desk, code?: string) =>
  who.run(["register"], { input: names, env: code === undefined ? {} : { HEALTHCRYPT_INVITE: code } })

async function member(username: string): Promise<Desk> {
  const who = desk(server.url, folder, username)
  const { code, stderr } = await register(who, (await invite()).code)
  expect(code, stderr).toBe(0)
  return who
}

describe("accounts invite", () => {
  test("makes what one physician signs up with, once, as a code or as a link", async () => {
    const made = await invite()
    expect(made.link).toBe(`${server.url}/register#${made.code}`)
    const [one, two] = [desk(server.url, folder, "one"), desk(server.url, folder, "two")]
    expect((await register(one, made.code)).stdout.trim().split("\n")).toHaveLength(24)
    const again = await register(two, made.code)
    expect([again.code, again.stdout]).toEqual([1, ""])
    expect(again.stderr).toContain("by invitation alone")
    expect((await register(two, (await invite()).link)).code).toBe(0)
    expect(server.log()).not.toContain(made.code.slice(0, 22))
  })

  test("without a code, or with one that is none, nobody signs up, and is told how", async () => {
    const who = desk(server.url, folder, "eve")
    const none = await register(who)
    expect([none.code, none.stderr]).toEqual([2, expect.stringContaining("HEALTHCRYPT_INVITE")])
    const cut = await register(who, (await invite()).code.slice(0, 30))
    expect([cut.code, cut.stderr]).toEqual([1, expect.stringContaining("Copy the whole line")])
    const invented = { ...parseInvite((await invite()).code), code: new Uint8Array(16) }
    expect((await register(who, encodeInvite(invented))).stderr).toContain("by invitation alone")
  })

  test.skipIf(!hasTerminal)("the code is asked for on a terminal, and not shown", async () => {
    const { code } = await invite()
    const terminal = openTerminal(["register"], desk(server.url, folder, "typist").env)
    await terminal.asks("First name")
    terminal.types("Tina\r")
    await terminal.asks("Last name")
    terminal.types("Typist\r")
    await terminal.asks("Invitation code")
    terminal.types(`${code}\r`)
    await terminal.asks("Word ")
    terminal.types("\u0003")
    expect(await terminal.ended).toBe(2)
    expect(terminal.screen()).not.toContain(code)
  })

  test.each([
    ["another log key", (made: Made) => ({ ...parseInvite(made.code), logKey: new Uint8Array(32).fill(9) })],
    ["another origin", (made: Made) => ({ ...parseInvite(made.code), origin: "healthcrypt/AAAAAAAAAAAAAAAAAAAAAA" })],
  ])("a server that is not the one of the invitation, by %s, ends the command with 3", async (_, change) => {
    const code = encodeInvite(change(await invite()))
    const answer = await register(desk(server.url, folder, `held-${number++}`), code)
    expect([answer.code, answer.stdout]).toEqual([3, ""])
    expect(answer.stderr).toContain("not the one that your invitation is for")
  })

  test.each([
    ["--expires", "0"],
    ["--expires", "91"],
    ["--expires", "soon"],
    ["--url", "practice.example"],
    ["--url", "file:///etc/passwd"],
  ])("%s %s is a wrong usage", async (option, value) => {
    expect((await accounts(["invite", option, value])).code).toBe(2)
  })
})

describe("accounts list, suspend and resume", () => {
  test("shows everybody, ends their sessions, and lets them back to everything", async () => {
    const [sue, tom] = [await member("sue"), await member("tom")]
    const patient = { firstName: "Brady", lastName: "Kuhlman", birthDate: "1961-07-09", diagnosis: "Hypertension" }
    const id = await sue.add(patient)
    const watching = sue.run(["records", "watch"])
    await expect.poll(() => server.log().match(/api\/events/g) ?? server.log(), { timeout: 20_000 }).toBeTruthy()
    const suspended = await accounts(["suspend", "Sue"])
    expect([suspended.code, suspended.stdout]).toEqual([0, ""])
    expect(suspended.stderr).toContain("Nothing was deleted")
    expect((await watching).code).toBe(1)
    expect((await accounts(["suspend", "sue"])).stderr).toContain("already")
    const refused = await sue.run(["records", "list"])
    expect([refused.code, refused.stdout]).toEqual([1, ""])
    expect(refused.stderr).toContain("suspended")
    const seen = await tom.run(["physicians", "show", "sue"])
    expect([seen.code, seen.stderr]).toEqual([
      0,
      expect.stringContaining("The server says that the account sue is suspended"),
    ])
    const list = JSON.parse((await accounts(["list", "--json"])).stdout)
    expect(list.accounts.find(({ username }: { username: string }) => username === "sue")).toEqual({
      username: "sue",
      since: expect.any(String),
      suspended: expect.any(String),
      lastSignIn: expect.any(String),
    })
    expect((await accounts(["list"])).stdout).toMatch(/^sue +\S+ +suspended since/m)
    expect((await accounts(["resume", "sue"])).code).toBe(0)
    expect((await sue.list()).map((row) => row.id)).toEqual([id])
    expect((await tom.run(["physicians", "show", "sue"])).stderr).toBe("")
  })

  test("nobody of that name is said so", async () => {
    const answer = await accounts(["suspend", "nobody"])
    expect([answer.code, answer.stderr]).toEqual([1, expect.stringContaining("Nobody here has this username")])
    expect((await accounts(["suspend", "N"])).code).toBe(2)
    expect((await accounts(["suspend"])).code).toBe(2)
  })
})

describe("the server's socket", () => {
  const args = ["--registration", "invited"]

  test("is its owner's alone, and goes with the server", async () => {
    const data = join(folder, "own")
    const own = await serve({ dataDir: data, args })
    const socket = join(data, "operator.sock")
    expect((await stat(socket)).mode & 0o777).toBe(0o600)
    await own.stop()
    await expect(stat(socket)).rejects.toThrow()
    const answer = await accounts(["list"], data)
    expect([answer.code, answer.stderr]).toEqual([1, expect.stringContaining(`No server runs on ${data}`)])
  })

  test("of a server that was killed is replaced; what is no socket is left alone", async () => {
    const data = join(folder, "killed")
    await (await serve({ dataDir: data, args })).kill()
    expect((await stat(join(data, "operator.sock"))).isSocket()).toBe(true)
    expect((await accounts(["list"], data)).stderr).toContain("No server runs on")
    const next = await serve({ dataDir: data, args })
    await invite(data)
    await next.stop()
    await writeFile(join(data, "operator.sock"), "something of somebody's")
    const odd = await serve({ dataDir: data, args })
    expect(odd.log()).toContain("operator.sock cannot be made")
    expect((await stat(join(data, "operator.sock"))).isFile()).toBe(true)
    await odd.stop()
  })

  test("is reached in a folder deep down", async () => {
    const data = join(folder, ...Array.from({ length: 12 }, () => "a-long-name-of-a-folder"), "data")
    await mkdir(data, { recursive: true })
    const deep = await serve({ dataDir: data, args })
    expect((await invite(data)).link).toContain(deep.url)
    await deep.kill()
    const again = await serve({ dataDir: data, args })
    await invite(data)
    await again.stop()
  })

  test("where no server ever ran there is nothing to ask", async () => {
    const answer = await accounts(["invite"], join(folder, "nowhere"))
    expect([answer.code, answer.stderr]).toEqual([1, expect.stringContaining("--data")])
  })
})

test("an invitation leads to the name that the server was given, and says where it is not needed", async () => {
  const data = join(folder, "named")
  const named = await serve({ dataDir: data, args: ["--host-name", "127.0.0.1", "practice.example"] })
  const made = await accounts(["invite"], data)
  expect(made.stdout).toContain(`http://practice.example:${named.port}/register#`)
  expect(made.stderr).toContain("Anybody may sign up at this server")
  await named.stop()
  const proxied = await serve({ dataDir: data, args: ["--behind-proxy", "--host-name", "practice.example"] })
  const behind = await accounts(["invite"], data)
  expect(behind.stdout).toContain("https://practice.example/register#")
  expect(behind.stderr).not.toContain("Anybody")
  await proxied.stop()
})

test("closed: nobody is taken, and both sides say whom to ask", async () => {
  const closed = await serve({ dataDir: join(folder, "closed"), args: ["--registration", "closed"] })
  const answer = await register(desk(closed.url, folder, "late"))
  expect([answer.code, answer.stderr]).toEqual([1, expect.stringContaining("takes no new accounts")])
  expect((await accounts(["invite"], join(folder, "closed"))).stderr).toContain("--registration invited")
  await closed.stop()
})

test("who can sign up goes by who can reach the server, unless it is said", async () => {
  const modes: string[] = []
  const ways = [[], ["--behind-proxy"], ["--behind-proxy", "--registration", "open"]]
  for (const args of ways) {
    const one = await serve({ dataDir: join(folder, `mode-${number++}`), args })
    modes.push(((await (await fetch(`${one.url}/api/practice`)).json()) as { registration: string }).registration)
    await one.stop()
  }
  expect(modes).toEqual(["open", "invited", "open"])
  expect((await runCli(["serve", "--registration", "some"])).code).toBe(2)
})
