import { join } from "node:path"
import { beforeAll, describe, expect, it, vi } from "vitest"
import type { Between } from "../practice.ts"
import { type Case, cases, inPipe, loaded } from "./hostile-cases.ts"
import { evil, expectHarmless, forged, openScene, short } from "./hostile-scene.ts"

vi.setConfig({ testTimeout: 240_000, hookTimeout: 240_000 })

const scene = await openScene()
const { practice, door } = scene
/** What only the server says: it stands nowhere among our words, harmless or not. */
const name = "Eve, the server"
const said = `${name} ${evil}`

const inPractice =
  (lie: object): Between =>
  async (request, send) => {
    const answer = await send(request)
    if (request.path !== "/api/practice") return answer
    const about = JSON.parse(Buffer.from(answer.body).toString("utf8"))
    return { ...answer, body: Buffer.from(JSON.stringify({ ...about, ...lie })) }
  }

/** What a hostile server says in the place of an honest one. */
interface Lie {
  readonly between: Between
  /** The commands that ask for it: all others never hear it. */
  readonly heardBy: (command: string) => boolean
  /** Whether the machine knows the log from before. Who does not asks the server for its name. */
  readonly hasMet: boolean
  readonly code?: number
}
const watchesTheLog = (command: string) => /^log (checkpoint|monitor|witness)$/.test(command)

const lies: Readonly<Record<string, Lie>> = {
  "that lies about its log's name": {
    between: inPractice({ origin: said }),
    heardBy: () => true,
    hasMet: false,
    code: 1,
  },
  "that lies about its version": { between: inPractice({ version: said }), heardBy: () => true, hasMet: false },
  "that adds lines to its checkpoints": {
    between: async (request, send) => {
      const answer = await send(request)
      if (request.path !== "/log/checkpoint") return answer
      const note = Buffer.from(answer.body).toString("utf8")
      const lines = `${forged}\n${said}\n\u2014 ${short.replace(/\s/g, "_")} AAAAAAAA\n`
      return { ...answer, body: Buffer.from(note + lines) }
    },
    heardBy: (command) => /^log (checkpoint|monitor)$/.test(command),
    hasMet: true,
    code: 0,
  },
  "that refuses with words of its own, or answers with what is no answer": {
    between: async (request, send) => {
      if (/^\/api\/(practice|login)/.test(request.path)) return send(request)
      if (request.method === "GET") return { status: 200, body: Buffer.from(`${said}{"${said}`) }
      const body = { code: "NOT_ALLOWED", message: said, fields: { [said]: said }, error: said }
      return { status: 403, body: Buffer.from(JSON.stringify(body)) }
    },
    heardBy: (command) => command !== "log witness",
    hasMet: true,
  },
}

/** Where the usual case of a command does not get as far as to its server. */
const further: Readonly<Record<string, Case>> = {
  register: { input: '{"firstName":"Eve","lastName":"Byron"}', env: { HEALTHCRYPT_USERNAME: "eve" } },
  recover: { ...cases.recover?.[0], input: `${"abandon ".repeat(23)}art` },
}
const speaking = loaded.filter(({ name }) => !/^(serve|shell|verify|accounts|backup|restore$)/.test(name))
const checkpoint = loaded.find(({ name }) => name === "log checkpoint")!
const note = async () => (await fetch(`${practice.server.url}/log/checkpoint`)).text()

/** The machine meets the log, before anybody lies. */
beforeAll(async () => {
  expect(await inPipe(scene, checkpoint, {})).toMatchObject({ code: 0, stdout: await note() })
})

describe.each(Object.entries(lies))("before a server %s", (about, lie) => {
  const homeOf = (command: string): Case["env"] =>
    lie.hasMet || !watchesTheLog(command) ? {} : { HEALTHCRYPT_HOME: join(practice.folder, "devices", about, command) }

  it.each(speaking.filter(({ name }) => lie.heardBy(name)).map((command) => [command.name, command] as const))(
    "%s",
    async (what, command) => {
      door.open(practice.server.url, lie.between, true)
      const one = further[what] ?? cases[what]?.[0] ?? {}
      const { stdout, stderr, code } = await inPipe(scene, command, { ...one, env: { ...one.env, ...homeOf(what) } })
      expect(door.struck, "hostile answers").toBeGreaterThan(0)
      expectHarmless(stdout, what)
      expectHarmless(stderr, what)
      expect(stdout + stderr).not.toContain(name)
      expect(stderr).not.toContain(forged)
      if (lie.code !== undefined) expect(code, stderr).toBe(lie.code)
    },
  )
})

it("of a checkpoint with lines added, what was signed is printed and nothing else", async () => {
  door.open(practice.server.url, lies["that adds lines to its checkpoints"]!.between, true)
  const { code, stdout, stderr } = await inPipe(scene, checkpoint, {})
  expect(door.struck).toBe(1)
  expect([code, stdout]).toEqual([0, await note()])
  expect(stderr).toContain("Signed by the key that this machine remembers.")
})

it("a server that nobody has met has no name of words", async () => {
  door.open(practice.server.url, lies["that lies about its log's name"]!.between, true)
  const fresh = { HEALTHCRYPT_HOME: join(practice.folder, "devices/fresh") }
  const { code, stdout, stderr } = await inPipe(scene, checkpoint, { env: fresh })
  expect([code, stdout]).toEqual([1, ""])
  expect(stderr).toBe("The server's answer was not understood. Update this program.\n")
  const given = {
    args: () => [
      "--origin",
      "healthcrypt/another",
      "--key",
      "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
    ],
  }
  const named: Between = async () => ({
    status: 200,
    body: Buffer.from(`${evil.replace(/[\n\r].*/s, "")} ${forged}\n`),
  })
  door.open(practice.server.url, named, true)
  const other = await inPipe(scene, checkpoint, { ...given, env: fresh })
  expectHarmless(other.stdout + other.stderr, "another name")
  expect(other.code).toBe(3)
  expect(other.stderr).not.toMatch(/Mallory|Eve|Signed by/)
})
