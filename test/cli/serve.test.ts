import { randomBytes } from "node:crypto"
import { chmod, mkdir, readdir, rename, stat } from "node:fs/promises"
import { createServer } from "node:net"
import { join } from "node:path"
import { connect } from "node:tls"
import { afterAll, beforeAll, describe, expect, test, vi } from "vitest"
import { desk, type Outcome, runCli } from "../cli.ts"
import { type LiveServer, removeFolder, serve, tempFolder } from "../server.ts"

vi.setConfig({ testTimeout: 300_000, hookTimeout: 300_000 })

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

const freshData = () => join(folder, `data-${randomBytes(4).toString("hex")}`)

/** Plainly: one exit code, what to do, no stack. */
function expectPlain(outcome: Outcome, says: RegExp): void {
  expect(outcome).toMatchObject({ code: 1, stdout: "", stderr: expect.stringMatching(says) })
  expect(outcome.stderr).not.toMatch(/^\s+at |Error:/m)
}

describe("a running server", () => {
  test("keeps the database and its secrets under --data, for its owner alone", async () => {
    const names = await readdir(server.dataDir, { recursive: true })
    expect(names).toEqual(expect.arrayContaining(["healthcrypt.db", "secrets"]))
    for (const path of [server.dataDir, ...names.map((name) => join(server.dataDir, name))])
      expect((await stat(path)).mode & 0o077, path).toBe(0)
  })

  test("listens on loopback, and serves both API and page", async () => {
    expect(server.url).toMatch(/^http:\/\/(localhost|127\.0\.0\.1):\d+$/)
    const about = await fetch(`${server.url}/api/practice`)
    expect(await about.json()).toMatchObject({ practice: expect.stringMatching(/^[\w-]{22}$/) })
    const page = await fetch(`${server.url}/login`)
    expect(page.headers.get("content-type")).toMatch(/^text\/html/)
    expect(page.headers.get("content-security-policy")).toMatch(/require-trusted-types-for 'script'/)
    expect(await page.text()).toMatch(/<div id="root"/)
  })

  test("refuses a second one on its folder, plainly", async () => {
    const outcome = await runCli(["serve", "--data", server.dataDir, "--port", "0"])
    expectPlain(outcome, /Another Healthcrypt server is running on .*--data/)
    if (process.platform === "linux") expect(outcome.stderr).toMatch(/ \(process \d+\)\./)
    expect((await fetch(`${server.url}/api/practice`)).status).toBe(200)
  })

  test("refuses a taken port, plainly, and leaves nothing behind", async () => {
    const dataDir = freshData()
    const outcome = await runCli(["serve", "--data", dataDir, "--port", String(server.port)])
    expectPlain(outcome, /^Port \d+ is taken\..*--port/)
    await expect(stat(dataDir)).rejects.toThrow("ENOENT")
    const foreign = createServer()
    await new Promise<void>((resolve) => foreign.listen(0, "127.0.0.1", resolve))
    const address = foreign.address() as { port: number }
    expectPlain(await runCli(["serve", "--data", dataDir, "--port", String(address.port)]), /is taken/)
    foreign.close()
    const name = ["--tls", "auto", "--tls-name", "clinic"]
    expectPlain(await runCli(["serve", "--data", dataDir, "--port", "0", ...name]), /clinic\.local/)
    const pair = ["--tls-cert", "/nowhere/cert.pem", "--tls-key", "/nowhere/key.pem"]
    expectPlain(await runCli(["serve", "--data", dataDir, "--port", "0", ...pair]), /cert\.pem cannot be read/)
    await expect(stat(dataDir)).rejects.toThrow("ENOENT")
    const started = await serve({ dataDir })
    expect(await started.stop()).toBe(0)
  })

  test("ends at SIGTERM with 0 and starts again on what it left", async () => {
    const dataDir = freshData()
    const first = await serve({ dataDir })
    const before = await (await fetch(`${first.url}/api/practice`)).json()
    expect(await first.stop()).toBe(0)
    const again = await serve({ dataDir, port: first.port })
    expect(await (await fetch(`${again.url}/api/practice`)).json()).toEqual(before)
    expect(await again.stop()).toBe(0)
  })

  test("logs a JSON line a request, which names the route alone", async () => {
    await fetch(`${server.url}/api/records/AAAAAAAAAAAAAAAAAAAAAA/entries?from=0&since=0`)
    const last = () => {
      const lines = server.log().match(/^\{.*\}$/gm) ?? []
      return JSON.parse(lines.at(-1) ?? "{}")
    }
    const expected = { method: "GET", route: "/api/records/:record/entries", status: 401 }
    await expect.poll(last, { timeout: 60_000 }).toMatchObject(expected)
    expect(server.log()).not.toContain("AAAAAAAAAAAAAAAAAAAAAA")
  })
})

describe("without encryption, any address but loopback", () => {
  test.each(["0.0.0.0", "::", "192.0.2.1"])("%s is refused, with what to do", async (host) => {
    const outcome = await runCli(["serve", "--data", freshData(), "--port", "0", "--host", host])
    expectPlain(outcome, /Say --tls auto .*--tls-cert FILE --tls-key FILE .*--behind-proxy .*--host 127\.0\.0\.1\.\n$/)
  })

  test.each(["127.0.0.1", "localhost"])("%s is accepted", async (host) => {
    const started = await serve({ dataDir: freshData(), args: ["--host", host] })
    expect(await started.stop()).toBe(0)
  })

  test("is accepted behind a proxy that is said to be there", async () => {
    const started = await serve({ dataDir: freshData(), args: ["--host", "0.0.0.0", "--behind-proxy"] })
    expect(await started.stop()).toBe(0)
  })
})

describe("--tls auto", () => {
  let secure: LiveServer
  beforeAll(async () => {
    secure = await serve({
      dataDir: freshData(),
      args: ["--tls", "auto", "--host", "0.0.0.0", "--registration", "open"],
    })
  })
  afterAll(() => secure.stop())
  const url = () => `https://localhost:${secure.port}`
  const ca = () => join(secure.dataDir, "ca.pem")

  test("says how to trust it", () => {
    expect(secure.log()).toContain(ca())
    expect(secure.log()).toContain("HEALTHCRYPT_CA")
    expect(secure.log()).toMatch(/SHA-256 +([0-9A-F]{2}:){31}[0-9A-F]{2}/)
  })

  test("works from the command line with HEALTHCRYPT_CA, by name and by address", async () => {
    const ada = desk(url(), folder, "ada").with({ ca: ca() })
    await ada.register("Ada", "Byron")
    const id = await ada.add({ firstName: "Bea", lastName: "Beer", birthDate: "1938-02-27", diagnosis: "Gout" })
    const byAddress = ada.with({ server: `https://127.0.0.1:${secure.port}` })
    expect((await byAddress.list()).map((row) => row.id)).toEqual([id])
  })

  test("and not without it, nor with another's authority, nor by plain HTTP", async () => {
    const ada = desk(url(), folder, "ada")
    expectPlain(await ada.run(["records", "list"]), /not trusted\..*HEALTHCRYPT_CA/)
    const other = await serve({ dataDir: freshData(), args: ["--tls", "auto"] })
    await other.stop()
    const wrong = ada.with({ ca: join(other.dataDir, "ca.pem") })
    expectPlain(await wrong.run(["records", "list"]), /not trusted\..*HEALTHCRYPT_CA/)
    const plain = ada.with({ server: `http://localhost:${secure.port}` })
    expectPlain(await plain.run(["records", "list"]), /cannot be reached/)
  })

  test("speaks TLS 1.3 and nothing older", async () => {
    const speak = (maxVersion: "TLSv1.2" | "TLSv1.3") =>
      new Promise<string | null>((resolve) => {
        const options = { port: secure.port, host: "127.0.0.1", rejectUnauthorized: false, maxVersion }
        const socket = connect(options, () => {
          resolve(socket.getProtocol())
          socket.destroy()
        })
        socket.on("error", () => resolve(null))
      })
    expect(await speak("TLSv1.3")).toBe("TLSv1.3")
    expect(await speak("TLSv1.2")).toBeNull()
  })
})

describe("a data folder", () => {
  test("that others may look into is refused, with the command that mends it", async () => {
    const dataDir = freshData()
    await (await serve({ dataDir })).stop()
    await chmod(dataDir, 0o755)
    expectPlain(await runCli(["serve", "--data", dataDir, "--port", "0"]), /chmod 700/)
  })

  test("that holds other things is left as it is: the data needs one of its own", async () => {
    const dataDir = freshData()
    await mkdir(join(dataDir, "something"), { recursive: true })
    await chmod(dataDir, 0o755)
    expectPlain(await runCli(["serve", "--data", dataDir, "--port", "0"]), /folder of its own.*healthcrypt-data/)
    expect((await stat(dataDir)).mode & 0o777).toBe(0o755)
  })

  test("whose secrets or database are missing is refused, and nothing is made anew", async () => {
    const dataDir = freshData()
    await (await serve({ dataDir })).stop()
    await rename(join(dataDir, "secrets"), join(folder, "kept"))
    expectPlain(await runCli(["serve", "--data", dataDir, "--port", "0"]), /secrets is missing/)
    expect(await readdir(dataDir)).not.toContain("secrets")
    await rename(join(folder, "kept"), join(dataDir, "secrets"))
    await (await serve({ dataDir })).stop()
  })

  test("that cannot be made is named", async () => {
    expectPlain(await runCli(["serve", "--data", "/dev/null/data", "--port", "0"]), /\/dev\/null\/data/)
  })
})
