import { once } from "node:events"
import { mkdtemp, rm } from "node:fs/promises"
import { createConnection, createServer, type ListenOptions, type Server } from "node:net"
import { networkInterfaces, tmpdir } from "node:os"
import { join } from "node:path"
import { connect as connectTls } from "node:tls"
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest"
import { paths } from "../protocol/paths.ts"
import { type RunningServer, type ServerConfig, startServer } from "./main.ts"

/** Who is asked where a browser asks for `localhost`: it may take [::1] as well as 127.0.0.1, and any user of the machine may listen there. */

let folder: string
let count = 0
let running: RunningServer[] = []
let foreign: Server[] = []
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "healthcrypt-listen-"))
})
afterEach(async () => {
  for (const server of running) await server.close()
  for (const server of foreign) server.close()
  running = []
  foreign = []
})
afterAll(() => rm(folder, { recursive: true, force: true }))

async function start(config: Partial<ServerConfig>): Promise<{ url: string; port: number }> {
  const server = await startServer({
    dataDir: join(folder, String(count++)),
    host: "127.0.0.1",
    port: 0,
    transit: { kind: "plain" },
    webRoot: null,
    logLevel: "silent",
    notice: () => {},
    now: Date.now,
    ...config,
  })
  running.push(server)
  return { url: server.url, port: Number(new URL(server.url).port) }
}

/** Another program. @returns its port, or the code of why it has none */
async function listenToo(options: ListenOptions): Promise<number | string> {
  const server = createServer()
  foreign.push(server)
  try {
    server.listen(options)
    await once(server, "listening")
    return (server.address() as { port: number }).port
  } catch (error) {
    return (error as NodeJS.ErrnoException).code ?? ""
  }
}

async function practiceAt(host: string): Promise<string> {
  const reply = await fetch(`http://${host}${paths.practice}`, { headers: { connection: "close" } })
  return ((await reply.json()) as { practice: string }).practice
}

const hasIpv6 = Object.values(networkInterfaces()).some((list) => list?.some(({ address }) => address === "::1"))

describe.runIf(hasIpv6)("on loopback", () => {
  test.each(["127.0.0.1", "localhost", "::1"])("--host %s holds both addresses", async (host) => {
    const { url, port } = await start({ host })
    expect(url).toBe(`http://${host === "::1" ? "[::1]" : "localhost"}:${port}`)
    expect(await practiceAt(`[::1]:${port}`)).toBe(await practiceAt(`127.0.0.1:${port}`))
  })

  test("--tls auto holds both", async () => {
    const { port } = await start({ transit: { kind: "auto", names: [] } })
    for (const host of ["127.0.0.1", "::1"]) {
      const socket = connectTls({ port, host, rejectUnauthorized: false })
      await once(socket, "secureConnect")
      socket.write(`GET ${paths.practice} HTTP/1.1\r\nHost: localhost:${port}\r\nConnection: close\r\n\r\n`)
      const chunks: Buffer[] = []
      for await (const chunk of socket) chunks.push(chunk as Buffer)
      expect(Buffer.concat(chunks).toString()).toMatch(/^HTTP\/1\.1 200 /)
    }
  })

  test.each([
    ["[::1]", { host: "::1" }],
    ["127.0.0.1", { host: "127.0.0.1" }],
    ["every address", { host: "::" }],
    ["every address of IPv6", { host: "::", ipv6Only: true }],
    ["every address of IPv4", { host: "0.0.0.0" }],
  ])("it does not start where another program is at %s", async (_, options) => {
    const port = await listenToo({ ...options, port: 0 })
    for (const host of ["127.0.0.1", "localhost"])
      await expect(start({ host, port: Number(port) })).rejects.toThrow(
        /^Port \d+ is taken( at \[::1\])?\. Stop the program/,
      )
    expect(running).toEqual([])
  })

  test.runIf(process.platform === "linux")("a program that comes later is not let in beside it", async () => {
    const { port } = await start({})
    for (const host of ["::1", "::", "127.0.0.1", "0.0.0.0", "::ffff:127.0.0.1"])
      for (const more of [{}, { reusePort: true }, { ipv6Only: true }])
        expect([host, more, await listenToo({ host, port, ...more })]).toEqual([
          host,
          more,
          expect.stringMatching(/EADDRINUSE|EINVAL/),
        ])
  })

  test("any free port is one that is free at both", async () => {
    const started = await Promise.all(Array.from({ length: 5 }, () => start({})))
    for (const { port } of started)
      expect(await practiceAt(`[::1]:${port}`)).toBe(await practiceAt(`127.0.0.1:${port}`))
  })

  test("what is under way at [::1] is finished before it ends", async () => {
    const { port } = await start({})
    const open = await fetch(`http://[::1]:${port}${paths.practice}`)
    expect(open.status).toBe(200)
    const from = Date.now()
    await running.pop()!.close()
    expect(Date.now() - from).toBeLessThan(5_000)
    await expect(fetch(`http://[::1]:${port}${paths.practice}`)).rejects.toThrow()
  })

  test.runIf(process.platform === "linux")("at an address of its own it does not answer to localhost", async () => {
    const { url, port } = await start({ host: "127.0.0.2" })
    expect(url).toBe(`http://127.0.0.2:${port}`)
    expect((await fetch(url + paths.practice)).status).toBe(200)
    expect(await listenToo({ host: "::1", port })).toBe(port)
    const reply = await new Promise<string>((resolve) => {
      const socket = createConnection({ host: "127.0.0.2", port })
      socket.once("data", (bytes) => resolve(String(bytes)))
      socket.write(`GET ${paths.practice} HTTP/1.1\r\nHost: localhost:${port}\r\nConnection: close\r\n\r\n`)
    })
    expect(reply).toMatch(/^HTTP\/1\.1 421 /)
  })
})
