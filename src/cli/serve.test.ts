import { execFileSync } from "node:child_process"
import { existsSync } from "node:fs"
import { chmod, mkdir, readFile, rm, stat, writeFile } from "node:fs/promises"
import { request } from "node:https"
import { connect, createServer } from "node:net"
import { hostname } from "node:os"
import { delimiter, join } from "node:path"
import { DatabaseSync } from "node:sqlite"
import { afterAll, beforeAll, describe, expect, test } from "vitest"
import { protocolHeader, protocolVersion } from "../protocol/paths.ts"
import { UsageError } from "./ask.ts"
import { Out, Talk } from "./out.ts"
import { serve } from "./serve.ts"
import { run, type Server, serveForTest, temporaryFolder } from "./terminal.fixture.ts"

let folder: Awaited<ReturnType<typeof temporaryFolder>>
let number = 0
const freshData = (): string => join(folder.path, `data-${number++}`)

beforeAll(async () => {
  folder = await temporaryFolder()
})
afterAll(() => folder.remove())

async function withServer(args: readonly string[], work: (server: Server) => Promise<void>): Promise<void> {
  const server = await serveForTest(args)
  try {
    await work(server)
  } finally {
    await server.stop("SIGKILL")
  }
}

describe("serve", () => {
  test("prints one line, serves API and page, and leaves with 0 on SIGTERM and SIGINT", async () => {
    const data = freshData()
    for (const signal of ["SIGTERM", "SIGINT"] as const) {
      const server = await serveForTest(["--data", data])
      const practice = await fetch(`${server.url}/api/practice`)
      expect(practice.headers.get("content-security-policy")).toContain("default-src 'none'")
      expect(await practice.json()).toMatchObject({ practice: expect.stringMatching(/^[\w-]{22}$/) })
      const page = await fetch(`${server.url}/login`, { headers: { accept: "text/html" } })
      expect(await page.text()).toContain('<div id="root">')
      expect(page.headers.get("content-security-policy")).toContain("require-trusted-types-for 'script'")
      expect(await server.stop(signal)).toBe(0)
      expect(server.output.stdout).toBe(`Healthcrypt is ready at ${server.url}\n`)
      for (const line of server.output.stderr.trim().split("\n")) expect(JSON.parse(line)).toHaveProperty("level")
    }
  })

  test("finishes what is in flight before it leaves", async () => {
    const server = await serveForTest(["--data", freshData()])
    const body = JSON.stringify({ username: "ada" })
    const socket = connect(Number(new URL(server.url).port), "127.0.0.1")
    socket.setEncoding("utf8")
    const head = `POST /api/recover/start HTTP/1.1\r\nhost: ${new URL(server.url).host}\r\ncontent-type: application/json\r\n${protocolHeader}: ${protocolVersion}\r\ncontent-length: ${body.length}\r\n\r\n`
    socket.write(head + body.slice(0, 5))
    await new Promise((resolve) => setTimeout(resolve, 200))
    const stopped = server.stop()
    await new Promise((resolve) => setTimeout(resolve, 200))
    socket.write(body.slice(5))
    const [answer] = await new Promise<string[]>((resolve) => socket.once("data", (text: string) => resolve([text])))
    expect(answer).toMatch(/^HTTP\/1\.1 200 /)
    socket.destroy()
    expect(await stopped).toBe(0)
  })

  test("keeps everything for its owner alone", async () => {
    const data = freshData()
    await withServer(["--data", data], async () => {
      const names = [
        "",
        "healthcrypt.db",
        "healthcrypt.db-wal",
        "lock.db",
        "secrets",
        "secrets/log-key",
        "secrets/opaque-setup",
      ]
      for (const name of names) expect((await stat(join(data, name))).mode & 0o077, name).toBe(0)
      expect(existsSync(join(data, "secrets/unsettled"))).toBe(false)
    })
  })

  test("starts again by itself after kill -9, as the same practice", async () => {
    const data = freshData()
    const practices = new Set<string>()
    for (let i = 0; i < 3; i++) {
      await withServer(["--data", data], async ({ url }) => {
        practices.add(await (await fetch(`${url}/api/practice`)).text())
      })
    }
    expect(practices.size).toBe(1)
  })
})

describe("serve killed in the middle of its first start", () => {
  test.each([250, 350, 500])("after %i ms starts all the same", async (ms) => {
    const data = freshData()
    const first = serveForTest(["--data", data], { killAfterMs: ms }).then((server) => server.stop("SIGKILL"))
    await first.catch(() => {})
    const server = await serveForTest(["--data", data])
    expect((await fetch(`${server.url}/api/practice`)).status).toBe(200)
    await server.stop("SIGKILL")
    expect((await run(["verify", "--data", data])).code).toBe(0)
  })
})

describe("serve refuses, and says what to do", () => {
  test("a second server on one folder", async () => {
    const data = freshData()
    await withServer(["--data", data], async () => {
      const second = await run(["serve", "--port", "0", "--data", data])
      expect(second.code).toBe(1)
      expect(second.stdout).toBe("")
      const named = / \(process \d+\)/
      expect(second.stderr.replace(named, "")).toBe(
        `Another Healthcrypt server is running on ${data}. Stop that one first, or choose another folder with --data.\n`,
      )
    })
  })

  test("a taken port", async () => {
    const taken = createServer()
    await new Promise<void>((resolve) => taken.listen(0, "127.0.0.1", resolve))
    const { port } = taken.address() as { port: number }
    const { code, stderr } = await run(["serve", "--port", String(port), "--data", freshData()])
    taken.close()
    expect(code).toBe(1)
    expect(stderr).toBe(`Port ${port} is taken. Stop the program that uses it, or choose another port with --port.\n`)
  })

  test.each(["0.0.0.0", "::", "192.0.2.77"])("to listen on %s without TLS", async (host) => {
    const data = freshData()
    const { code, stderr } = await run(["serve", "--port", "0", "--host", host, "--data", data])
    expect(code).toBe(1)
    expect(stderr).toContain(`Refusing to listen on ${host} without encryption`)
    for (const way of ["--tls auto", "--tls-cert FILE --tls-key FILE", "--behind-proxy"]) expect(stderr).toContain(way)
    expect(existsSync(data)).toBe(false)
  })

  test("an address that is not this machine's", async () => {
    const { code, stderr } = await run([
      "serve",
      "--port",
      "0",
      "--host",
      "192.0.2.77",
      "--tls",
      "auto",
      "--data",
      freshData(),
    ])
    expect(code).toBe(1)
    expect(stderr).toContain("192.0.2.77 is not an address of this machine")
  })

  test("a folder that others may look into", async () => {
    const data = freshData()
    await mkdir(data)
    await writeFile(join(data, "healthcrypt.db"), "")
    await chmod(data, 0o755)
    const { code, stderr } = await run(["serve", "--port", "0", "--data", data])
    expect([code, stderr]).toEqual([1, `Other users of this machine may look into ${data}. Run: chmod 700 '${data}'\n`])
  })

  test("a database whose secrets are gone, and makes no new ones", async () => {
    const data = freshData()
    await withServer(["--data", data], async () => {})
    await rm(join(data, "secrets"), { recursive: true })
    const { code, stderr } = await run(["serve", "--port", "0", "--data", data])
    expect(code).toBe(1)
    expect(stderr).toContain("secrets is missing")
    expect(existsSync(join(data, "secrets"))).toBe(false)
  })

  test("a database that is damaged, or of a newer version", async () => {
    const data = freshData()
    await withServer(["--data", data], async () => {})
    const database = new DatabaseSync(join(data, "healthcrypt.db"))
    database.exec("insert into kysely_migration values ('9999-later', '2099-01-01')")
    database.close()
    const { code, stderr } = await run(["serve", "--port", "0", "--data", data])
    expect(code).toBe(1)
    expect(stderr).toContain("cannot be opened: it is damaged, or a newer version of Healthcrypt made it")
  })

  test("a log that another key signed", async () => {
    const [one, other] = [freshData(), freshData()]
    for (const data of [one, other]) await withServer(["--data", data], async () => {})
    await writeFile(join(one, "secrets/log-key"), await readFile(join(other, "secrets/log-key")))
    const { code, stderr } = await run(["serve", "--port", "0", "--data", one])
    expect(code).toBe(3)
    expect(stderr).toContain("does not belong to the key in the secrets folder")
  })

  test.each([
    [["--port", "x"], "--port takes a number from 0 to 65535."],
    [["--nonsense"], "unknown option '--nonsense'"],
  ])("%j as a wrong usage", async (args, advice) => {
    const { code, stdout, stderr } = await run(["serve", ...args])
    expect(code).toBe(2)
    expect(stdout).toBe("")
    expect(stderr).toContain(advice)
  })

  test.each([
    [{ port: "65536" }, "--port takes a number from 0 to 65535."],
    [{ tls: "on" }, "--tls takes only: auto."],
    [{ tlsCert: "a.pem" }, "--tls-cert and --tls-key go together."],
    [{ tls: "auto", behindProxy: true }, "Choose one of"],
    [{ tlsName: ["practice.local"] }, "--tls-name goes with --tls auto."],
    [{ tls: "auto", tlsName: ["*.local"] }, "--tls-name takes a host name or an IP address"],
    [{ tls: "auto", tlsName: Array(51).fill("practice.local") }, "--tls-name takes 50 names at most."],
    [{ logLevel: "loud" }, "--log-level takes one of"],
    [{ witness: ["witness.example"] }, "--witness takes a witness's vkey, = and its address"],
  ])("the options %j", async (options, advice) => {
    const { stdin, env } = process
    const io = { stdin, out: new Out(process.stdout, env), err: new Talk(stdin, process.stderr, env), env }
    const given = { port: "0", host: "127.0.0.1", data: freshData(), logLevel: "info", ...options }
    const running = serve.run({ ...io, isTerminal: false }, given, [])
    await expect(running).rejects.toThrow(advice)
    await expect(running).rejects.toBeInstanceOf(UsageError)
  })
})

describe("beyond this machine", () => {
  test("--tls auto serves every name and address by TLS 1.3, and says how to trust it", async () => {
    const data = freshData()
    await withServer(["--host", "0.0.0.0", "--tls", "auto", "--data", data], async ({ url, output }) => {
      expect(url).toMatch(/^https:/)
      expect(output.stderr).toContain(`HEALTHCRYPT_CA=${join(data, "ca.pem")}`)
      const ca = await readFile(join(data, "ca.pem"), "utf8")
      for (const host of ["localhost", "127.0.0.1", new URL(url).hostname]) {
        const reply = await getByTls(host, new URL(url).port, ca)
        expect(reply).toMatchObject({ status: 200, protocol: "TLSv1.3" })
      }
      await expect(getByTls("localhost", new URL(url).port, undefined)).rejects.toThrow("certificate")
      const { headers } = await getByTls("localhost", new URL(url).port, ca, {
        host: `${hostname().toLowerCase()}.local:5000`,
      })
      expect(headers["strict-transport-security"]).toBe("max-age=31536000")
    })
  })

  test("--tls-name certifies further names, and a later one asks for a new authority before it serves", async () => {
    const data = freshData()
    const args = [
      "--tls",
      "auto",
      "--data",
      data,
      "--tls-name",
      "practice.local",
      "10.1.2.3",
      "--tls-name",
      "Desk.Example",
    ]
    await withServer(args, async ({ url, output }) => {
      const ca = await readFile(join(data, "ca.pem"), "utf8")
      for (const servername of ["practice.local", "desk.example", `${hostname().toLowerCase()}.local`])
        expect(await getByTls("127.0.0.1", new URL(url).port, ca, {}, servername)).toMatchObject({ status: 200 })
      await expect(getByTls("127.0.0.1", new URL(url).port, ca, {}, "bank.example")).rejects.toThrow("altnames")
      expect(output.stderr).toContain("practice.local, 10.1.2.3, desk.example")
    })
    const { code, stdout, stderr } = await run(["serve", "--port", "0", ...args, "--tls-name", "clinic.example"])
    expect([code, stdout]).toEqual([1, ""])
    expect(stderr).toContain("may not certify clinic.example")
    expect(stderr).toContain(`remove ${join(data, "secrets/tls/authority.pem")}`)
    await withServer(args, async () => {})
  })

  test("the command line trusts that authority by HEALTHCRYPT_CA, and nothing without it", async () => {
    const data = freshData()
    await withServer(["--tls", "auto", "--data", data], async ({ url }) => {
      const env = {
        HEALTHCRYPT_SERVER: url,
        HEALTHCRYPT_HOME: join(folder.path, "home"),
        HEALTHCRYPT_USERNAME: "ada",
        HEALTHCRYPT_PASSWORD: "correct horse battery staple",
      }
      const input = '{"firstName":"Ada","lastName":"Byron"}'
      expect((await run(["register"], { env, input })).code).toBe(1)
      const trusting = await run(["register"], { env: { ...env, HEALTHCRYPT_CA: join(data, "ca.pem") }, input })
      expect(trusting.code, trusting.stderr).toBe(0)
    })
  })

  test("--behind-proxy speaks plain HTTP to the proxy", async () => {
    await withServer(["--host", "127.0.0.1", "--behind-proxy", "--data", freshData()], async ({ url }) => {
      const reply = await fetch(`${url}/api/practice`, { headers: { "x-forwarded-for": "192.0.2.7" } })
      expect(reply.status).toBe(200)
    })
  })

  test("a certificate that cannot be read is refused", async () => {
    const args = ["--host", "0.0.0.0", "--tls-cert", "/nothing.pem", "--tls-key", "/nothing.key", "--data", freshData()]
    const { code, stderr } = await run(["serve", "--port", "0", ...args])
    expect([code, stderr]).toEqual([1, "/nothing.pem cannot be read. Check the path and its permissions.\n"])
  })
})

const olderNode = findOlderNode()
describe.skipIf(olderNode === null)("under the machine's own older Node", () => {
  test("the command works, and a kill -9 of it leaves nothing running", async () => {
    const data = freshData()
    for (let i = 0; i < 2; i++) {
      const server = await serveForTest(["--data", data], { node: olderNode! })
      expect((await fetch(`${server.url}/api/practice`)).status).toBe(200)
      await server.stop("SIGKILL")
    }
    const last = await serveForTest(["--data", data], { node: olderNode! })
    expect(await last.stop("SIGTERM")).toBe(0)
  })
})

interface TlsReply {
  status: number | undefined
  protocol: string | null
  headers: Readonly<Record<string, string | string[] | undefined>>
}

function getByTls(
  host: string,
  port: string,
  ca: string | undefined,
  headers = {},
  servername?: string,
): Promise<TlsReply> {
  return new Promise((resolve, reject) => {
    const options = {
      host,
      port,
      ca,
      path: "/api/practice",
      headers,
      agent: false,
      ...(servername !== undefined && { servername }),
      ...(host === "localhost" && { family: 4 }),
    }
    const sent = request(options, (reply) => {
      const socket = reply.socket as unknown as { getProtocol(): string | null }
      resolve({ status: reply.statusCode, protocol: socket.getProtocol(), headers: reply.headers })
      reply.resume()
    })
    sent.on("error", reject)
    sent.end()
  })
}

function findOlderNode(): string | null {
  for (const place of (process.env.PATH ?? "").split(delimiter)) {
    const node = join(place, "node")
    if (!existsSync(node)) continue
    const major = Number(execFileSync(node, ["--print", "process.versions.node"], { encoding: "utf8" }).split(".")[0])
    if (major >= 20 && major < 24) return node
  }
  return null
}
