import { generateKeyPairSync, sign } from "node:crypto"
import { describe, expect, it } from "vitest"
import { parseUtf8 } from "../encoding/bytes.ts"
import { AppError } from "../errors.ts"
import { encodeCheckpoint } from "../proof/checkpoint.ts"
import { signCosignature } from "../proof/cosignature.ts"
import { encodeVkey, noteTypes } from "../proof/note.ts"
import { parseWitness } from "./ask-witness.ts"
import { findingOf } from "./log-findings.ts"
import { leafNamed, MadeLog } from "./made-log.fixture.ts"
import { withMonitor } from "./monitor.ts"
import { memoryStorage } from "./storage.fixture.ts"
import type { ClientStorage } from "./storage.ts"

const now = () => Date.parse("2026-11-23T09:14:00Z")
const looks = (storage: ClientStorage, log: MadeLog, served = log, audit = true, witnesses: readonly string[] = []) =>
  withMonitor(
    { storage, log: log.log, witnesses: witnesses.map((vkey) => ({ key: parseWitness(vkey), at: null })), now },
    async (monitor) => {
      try {
        return await monitor.round(served.send, audit)
      } catch (error) {
        if (!(error instanceof AppError && error.is("TAMPERED"))) throw error
        const evidence = JSON.parse(parseUtf8((await storage.get(await monitor.keepEvidence(error)))!))
        return { code: error.code, ...findingOf(error), evidence }
      }
    },
  )

describe("a monitor", () => {
  it.each([0, 1, 300, 16_384 + 5])("follows a log of %i leaves that grows, from its beginning on", async (size) => {
    const storage = memoryStorage()
    const log = new MadeLog().grow(size)
    expect(await looks(storage, log)).toMatchObject({ before: 0, tree: log.tree(), audited: 0 })
    log.grow(270)
    expect(await looks(storage, log)).toMatchObject({ before: size, tree: log.tree(), audited: size })
    expect(await looks(storage, log)).toMatchObject({ before: size + 270, tree: log.tree() })
  })

  it("fetches only what is new, where it is not told to look at everything", async () => {
    const storage = memoryStorage()
    const log = new MadeLog().grow(1000)
    await looks(storage, log)
    log.asked.length = 0
    log.grow(10)
    await looks(storage, log, log, false)
    expect(log.asked).toEqual(["/log/checkpoint", "/log/tile/entries/003.p/242"])
  })

  it("remembers every leaf in files that only grow, under a state that comes last", async () => {
    const stored = new Map<string, Uint8Array>()
    const log = new MadeLog().grow(16_384 + 100)
    await looks(memoryStorage(stored), log)
    const sizes = [...stored].map(([name, bytes]) => [name.replace(/^monitor\/[0-9a-f]{32}\//, ""), bytes.length])
    expect(sizes.slice(0, 2)).toEqual([
      ["leaves-0", 1_048_576],
      ["leaves-1", 6400],
    ])
    expect(sizes[2]![0]).toBe("state")
    const name = [...stored.keys()][0]!
    stored.set(name, stored.get(name)!.with(70_000, 1 ^ stored.get(name)![70_000]!))
    await expect(looks(memoryStorage(stored), log)).rejects.toMatchObject({ code: "CANNOT_OPEN" })
  })

  it("finds a leaf rewritten below its checkpoint, whether or not the tree was signed again", async () => {
    const storage = memoryStorage()
    const log = new MadeLog().grow(600)
    await looks(storage, log)
    const signedAgain = log.fork()
    signedAgain.rewrite(17, leafNamed("another"))
    expect(await looks(storage, log, signedAgain)).toMatchObject({ code: "TAMPERED_FORK" })
    signedAgain.grow(5)
    const found = await looks(storage, log, signedAgain, false)
    expect(found).toMatchObject({ code: "TAMPERED_FORK", found: expect.stringContaining("leaf 17") })
    expect(found).toMatchObject({ evidence: { leaf: 17, pinned: { size: 600, checkpoint: log.note() } } })

    log.lie = (path, honest) =>
      path === "/log/tile/entries/000"
        ? { ...honest, body: honest.body.with(2 + 17 * 66, 1 ^ honest.body[2 + 17 * 66]!) }
        : honest
    expect(await looks(storage, log, log, false)).toMatchObject({ before: 600 })
    expect(await looks(storage, log)).toMatchObject({ code: "TAMPERED_FORK", evidence: { leaf: 17 } })
    log.lie = (path, honest) =>
      path === "/log/tile/0/001" ? { ...honest, body: honest.body.with(5, 1 ^ honest.body[5]!) } : honest
    expect(await looks(storage, log)).toMatchObject({
      code: "TAMPERED_LOG",
      expected: expect.stringContaining("level 0, place 256"),
    })
    log.lie = (path, honest) =>
      path === "/log/tile/1/000.p/2" ? { ...honest, body: honest.body.with(40, 1 ^ honest.body[40]!) } : honest
    expect(await looks(storage, log)).toMatchObject({
      code: "TAMPERED_LOG",
      expected: expect.stringContaining("level 1, place 1"),
    })
  })

  it("finds a log cut short, and a fork, and keeps what it had", async () => {
    const storage = memoryStorage()
    const log = new MadeLog().grow(500)
    await looks(storage, log)
    expect(await looks(storage, log, log.fork(499))).toMatchObject({
      code: "TAMPERED_ROLLBACK",
      evidence: { checkpoint: log.note(499), pinned: { size: 500, checkpoint: log.note() } },
    })
    const fork = log.fork(400).grow(100, (i) => `fork ${i}`)
    expect(await looks(storage, log, fork)).toMatchObject({ code: "TAMPERED_FORK" })
    fork.grow(1000)
    expect(await looks(storage, log, fork)).toMatchObject({ code: "TAMPERED_FORK" })
    log.grow(3)
    expect(await looks(storage, log)).toMatchObject({ before: 500, tree: log.tree() })
  })

  it("finds a fork whose operator shows the old leaves beside the new tree", async () => {
    const storage = memoryStorage()
    const log = new MadeLog().grow(300)
    await looks(storage, log)
    const fork = log.fork(256).grow(150, (i) => `fork ${i}`)
    fork.lie = (path, honest) => {
      if (!path.startsWith("/log/tile/entries/001")) return honest
      const old = Buffer.concat(log.leaves.slice(256).flatMap((leaf) => [Buffer.of(0, 64), leaf]))
      return { ...honest, body: new Uint8Array(Buffer.concat([old, honest.body.subarray(old.length)])) }
    }
    expect(await looks(storage, log, fork)).toMatchObject({ code: "TAMPERED_FORK" })
  })

  it("forgets what a refused look has brought", async () => {
    const log = new MadeLog().grow(600)
    const flip = (body: Uint8Array) => body.with(100, 1 ^ body[100]!)
    await withMonitor({ storage: memoryStorage(), log: log.log, witnesses: [], now }, async (monitor) => {
      log.lie = (path, honest) => (path.includes("entries/001") ? { ...honest, body: flip(honest.body) } : honest)
      await expect(monitor.round(log.send, false)).rejects.toMatchObject({ code: "TAMPERED_LOG" })
      log.lie = (_, honest) => honest
      expect(await monitor.round(log.send, false)).toMatchObject({ before: 0, tree: log.tree() })
    })
  })

  it("refuses a tag twice, however far apart", async () => {
    const storage = memoryStorage()
    const log = new MadeLog().grow(700)
    await looks(storage, log)
    const again = new Uint8Array(Buffer.concat([log.leaves[3]!.subarray(0, 32), new Uint8Array(32)]))
    log.grow(9)
    log.leaves.push(again)
    expect(await looks(storage, log)).toMatchObject({
      code: "TAMPERED_LOG",
      found: expect.stringContaining("leaf 3 again, in leaf 709"),
    })
    const fresh = new MadeLog().grow(2)
    fresh.leaves.push(fresh.leaves[0]!)
    expect(await looks(memoryStorage(), fresh)).toMatchObject({
      code: "TAMPERED_LOG",
      evidence: { pinned: { size: 0 } },
    })
  })

  it("refuses another origin, another key, and leaves that do not lead to the signed root", async () => {
    const log = new MadeLog().grow(20)
    const looked = (served: MadeLog) => looks(memoryStorage(), log, served)
    expect(await looked(new MadeLog("healthcrypt/AAAAAAAAAAAAAAAAAAAAAA/1").grow(20))).toMatchObject({
      code: "TAMPERED_LOG",
    })
    expect(await looked(new MadeLog(log.origin, 8).grow(20))).toMatchObject({ code: "TAMPERED_LOG" })
    const other = log.fork()
    other.lie = (path, honest) =>
      path.includes("entries") ? { ...honest, body: honest.body.with(9, 1 ^ honest.body[9]!) } : honest
    expect(await looked(other)).toMatchObject({ code: "TAMPERED_LOG", found: expect.stringContaining("Other leaves") })
  })

  it("goes on after a server that was silent, from where it stood", async () => {
    const storage = memoryStorage()
    const log = new MadeLog().grow(300)
    await looks(storage, log)
    log.grow(600)
    log.lie = (path, honest) => (path.includes("entries/003") ? { status: 503, body: new Uint8Array() } : honest)
    await withMonitor({ storage, log: log.log, witnesses: [], now }, async (monitor) => {
      await expect(monitor.round(log.send, false)).rejects.toMatchObject({ code: "UNAVAILABLE" })
      log.lie = (_, honest) => honest
      expect(await monitor.round(log.send, false)).toMatchObject({ before: 300, tree: log.tree() })
    })
  })

  it("demands the cosignatures that it was told to", async () => {
    const { publicKey, privateKey } = generateKeyPairSync("ed25519")
    const raw = new Uint8Array(publicKey.export({ type: "spki", format: "der" }).subarray(-32))
    const key = { name: "witness.example/w1", type: noteTypes.cosignature, publicKey: raw }
    const log = new MadeLog().grow(3)
    expect(await looks(memoryStorage(), log, log, false, [encodeVkey(key)])).toMatchObject({ code: "TAMPERED_LOG" })
    const text = encodeCheckpoint({ origin: log.origin, ...log.tree() })
    log.cosignatures = await signCosignature(
      key,
      text,
      1_800_000_000,
      (message) => new Uint8Array(sign(null, message, privateKey)),
    )
    expect(await looks(memoryStorage(), log, log, false, [encodeVkey(key)])).toMatchObject({ before: 0 })
    expect(() => parseWitness(encodeVkey({ ...key, type: noteTypes.text }))).toThrow("of a log")
  })
})
