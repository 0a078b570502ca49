import { once } from "node:events"
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises"
import { connect, type Socket } from "node:net"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest"
import { paths, protocolHeader, protocolVersion } from "../protocol/paths.ts"
import { type RunningServer, startServer } from "./main.ts"
import { openFilesIn, seesOpenFiles } from "./open-files.fixture.ts"

/** What a connection gets that sends many requests and reads nothing, asked byte by byte. */

const fileBytes = 32 * 1024 * 1024
let folder: string
let server: RunningServer
let host: string
let sockets: Socket[] = []

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "healthcrypt-ahead-"))
  const webRoot = join(folder, "web")
  await mkdir(join(webRoot, "assets"), { recursive: true })
  await writeFile(join(webRoot, "index.html"), "<!doctype html>")
  await writeFile(join(webRoot, "assets/large.js"), Buffer.alloc(fileBytes, "x"))
  server = await startServer({
    dataDir: join(folder, "data"),
    host: "127.0.0.1",
    port: 0,
    transit: { kind: "plain" },
    webRoot,
    logLevel: "error",
    notice: () => {},
    now: Date.now,
  })
  host = new URL(server.url).host
})
afterEach(() => {
  for (const socket of sockets) socket.destroy()
  sockets = []
})
afterAll(async () => {
  await server.close()
  await rm(folder, { recursive: true })
})

const get = (path: string, ...lines: string[]) =>
  [`GET ${path} HTTP/1.1`, `Host: ${host}`, ...lines, "", ""].join("\r\n")
const asset = () => get("/assets/large.js")

/** Sends it all at once. */
async function send(text: string): Promise<Socket> {
  const socket = connect(Number(new URL(server.url).port), "127.0.0.1")
  sockets.push(socket)
  socket.on("error", () => {})
  await once(socket, "connect")
  socket.write(text)
  return socket
}

test("a stranger's body that breaks off leaves the server as it is", async () => {
  const begins = `POST ${paths.registerFinish} HTTP/1.1\r\nHost: ${host}\r\nContent-Type: application/json\r\n`
  const protocol = `${protocolHeader}: ${protocolVersion}\r\nContent-Length: 100000\r\n\r\n`
  for (const end of ["destroy", "resetAndDestroy"] as const) {
    const socket = await send(`${begins}${protocol}{`)
    await expect.poll(() => socket.bytesWritten).toBeGreaterThan(100)
    socket[end]()
    // An error that nobody caught would fail this run.
    await expect.poll(async () => (await fetch(server.url)).status).toBe(200)
  }
})

const openFiles = () => openFilesIn(join(folder, "web"))

/** Waits until everything that was sent has been looked at: what this asks for comes later. */
async function afterwards(): Promise<void> {
  for (let i = 0; i < 5; i++) expect((await fetch(server.url + paths.practice)).status).toBe(200)
}

test("what is sent ahead is answered in its order", async () => {
  const all = [get(paths.practice), get("/log/nothing"), get(paths.checkpoint, "Connection: close")]
  const socket = await send(all.join(""))
  const chunks: Buffer[] = []
  for await (const chunk of socket) chunks.push(chunk as Buffer)
  const statuses = Buffer.concat(chunks)
    .toString()
    .match(/HTTP\/1\.1 \d+/g)
  expect(statuses).toEqual(["HTTP/1.1 200", "HTTP/1.1 404", "HTTP/1.1 200"])
})

test.each([
  ["assets", () => asset()],
  ["tiles", () => get("/log/tile/entries/000")],
  ["what does not name the server", () => "GET / HTTP/1.1\r\n\r\n"],
  ["what expects something", () => get("/", "Expect: an answer")],
])("a connection that sends many requests ahead is closed: %s", async (_, request) => {
  const socket = await send(asset() + request().repeat(500))
  socket.resume()
  const closed = new Promise<string>((done) => socket.once("close", () => done("closed")))
  let bytes = 0
  socket.on("data", (chunk) => {
    bytes += chunk.length
  })
  expect(await closed).toBe("closed")
  expect(bytes).toBeLessThan(fileBytes)
})

describe.runIf(seesOpenFiles)("files", () => {
  test("of one connection are open one at a time, and closed with it", async () => {
    const socket = await send(asset().repeat(3))
    await expect.poll(openFiles, { timeout: 20_000 }).toBe(1)
    await afterwards()
    expect(openFiles()).toBe(1)
    socket.destroy()
    await expect.poll(openFiles, { timeout: 20_000 }).toBe(0)
  })

  test.each([
    ["what does not name the server", () => "GET / HTTP/1.1\r\n\r\n"],
    ["what expects something", () => get("/", "Expect: an answer")],
  ])("are not left open by who hangs up, with another answer between: %s", async (_, between) => {
    for (let i = 0; i < 5; i++) {
      const socket = await send(asset() + between() + asset())
      await once(socket, "data")
      socket.destroy()
    }
    await afterwards()
    await expect.poll(openFiles, { timeout: 20_000 }).toBe(0)
  })

  test("are not left open by who asks and hangs up at once", async () => {
    for (let i = 0; i < 20; i++) (await send(asset())).destroy()
    await afterwards()
    await expect.poll(openFiles, { timeout: 20_000 }).toBe(0)
  })
})
