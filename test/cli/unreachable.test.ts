import { createServer, type Server, type Socket } from "node:net"
import { join } from "node:path"
import { afterAll, afterEach, beforeAll, describe, expect, test, vi } from "vitest"
import { type Desk, desk } from "../cli.ts"
import { startRelay } from "../relay.ts"
import { type LiveServer, removeFolder, serve, tempFolder } from "../server.ts"

vi.setConfig({ testTimeout: 300_000, hookTimeout: 300_000 })

/** Exit 1 within ten seconds, and not after as long as it takes. What the machine that runs the tests has to do besides is its own. */
const withinMs = 10_000
const startMs = 20_000

let folder: string
let open: { close(): void }[] = []

beforeAll(async () => {
  folder = await tempFolder()
})
afterEach(() => {
  for (const one of open) one.close()
  open = []
})
afterAll(() => removeFolder(folder))

/** Accepts, and does what it is told with each connection. */
async function listen(onConnection: (socket: Socket) => void): Promise<string> {
  const sockets = new Set<Socket>()
  const server: Server = createServer((socket) => {
    sockets.add(socket)
    socket.on("error", () => {})
    onConnection(socket)
  })
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve))
  const address = server.address()
  if (address === null || typeof address === "string") throw new Error("no port")
  open.push({
    close: () => {
      for (const socket of sockets) socket.destroy()
      server.close()
    },
  })
  return `http://127.0.0.1:${address.port}`
}

const ada = (url: string): Desk => desk(url, folder, "ada")

async function expectUnreachable(url: string, args: string[], input?: unknown): Promise<void> {
  const outcome = await ada(url).run(args, { input })
  expect(outcome).toMatchObject({ code: 1, stdout: "" })
  expect(outcome.stderr).toMatch(/cannot be reached.*HEALTHCRYPT_SERVER/s)
  expect(outcome.ms).toBeLessThan(withinMs + startMs)
}

describe("a server that cannot be reached", () => {
  test("a closed port", async () => {
    await Promise.all([
      expectUnreachable("http://127.0.0.1:1", ["records", "list"]),
      expectUnreachable("http://127.0.0.1:1", ["register"], { firstName: "Ada", lastName: "Byron" }),
    ])
  })

  test("one that accepts and never answers", async () => {
    const url = await listen(() => {})
    await Promise.all([
      expectUnreachable(url, ["records", "list"]),
      expectUnreachable(url, ["register"], { firstName: "Ada", lastName: "Byron" }),
    ])
  })

  test("one that stops in the middle of an answer", async () => {
    const url = await listen((socket) =>
      socket.once("data", () => socket.write('HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\n{"practice":')),
    )
    await expectUnreachable(url, ["records", "list"])
  })

  test("one that hangs up", async () => {
    await expectUnreachable(await listen((socket) => socket.destroy()), ["records", "list"])
  })

  test("one that speaks something else", async () => {
    const url = await listen((socket) => socket.end("SSH-2.0-OpenSSH_9.2\r\n"))
    await expectUnreachable(url, ["records", "list"])
  })

  test("one without TLS, where TLS was asked for", async () => {
    const url = (await listen((socket) => socket.end("HTTP/1.1 400 Bad Request\r\n\r\n"))).replace("http:", "https:")
    const outcome = await ada(url).run(["records", "list"])
    expect(outcome).toMatchObject({ code: 1, stdout: "" })
    expect(outcome.stderr).toMatch(/answers, but not with TLS.*http:\/\/ in HEALTHCRYPT_SERVER/)
  })

  test("a name that nobody has", async () => {
    await expectUnreachable("https://nobody.invalid", ["records", "list"])
  })
})

describe("a server that goes silent in the middle of a command", () => {
  let server: LiveServer
  let id: string
  const patient = { firstName: "Bea", lastName: "Beer", birthDate: "1938-02-27", diagnosis: "Podagra" }

  beforeAll(async () => {
    server = await serve({ dataDir: join(folder, "data"), args: ["--log-level", "warn"] })
    await ada(server.url).register("Ada", "Byron")
    id = await ada(server.url).add(patient)
  })
  afterAll(() => server.stop())

  test("and our own, asked for by https://, says that it speaks no TLS", async () => {
    const outcome = await ada(server.url.replace("http:", "https:")).run(["records", "list"])
    expect(outcome).toMatchObject({ code: 1, stdout: "", stderr: expect.stringContaining("answers, but not with TLS") })
  })

  test.each<[string, string[], unknown, RegExp]>([
    ["after the log-in", ["records", "list"], undefined, /^\/api\/changes/],
    ["while a record is read", ["records", "show", id!], undefined, /^\/api\/records\/[^/]+\/entries\?/],
    ["while a record is written", ["records", "add"], patient, /^\/api\/records\/[^/]+\/entries$/],
  ])("%s", async (_, args, input, from) => {
    let silent = false
    const relay = await startRelay(server.url, {
      before: async ({ path }) => {
        silent ||= from.test(path)
        if (silent) await new Promise(() => {})
      },
    })
    open.push(relay)
    const outcome = await ada(relay.url).run(
      args.map((arg) => arg ?? id),
      { input },
    )
    expect(outcome).toMatchObject({ code: 1, stdout: "" })
    expect(outcome.stderr).toContain("cannot be reached")
    expect(outcome.ms).toBeLessThan(withinMs + startMs)
  })
})
