import { once } from "node:events"
import { mkdtemp, rm } from "node:fs/promises"
import { connect } from "node:net"
import { hostname, tmpdir } from "node:os"
import { join } from "node:path"
import { connect as connectTls } from "node:tls"
import { afterAll, beforeAll, describe, expect, test } from "vitest"
import { paths } from "../protocol/paths.ts"
import { type RunningServer, type ServerConfig, startServer } from "./main.ts"
import { builtPage } from "./page.ts"

/** Which names a real server answers to, asked byte by byte. */

let folder: string
const running: RunningServer[] = []
const told: string[] = []

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "healthcrypt-hosts-"))
})
afterAll(async () => {
  for (const server of running) await server.close()
  await rm(folder, { recursive: true, force: true })
})

async function start(config: Partial<ServerConfig>): Promise<{ url: URL; port: number; secure: boolean }> {
  const server = await startServer({
    dataDir: join(folder, String(running.length)),
    host: "127.0.0.1",
    port: 0,
    transit: { kind: "plain" },
    webRoot: builtPage,
    logLevel: "error",
    notice: (text) => told.push(text),
    now: Date.now,
    ...config,
  })
  running.push(server)
  const url = new URL(server.url)
  return { url, port: Number(url.port), secure: url.protocol === "https:" }
}

/** Sends the lines of a request as they are. @returns status and the whole answer */
async function send({ port, secure }: { port: number; secure: boolean }, lines: readonly string[]) {
  const socket = secure
    ? connectTls({ port, host: "127.0.0.1", rejectUnauthorized: false })
    : connect(port, "127.0.0.1")
  await once(socket, secure ? "secureConnect" : "connect")
  socket.write(`${[...lines, "Connection: close"].join("\r\n")}\r\n\r\n`)
  const chunks: Buffer[] = []
  for await (const chunk of socket) chunks.push(chunk as Buffer)
  const answer = Buffer.concat(chunks).toString("utf8")
  return { status: Number(/^HTTP\/1\.1 (\d+)/.exec(answer)?.[1]), answer }
}

async function statusOf(server: { port: number; secure: boolean }, host: string, path: string = paths.practice) {
  return (await send(server, [`GET ${path} HTTP/1.1`, `Host: ${host.replaceAll("PORT", String(server.port))}`])).status
}

describe("on loopback", () => {
  let server: Awaited<ReturnType<typeof start>>
  beforeAll(async () => {
    server = await start({})
  })

  test.each([
    "localhost:PORT",
    "127.0.0.1:PORT",
    "[::1]:PORT",
    "LocalHost:PORT",
    "localhost.:PORT",
    "[0:0:0:0:0:0:0:1]:PORT",
  ])("%s is this server", async (host) => {
    for (const path of [paths.practice, paths.checkpoint, "/", "/login", "/favicon.svg"])
      expect([path, await statusOf(server, host, path)]).toEqual([path, 200])
  })

  test.each([
    "evil.example",
    "evil.example:PORT",
    "localhost",
    "localhost:1",
    "localhost:",
    "localhost:PORT0",
    "localhost:PORT:PORT",
    "localhost..:PORT",
    "x.localhost:PORT",
    "localhost.evil.example:PORT",
    "evil.example@localhost:PORT",
    "localhost:PORT@evil.example",
    "localhost/evil.example:PORT",
    "localhost,evil.example:PORT",
    "127.0.0.1.evil.example:PORT",
    "127.1:PORT",
    "2130706433:PORT",
    "0.0.0.0:PORT",
    "[::]:PORT",
    "[::ffff:127.0.0.1]:PORT",
    "[127.0.0.1]:PORT",
    "::1:PORT",
    "[::1:PORT",
    "192.0.2.1:PORT",
    "*:PORT",
    "",
  ])("%j is not, at any address", async (host) => {
    for (const path of [
      paths.practice,
      paths.checkpoint,
      "/",
      "/login",
      "/favicon.svg",
      "/api/nothing",
      "/%61pi/practice",
      "/%zz",
      "//api/practice",
    ])
      expect([path, await statusOf(server, host, path)]).toEqual([path, 421])
  })

  test("a request that names nobody, or two, or hides whom it means, is refused", async () => {
    const right = `Host: localhost:${server.port}`
    expect((await send(server, ["GET / HTTP/1.1"])).status).toBe(400)
    expect((await send(server, ["GET / HTTP/1.0"])).status).toBe(421)
    expect((await send(server, ["GET / HTTP/1.0", right])).status).toBe(200)
    for (const two of [["Host: evil.example"], [right]])
      for (const lines of [
        [right, ...two],
        [...two, right],
      ])
        expect([400, 421]).toContain((await send(server, ["GET / HTTP/1.1", ...lines])).status)
    for (const name of ["X-Forwarded-Host", "Forwarded", "X-Host", ":authority"])
      expect([400, 421]).toContain(
        (await send(server, ["GET / HTTP/1.1", "Host: evil.example", `${name}: localhost:${server.port}`])).status,
      )
  })

  test("a target that is a whole address has to mean it as well", async () => {
    const ask = async (target: string, host: string) =>
      (await send(server, [`GET ${target} HTTP/1.1`, `Host: ${host.replace("PORT", String(server.port))}`])).status
    const own = `http://localhost:${server.port}`
    expect(await ask(`${own}${paths.practice}`, "localhost:PORT")).toBe(200)
    expect(await ask(`${own}${paths.practice}`, "evil.example")).toBe(421)
    expect(await ask(`http://evil.example${paths.practice}`, "localhost:PORT")).toBe(421)
    expect(await ask(`ftp://evil.example${paths.practice}`, "localhost:PORT")).toBe(421)
    expect(await ask(`http://localhost:${server.port}@evil.example/`, "localhost:PORT")).toBe(421)
    expect(await ask(`HTTP://evil.example:${server.port}/api/session`, "localhost:PORT")).toBe(421)
  })

  test("an address that cannot be read is refused without repeating it", async () => {
    const { status, answer } = await send(server, ["GET /api/secret%zz HTTP/1.1", `Host: localhost:${server.port}`])
    expect(status).toBe(400)
    expect(answer).toContain('"code":"BAD_INPUT_FORMAT"')
    expect(answer).toMatch(/x-content-type-options: nosniff/i)
    expect(answer).not.toContain("secret")
  })

  test("the refusal is one sentence that names the way out, and repeats nothing that came", async () => {
    const asked = `evil-${"x".repeat(20)}.example`
    for (const accept of ["text/html,*/*", "application/json"]) {
      const { answer } = await send(server, ["GET /login?q=1 HTTP/1.1", `Host: ${asked}`, `Accept: ${accept}`])
      expect(answer).toMatch(/^HTTP\/1\.1 421 /)
      expect(answer).toContain("--host-name NAME")
      expect(answer).toMatch(/content-security-policy: default-src 'none'/i)
      expect(answer).toMatch(accept.includes("html") ? /content-type: text\/plain/i : /"code":"NOT_ALLOWED_HOST"/)
      expect(answer).not.toMatch(/evil|location:/i)
    }
  })
})

describe("by names that its operator gave", () => {
  test("behind a proxy it answers to these, whatever the port, and believes no X-Forwarded-Host", async () => {
    told.length = 0
    const server = await start({ transit: { kind: "proxy" }, hostNames: ["practice.example", "192.0.2.7"] })
    expect(told).toEqual([])
    for (const host of [
      "practice.example",
      "Practice.Example.",
      "practice.example:8443",
      "192.0.2.7",
      "127.0.0.1:PORT",
    ])
      expect([host, await statusOf(server, host)]).toEqual([host, 200])
    for (const host of ["evil.example", "www.practice.example", "example", hostname(), "192.0.2.8"])
      expect([host, await statusOf(server, host)]).toEqual([host, 421])
    const forwarded = ["GET / HTTP/1.1", "Host: evil.example", "X-Forwarded-Host: practice.example"]
    expect((await send(server, forwarded)).status).toBe(421)
    const other = ["GET / HTTP/1.1", "Host: practice.example", "X-Forwarded-Host: evil.example"]
    expect((await send(server, other)).status).toBe(200)
  })

  test("without any it says so when it starts", async () => {
    told.length = 0
    const server = await start({ transit: { kind: "proxy" } })
    expect(told.join()).toContain("--host-name")
    expect([await statusOf(server, "practice.example"), await statusOf(server, "localhost:PORT")]).toEqual([421, 200])
  })
})

describe("on every address", () => {
  test("it answers to what its machine goes by, and to what its certificate is for", async () => {
    const server = await start({
      host: "0.0.0.0",
      transit: { kind: "auto", names: ["practice.example"] },
      hostNames: ["further.example"],
    })
    const names = [
      "localhost:PORT",
      "localhost",
      hostname(),
      `${hostname().toUpperCase()}:PORT`,
      "practice.example",
      "further.example:1",
    ]
    for (const host of [...names, server.url.host]) expect([host, await statusOf(server, host)]).toEqual([host, 200])
    for (const host of ["evil.example", "192.0.2.1:PORT", "0.0.0.0:PORT", "www.practice.example"])
      expect([host, await statusOf(server, host)]).toEqual([host, 421])
  })
})
