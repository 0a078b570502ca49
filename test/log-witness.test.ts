import { type ChildProcess, spawn } from "node:child_process"
import { createHash } from "node:crypto"
import { readFile, stat, writeFile } from "node:fs/promises"
import { connect } from "node:net"
import { join } from "node:path"
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import { MadeLog } from "../src/client/made-log.fixture.ts"
import { verifyCosignature } from "../src/proof/cosignature.ts"
import { parseVkey } from "../src/proof/note.ts"
import { runCli } from "./cli.ts"
import { naiveNote } from "./naive-log.ts"
import { Operated } from "./operator.ts"
import { startRelay } from "./relay.ts"
import { bareEnv, bin, removeFolder, tempFolder } from "./server.ts"

let folder: string
const running: ChildProcess[] = []
beforeAll(async () => {
  folder = await tempFolder()
})
afterAll(async () => {
  for (const child of running) child.kill("SIGKILL")
  await removeFolder(folder)
})

interface LiveWitness {
  readonly url: string
  readonly vkey: string
  end(signal: NodeJS.Signals): Promise<number | null>
}

/** The real command, on a port of its own choice. */
async function start(
  home: string,
  args: readonly string[],
  env: Readonly<Record<string, string>> = {},
): Promise<LiveWitness> {
  const child = spawn(process.execPath, [bin, "log", "witness", "--port", "0", ...args], {
    env: { ...bareEnv, HEALTHCRYPT_HOME: join(folder, home), ...env },
  })
  running.push(child)
  const gone = new Promise<number | null>((resolve) => child.once("close", resolve))
  let text = ""
  return new Promise((resolve, reject) => {
    child.stderr.on("data", (chunk) => (text += chunk))
    child.stdout.on("data", (chunk) => {
      text += chunk
      const [, vkey, url] = /^vkey (\S+)\nThe witness is ready at (\S+)$/m.exec(text) ?? []
      if (vkey === undefined || url === undefined) return
      const end = (signal: NodeJS.Signals) => {
        child.kill(signal)
        return gone
      }
      resolve({ vkey, url, end })
    })
    gone.then((code) => reject(new Error(`the witness ended with ${code}:\n${text}`)))
  })
}

const logArgs = (log: MadeLog) => ["--log", `${log.origin}=${Buffer.from(log.logKey).toString("hex")}`]
const request = (log: MadeLog, old: number, size = log.leaves.length) => {
  const proof = log.consistency(old, size).map((hash) => Buffer.from(hash).toString("base64"))
  return [`old ${old}`, ...proof, "", log.note(size)].join("\n")
}
const post = (witness: LiveWitness, body: string | Uint8Array<ArrayBuffer>) =>
  fetch(`${witness.url}/add-checkpoint`, { method: "POST", body })
const newest = (witness: LiveWitness, origin: string) =>
  fetch(`${witness.url}/${createHash("sha256").update(origin).digest("hex")}/checkpoint`)

describe("log witness", () => {
  it("cosigns over HTTP as C2SP says, status by status", async () => {
    const log = new MadeLog().grow(5)
    const witness = await start("statuses", [...logArgs(log), "--name", "witness.example/w1"])
    expect(witness.vkey).toMatch(/^witness\.example\/w1\+[0-9a-f]{8}\+B[A-Za-z0-9+/]{43}$/)
    expect((await newest(witness, log.origin)).status).toBe(404)
    const first = await post(witness, request(log, 0))
    expect(first.status).toBe(200)
    const note = log.note() + (await first.text())
    expect(Math.abs(((await verifyCosignature(parseVkey(witness.vkey), note)) ?? 0) - Date.now() / 1000)).toBeLessThan(
      60,
    )
    expect(naiveNote(note, log.origin, log.logKey).size).toBe(5)
    expect(await (await newest(witness, log.origin)).text()).toBe(note)
    log.grow(4)
    const conflict = await post(witness, request(log, 0))
    expect([conflict.status, conflict.headers.get("content-type"), await conflict.text()]).toEqual([
      409,
      "text/x.tlog.size",
      "5\n",
    ])
    expect((await post(witness, request(log, 5))).status).toBe(200)
    expect(
      (
        await post(
          witness,
          request(
            log.fork(3).grow(7, (i) => `fork ${i}`),
            9,
          ),
        )
      ).status,
    ).toBe(422)
    expect((await post(witness, request(new MadeLog(log.origin, 8).grow(9), 9))).status).toBe(403)
    expect((await post(witness, request(new MadeLog("example.com/x").grow(9), 9))).status).toBe(404)
    expect((await post(witness, "old 9\n")).status).toBe(400)
    expect((await post(witness, request(log, 9).replace("old 9", "old 10"))).status).toBe(400)
    expect(await witness.end("SIGTERM")).toBe(0)
  })

  it("keeps its key and its word in one file of its owner's, through kill -9 at any moment", async () => {
    const log = new MadeLog()
    const file = join(folder, "killed", "witness")
    let vkey: string | null = null
    let last = 0
    for (let round = 0; round < 6; round++) {
      const witness = await start("killed", logArgs(log))
      vkey ??= witness.vkey
      expect(witness.vkey).toBe(vkey)
      expect((await stat(file)).mode & 0o777).toBe(0o600)
      // Whatever it signed before it was killed, it still stands by.
      const probe = await post(witness, request(log, last))
      const size = probe.status === 409 ? Number(await probe.text()) : log.leaves.length
      expect([200, 409]).toContain(probe.status)
      expect(size).toBeGreaterThanOrEqual(last)
      expect(size).toBeLessThanOrEqual(log.leaves.length)
      last = size
      if (last > 2) {
        const fork = log.fork(last - 2).grow(2, (i) => `fork ${i}`)
        expect((await post(witness, request(fork, last))).status).toBe(422)
      }
      const signed: number[] = []
      const storm = (async () => {
        for (let from = last; ; ) {
          log.grow(3)
          const size = log.leaves.length
          const answer = await post(witness, request(log, from, size)).catch(() => null)
          if (answer?.status !== 200) return
          const text = await answer.text().catch(() => null)
          if (text === null) return
          signed.push(size)
          from = size
        }
      })()
      await new Promise((resolve) => setTimeout(resolve, 60 + 40 * round))
      await witness.end("SIGKILL")
      await storm
      last = signed.at(-1) ?? last
    }
    expect(last).toBeGreaterThan(3)
    await writeFile(file, (await readFile(file)).subarray(0, 40))
    await expect(start("killed", logArgs(log))).rejects.toThrow("ended with 1")
  })

  it("is the only one that signs under its key, and two others sign each for themselves", async () => {
    const log = new MadeLog().grow(3)
    const [one, two] = await Promise.all([start("one", logArgs(log)), start("two", logArgs(log))])
    const answers = await Promise.all([one, two].map((witness) => post(witness, request(log, 0))))
    const lines = await Promise.all(answers.map((answer) => answer.text()))
    const note = log.note() + lines.join("")
    expect(one.vkey).not.toBe(two.vkey)
    expect(await verifyCosignature(parseVkey(one.vkey), note)).not.toBeNull()
    expect(await verifyCosignature(parseVkey(two.vkey), note)).not.toBeNull()
    expect(await verifyCosignature(parseVkey(one.vkey), log.note() + lines[1]!)).toBeNull()
    // Twenty at a time: one of each size gets a signature, the others are told the size.
    log.grow(1)
    const crowd = await Promise.all(Array.from({ length: 20 }, () => post(one, request(log, 3))))
    expect(crowd.map(({ status }) => status).sort()).toEqual([200, ...Array(19).fill(409)])
    const same = await runCli(["log", "witness", "--port", "0"], { env: { HEALTHCRYPT_HOME: join(folder, "one") } })
    expect(same).toMatchObject({ code: 1, stdout: "", stderr: expect.stringContaining("Another healthcrypt command") })
  })

  it("lets nobody hold it up: huge and slow bodies, wrong methods, half requests", async () => {
    const log = new MadeLog().grow(3)
    const witness = await start("crowd", logArgs(log))
    const { hostname, port } = new URL(witness.url)
    const raw = (text: string) =>
      new Promise<string>((resolve) => {
        const socket = connect(Number(port), hostname, () => socket.write(text))
        let answer = ""
        socket.on("data", (chunk) => (answer += chunk))
        socket.on("error", () => {})
        socket.on("close", () => resolve(answer))
      })
    const head = "POST /add-checkpoint HTTP/1.1\r\nhost: x\r\n"
    const slow = [
      raw(`${head}content-length: 100\r\n\r\nold 0`),
      raw(`${head}x-never: ends\r\n`),
      raw(`${head}transfer-encoding: chunked\r\n\r\n5\r\nold 0\r\n`),
      ...Array.from({ length: 50 }, () => raw("POST /add-ch")),
    ]
    let over = 0
    for (const one of slow) one.then(() => over++)
    for (const [method, path, status] of [
      ["GET", "/add-checkpoint", 405],
      ["PUT", "/add-checkpoint", 405],
      ["POST", "/", 404],
      ["GET", "/", 404],
      ["POST", `/${"0".repeat(64)}/checkpoint`, 405],
      ["GET", `/${"0".repeat(64)}/checkpoint`, 404],
      ["GET", "/../witness", 404],
    ] as const)
      expect((await fetch(witness.url + path, { method })).status, `${method} ${path}`).toBe(status)
    expect((await post(witness, new Uint8Array(65_536))).status).toBe(400)
    expect(await raw(`${head}content-length: 1000000000\r\n\r\n`)).toContain(" 413 ")
    const chunk = `10000\r\n${"x".repeat(65_536)}\r\n`
    expect(await raw(`${head}transfer-encoding: chunked\r\n\r\n${chunk}${chunk}${chunk}`)).toContain(" 413 ")
    expect(await raw(`${head}content-length: abc\r\n\r\n`)).toContain(" 400 ")
    expect((await post(witness, request(log, 0))).status).toBe(200)
    expect(over, "slow requests that are over").toBeLessThan(slow.length)
    expect((await Promise.all(slow)).every((answer) => answer === "" || answer.includes(" 408 "))).toBe(true)
    expect(await witness.end("SIGTERM")).toBe(0)
  })

  it("takes the practice's own log in at its first start, and a monitor demands its word", async () => {
    const server = await Operated.start()
    const { origin, key } = await server.sheet()
    const env = { HEALTHCRYPT_SERVER: server.url }
    await server.grow(10)
    const witness = await start("practice", [], env)
    await witness.end("SIGTERM")
    const again = await start("practice", [])
    expect(again.vkey).toBe(witness.vkey)
    const note = await (await fetch(`${server.url}/log/checkpoint`)).text()
    const answer = await post(again, `old 0\n\n${note}`)
    expect(answer.status).toBe(200)
    const cosigned = note + (await answer.text())
    expect(await verifyCosignature(parseVkey(again.vkey), cosigned)).not.toBeNull()
    const args = ["log", "monitor", "--once", "--origin", origin, "--key", key, "--witness", again.vkey]
    const look = () => runCli(args, { env: { ...env, HEALTHCRYPT_HOME: join(folder, "watching") } })
    const without = await look()
    expect(without).toMatchObject({ code: 3, stderr: expect.stringContaining(again.vkey) })
    const serving = await startRelay(server.url, {
      after: (call, body) => (call.path === "/log/checkpoint" ? Buffer.from(cosigned) : body),
    })
    env.HEALTHCRYPT_SERVER = serving.url
    expect(await look()).toMatchObject({ code: 0, stderr: "", stdout: expect.stringContaining("10 leaves") })
    await serving.close()
    await server.close()
  })

  it("tells a monitor that asks it of a fork, and of a log cut short, that the monitor itself never saw", async () => {
    const server = await Operated.start()
    await server.grow(300)
    const { origin, key } = await server.sheet()
    const witness = await start("asked", [], { HEALTHCRYPT_SERVER: server.url })
    const look = (home: string, at = witness.url) =>
      runCli(["log", "monitor", "--once", "--origin", origin, "--key", key, "--witness", `${witness.vkey}=${at}`], {
        env: { HEALTHCRYPT_SERVER: server.url, HEALTHCRYPT_HOME: join(folder, home) },
      })
    expect(await look("asking")).toMatchObject({ code: 0, stderr: "" })
    await server.grow(311)
    expect(await look("asking")).toMatchObject({ code: 0, stderr: "", stdout: expect.stringContaining("11 new") })
    expect(await look("asking too")).toMatchObject({ code: 0, stderr: "" })
    const cosigned = await (await newest(witness, origin)).text()
    expect(naiveNote(cosigned, origin, Buffer.from(key, "hex")).size).toBe(311)

    let honest: Uint8Array[] = []
    const found = async (home: string) => {
      const { code, stderr } = await look(home)
      const evidence = JSON.parse(await readFile(/^ {2}evidence {2}(.+)$/m.exec(stderr)![1]!, "utf8"))
      return { code, tampered: evidence.code, witnessed: evidence.witnessed }
    }
    await server.rewrite((leaves) => {
      honest = leaves
      return leaves.slice(0, 305)
    })
    expect(await found("new 1")).toEqual({ code: 3, tampered: "TAMPERED_ROLLBACK", witnessed: cosigned })
    const fork = honest.map((leaf, i) => (i < 200 ? leaf : leaf.map((byte) => byte ^ 0xff)))
    await server.rewrite(() => fork)
    expect(await found("new 2")).toEqual({ code: 3, tampered: "TAMPERED_FORK", witnessed: cosigned })
    await server.grow(400)
    expect(await found("new 3")).toEqual({ code: 3, tampered: "TAMPERED_FORK", witnessed: cosigned })
    await server.rewrite(() => honest)
    expect(await look("new 1")).toMatchObject({ code: 0, stderr: "" })

    const other = await start("other", logArgs(new MadeLog()))
    const useless = { code: 1, stdout: "" }
    expect(await look("new 4", other.url)).toMatchObject({
      ...useless,
      stderr: expect.stringContaining("does not know"),
    })
    await witness.end("SIGTERM")
    expect(await look("new 5")).toMatchObject({
      ...useless,
      stderr: expect.stringContaining("witness cannot be reached"),
    })
    expect(await look("new 6", "http://example.com")).toMatchObject({
      code: 2,
      stderr: expect.stringContaining("https:// in --witness"),
    })
    expect(await look("new 6", "nonsense")).toMatchObject({ code: 2 })
    await server.close()
  })

  it.each([
    [["--port", "x"], 2],
    [["--port", "70000"], 2],
    [["--log", "nothing"], 2],
    [["--log", "healthcrypt/x=00"], 2],
    [["--host", ""], 2],
    [["--name", "two words", "--log", `x=${"d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a"}`], 2],
  ])("refuses %j", async (args, code) => {
    const env = { HEALTHCRYPT_HOME: join(folder, "refused"), HEALTHCRYPT_SERVER: "http://127.0.0.1:9" }
    expect(await runCli(["log", "witness", ...args], { env })).toMatchObject({ code, stdout: "" })
  })
})
