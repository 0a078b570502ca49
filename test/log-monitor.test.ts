import { spawn } from "node:child_process"
import { existsSync } from "node:fs"
import { readdir, readFile, stat } from "node:fs/promises"
import { join } from "node:path"
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest"
import { desk, type Outcome, runCli } from "./cli.ts"
import { Operated } from "./operator.ts"
import { bareEnv, bin, removeFolder, tempFolder } from "./server.ts"

let server: Operated
let folder: string
let homes = 0
let home: string
beforeAll(async () => {
  server = await Operated.start()
  folder = await tempFolder()
})
afterAll(async () => {
  await server?.close()
  await removeFolder(folder)
})
/** Every test watches from a machine of its own. */
beforeEach(() => {
  home = join(folder, `home-${homes++}`)
})

const env = () => ({ HEALTHCRYPT_SERVER: server.url, HEALTHCRYPT_HOME: home })
const log = (...args: string[]): Promise<Outcome> => runCli(["log", ...args], { env: env() })
const look = (...args: string[]) => log("monitor", "--once", ...args)
const other = (leaf: Uint8Array) => leaf.map((byte) => byte ^ 0xff)

/** Demands a refusal with 3, and reads the evidence that it names. */
async function evidenceOf({ code, stdout, stderr }: Outcome): Promise<Record<string, unknown>> {
  expect({ code, stdout }, stderr).toEqual({ code: 3, stdout: "" })
  const file = /^ {2}evidence {2}(.+)$/m.exec(stderr)?.[1]
  expect(file).toContain(home)
  expect((await stat(file!)).mode & 0o777).toBe(0o600)
  return JSON.parse(await readFile(file!, "utf8"))
}

describe("log monitor", () => {
  it("follows what real physicians do, from the sheet's key on, and says what grew", async () => {
    const { origin, key } = await server.sheet()
    const grace = desk(server.url, folder, "grace")
    await grace.register("Grace", "Hopper")
    const first = await look("--origin", origin, "--key", key)
    expect(first).toMatchObject({ code: 0, stderr: "" })
    const line =
      /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:Z|[+-]\d\d:\d\d) (\d+) leaves, (\d+) new(?:, (\d+) as they were)?, root [A-Za-z0-9+/]{43}=\n$/
    const [, size, fresh] = line.exec(first.stdout)!
    expect(fresh).toBe(size)
    await grace.add({ firstName: "A", lastName: "B", birthDate: "1990-01-01", diagnosis: "Hypertension" })
    const second = await look()
    expect(second).toMatchObject({ code: 0, stderr: "" })
    const [, grown, more, held] = line.exec(second.stdout)!
    expect(Number(grown)).toBe(Number(size) + Number(more))
    expect(held).toBe(size)
    const checkpoint = await log("checkpoint")
    expect(checkpoint).toMatchObject({ code: 0, stderr: expect.stringContaining("that this machine remembers") })
    expect(checkpoint.stdout).toBe(await (await fetch(`${server.url}/log/checkpoint`)).text())
  })

  it("takes an unknown log's key on trust, says so, and holds it from then on", async () => {
    const { origin, key } = await server.sheet()
    const first = await look()
    expect(first.code).toBe(0)
    expect(first.stderr).toContain("on the server's own word")
    expect(first.stderr).toContain(origin)
    expect(first.stderr).toContain(key)
    expect((await look()).stderr).toBe("")
    expect(
      await look("--origin", origin, "--key", "03a107bff3ce10be1d70dd18e74bc09967e4d6309ba50d5f1ddc8664125531b8"),
    ).toMatchObject({ code: 1 })
  })

  it("finds a leaf that was rewritten and signed again: the same size, and once it has grown", async () => {
    await server.grow(600)
    expect((await look()).code).toBe(0)
    let honest: Uint8Array[] = []
    await server.rewrite((leaves) => {
      honest = leaves
      return leaves.with(17, other(leaves[17]!))
    })
    expect(await evidenceOf(await look())).toMatchObject({ code: "TAMPERED_FORK", pinned: { size: 600 } })
    expect((await log("checkpoint")).code).toBe(3)
    await server.grow(611)
    expect(await evidenceOf(await look())).toMatchObject({
      code: "TAMPERED_FORK",
      leaf: 17,
      was: Buffer.from(honest[17]!).toString("hex"),
      is: Buffer.from(other(honest[17]!)).toString("hex"),
    })
    const checkpoint = await log("checkpoint", "--json")
    expect(checkpoint).toMatchObject({ code: 3, stdout: "", stderr: expect.stringContaining("Another tree") })
    await server.rewrite(() => honest)
    expect((await look()).code).toBe(0)
  })

  it("finds a leaf that was rewritten, or is missing, and a hash that was changed, below a root that stayed", async () => {
    await server.grow(700)
    expect((await look()).code).toBe(0)
    let honest: Uint8Array[] = []
    const change = (leaves: Uint8Array[]) => {
      honest = leaves
      return leaves.with(300, other(leaves[300]!))
    }
    await server.rewrite(change, false)
    expect(await evidenceOf(await look())).toMatchObject({ code: "TAMPERED_FORK", leaf: 300 })
    await server.rewrite(() => honest)
    expect((await look()).code).toBe(0)
    await server.sql("create table aside as select * from leaf where idx = 100; delete from leaf where idx = 100")
    const missing = await evidenceOf(await look())
    expect(missing).toMatchObject({ code: "TAMPERED_LOG", found: expect.stringContaining("Tile entries/0") })
    await server.sql("insert into leaf select * from aside; drop table aside")
    await server.sql("update node set hash = zeroblob(32) where level = 8 and idx = 1")
    const hash = await evidenceOf(await look())
    expect(hash).toMatchObject({ code: "TAMPERED_LOG", expected: expect.stringContaining("level 1, place 1") })
    await server.rewrite(() => honest)
    expect((await look()).code).toBe(0)
  })

  it("finds a log that was cut short", async () => {
    await server.grow(800)
    expect((await look()).code).toBe(0)
    let honest: Uint8Array[] = []
    await server.rewrite((leaves) => {
      honest = leaves
      return leaves.slice(0, 750)
    })
    expect(await evidenceOf(await look())).toMatchObject({
      code: "TAMPERED_ROLLBACK",
      checkpoint: await (await fetch(`${server.url}/log/checkpoint`)).text(),
      pinned: { size: 800, checkpoint: expect.stringContaining("\n800\n") },
    })
    await server.rewrite(() => honest)
    expect((await look()).code).toBe(0)
  })

  it("finds a fork, shorter than what it saw, as long, and longer", async () => {
    await server.grow(900)
    expect((await look()).code).toBe(0)
    const fork = (size: number) => (leaves: Uint8Array[]) =>
      leaves.slice(0, size).map((leaf, i) => (i < 850 ? leaf : other(leaf)))
    let honest: Uint8Array[] = []
    await server.rewrite((leaves) => {
      honest = leaves
      return fork(890)(leaves)
    })
    expect(await evidenceOf(await look())).toMatchObject({ code: "TAMPERED_ROLLBACK" })
    await server.rewrite(() => fork(900)(honest))
    expect(await evidenceOf(await look())).toMatchObject({ code: "TAMPERED_FORK" })
    await server.grow(1000)
    expect(await evidenceOf(await look())).toMatchObject({ code: "TAMPERED_FORK", leaf: 850 })
    await server.rewrite(() => honest)
    expect((await look()).code).toBe(0)
  })

  it("refuses a tag twice, another key, and a server that is another practice's", async () => {
    expect((await look()).code).toBe(0)
    let honest: Uint8Array[] = []
    await server.rewrite((leaves) => {
      honest = leaves
      return [...leaves, new Uint8Array([...leaves[3]!.subarray(0, 32), ...new Uint8Array(32)])]
    })
    const found = await look()
    expect(await evidenceOf(found)).toMatchObject({ code: "TAMPERED_LOG" })
    expect(found.stderr).toContain("The tag of leaf 3 again")
    await server.rewrite(() => honest)
    expect((await look()).code).toBe(0)
    const stranger = await Operated.start()
    const { origin, key } = await server.sheet()
    const asked = { ...env(), HEALTHCRYPT_SERVER: stranger.url }
    expect(
      await evidenceOf(await runCli(["log", "monitor", "--once", "--origin", origin, "--key", key], { env: asked })),
    ).toMatchObject({ code: "TAMPERED_LOG" })
    await stranger.close()
  })

  it("ends with 1 where nobody answers, and with 2 for a command line that says nothing", async () => {
    const nobody = { HEALTHCRYPT_SERVER: "http://127.0.0.1:9", HEALTHCRYPT_HOME: home }
    for (const word of ["monitor", "checkpoint"])
      expect(await runCli(["log", word, ...(word === "monitor" ? ["--once"] : [])], { env: nobody })).toMatchObject({
        code: 1,
        stdout: "",
      })
    expect(existsSync(home) ? await readdir(home) : []).toEqual([])
    for (const args of [
      ["--interval", "0"],
      ["--interval", "x"],
      ["--key", "00"],
      ["--origin", "x"],
      ["--witness"],
      ["--witness", "x"],
      ["--origin", "x", "--key", "00"],
    ])
      expect(await look(...args), args.join(" ")).toMatchObject({ code: 2, stdout: "" })
  })

  it("goes on by itself: one line a change, through a server that is away, until it is told to end", async () => {
    await server.grow(1100)
    const child = spawn(process.execPath, [bin, "log", "monitor", "--interval", "1"], { env: { ...bareEnv, ...env() } })
    const out = { stdout: "", stderr: "" }
    child.stdout.on("data", (chunk) => (out.stdout += chunk))
    child.stderr.on("data", (chunk) => (out.stderr += chunk))
    const gone = new Promise((resolve) => child.once("close", resolve))
    const until = async (which: keyof typeof out, what: string) => {
      for (const end = Date.now() + 20_000; !out[which].includes(what); await new Promise((r) => setTimeout(r, 50)))
        if (Date.now() > end) throw new Error(`no ${what} in ${JSON.stringify(out)}`)
    }
    await until("stdout", "1100 leaves, 1100 new")
    await server.grow(1101)
    await until("stdout", "1101 leaves, 1 new")
    await server.stopped(() => until("stderr", "cannot be reached"))
    await until("stderr", "answers again")
    expect(out.stdout.split("\n")).toHaveLength(3)
    child.kill("SIGTERM")
    expect(await gone).toBe(0)
  })
})

describe("log prove", () => {
  it("proves an entry of a record, and the physician's own identity", { timeout: 240_000 }, async () => {
    const ada = desk(server.url, folder, "ada")
    await ada.register("Ada", "Byron")
    const id = await ada.add({ firstName: "A", lastName: "B", birthDate: "1990-01-01", diagnosis: "Hypertension" })
    await ada.must(["records", "edit", id], { diagnosis: "Hypotension" })
    for (const [args, what] of [
      [[id], "entry       1"],
      [[id, "--seq", "0"], "entry       0"],
      [["--account"], "identity    0"],
    ] as const) {
      const text = await ada.must(["log", "prove", ...args])
      expect(text.startsWith(`${what}\nleaf index  `), text).toBe(true)
      expect(text.endsWith("\nverified\n"), text).toBe(true)
    }
    const proof = JSON.parse(await ada.must(["log", "prove", id, "--json"]))
    expect(proof).toMatchObject({ number: 1, verified: true, size: expect.any(Number) })
    expect(proof.inclusion.length).toBeLessThanOrEqual(Math.ceil(Math.log2(proof.size)))
    const bundle = Math.floor(proof.index / 256)
    const { size } = JSON.parse(await ada.must(["log", "checkpoint", "--json"]))
    const width = Math.min(256, size - bundle * 256)
    const tile = await fetch(
      `${server.url}/log/tile/0/${String(bundle).padStart(3, "0")}${width < 256 ? `.p/${width}` : ""}`,
    )
    const hashes = Buffer.from(await tile.arrayBuffer())
    const at = (proof.index % 256) * 32
    expect(hashes.subarray(at, at + 32).toString("hex")).toBe(proof.leafHash)
    expect(await ada.run(["log", "prove", id, "--seq", "9"])).toMatchObject({ code: 1, stdout: "" })
    expect(await ada.run(["log", "prove"])).toMatchObject({ code: 2 })
    expect(await ada.run(["log", "prove", id, "--account"])).toMatchObject({ code: 2 })
  })
})
