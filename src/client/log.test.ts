import { createPrivateKey, createPublicKey, sign } from "node:crypto"
import { beforeEach, describe, expect, it } from "vitest"
import { concat, u32be, utf8 } from "../encoding/bytes.ts"
import { idFromBytes, type PhysicianId, type PracticeId } from "../encoding/ids.ts"
import { encodeCheckpoint, encodeNote, logOrigin } from "../proof/checkpoint.ts"
import { type Leaf, leafData } from "../proof/leaf.ts"
import { consistencyRanges, Frontier, inclusionRanges, type LeafRange, leafHash } from "../proof/merkle.ts"
import type { LogState } from "../protocol/log.ts"
import { newSecretKey } from "../vault/keys.ts"
import { LogView } from "./log.ts"
import { Pins } from "./pins.ts"
import { memoryStorage } from "./storage.fixture.ts"

const practice = idFromBytes<"practice">(new Uint8Array(16)) as PracticeId
const physician = idFromBytes<"physician">(new Uint8Array(16).fill(1)) as PhysicianId
const origin = logOrigin(practice)
const seed = (n: number) => {
  const der = concat(Buffer.from("302e020100300506032b657004220420", "hex"), new Uint8Array(32).fill(n))
  return createPrivateKey({ key: Buffer.from(der), format: "der", type: "pkcs8" })
}
const own = seed(1)
const logKey = new Uint8Array(createPublicKey(own).export({ type: "spki", format: "der" }).subarray(-32))

/** A server's log, with whatever leaves it pleases. */
class Log {
  readonly leaves: Uint8Array[]

  constructor(...names: readonly string[]) {
    this.leaves = names.map((name) => leafHash(utf8(name)))
  }

  root({ from, to }: LeafRange = { from: 0, to: this.leaves.length }): Uint8Array {
    const tree = new Frontier()
    for (const leaf of this.leaves.slice(from, to)) tree.append(leaf)
    return tree.root()
  }

  /** What an answer says to a client that named `since`. */
  state(since: number, key = own): LogState {
    const checkpoint = { origin, size: this.leaves.length, root: this.root() }
    const signature = new Uint8Array(sign(null, utf8(encodeCheckpoint(checkpoint)), key))
    const consistency = since > checkpoint.size ? [] : consistencyRanges(since, checkpoint.size)
    return {
      checkpoint: encodeNote(checkpoint, logKey, signature),
      consistency: consistency.map((one) => this.root(one)),
    }
  }
}

let pins: Pins
let view: LogView
beforeEach(async () => {
  pins = await Pins.load(memoryStorage(), newSecretKey<"physician">(), practice, physician)
  view = new LogView({ origin, logKey }, pins)
})

const take = (log: Log, key = own) =>
  view.exchange(
    async (from) => log.state(from.size, key),
    (answer) => answer,
  )

describe("a client's view of the log", () => {
  it("moves from one tree to a larger one that holds it", async () => {
    for (const log of [
      new Log("a"),
      new Log("a", "b", "c"),
      new Log("a", "b", "c"),
      new Log("a", "b", "c", "d", "e"),
    ]) {
      await take(log)
      expect(pins.tree).toEqual({ size: log.leaves.length, root: log.root() })
    }
  })

  it("refuses a smaller tree, another of the same size, and a larger one that does not hold it", async () => {
    await take(new Log("a", "b", "c"))
    const before = pins.tree
    const cases = [
      [new Log("a", "b"), "TAMPERED_ROLLBACK"],
      [new Log(), "TAMPERED_ROLLBACK"],
      [new Log("a", "b", "x"), "TAMPERED_FORK"],
      [new Log("a", "x", "c", "d"), "TAMPERED_FORK"],
      [new Log("x", "b", "c", "d", "e", "f"), "TAMPERED_FORK"],
    ] as const
    for (const [log, code] of cases) {
      view = new LogView({ origin, logKey }, pins)
      await expect(take(log), code).rejects.toMatchObject({ code })
      // Whatever the server says from now on: nothing more is asked of it.
      await expect(take(new Log("a", "b", "c", "d"))).rejects.toMatchObject({ code })
      expect(view.refusal).toMatchObject({ error: { code }, pinned: before })
    }
    expect(pins.tree).toEqual(before)
  })

  it("refuses a checkpoint that another key signed, or that is another log's", async () => {
    await expect(take(new Log("a"), seed(2))).rejects.toMatchObject({ code: "TAMPERED_LOG" })
    const elsewhere = new LogView({ origin: `${origin}/1`, logKey }, pins)
    await expect(elsewhere.prove(pins.tree, new Log("a").state(0))).rejects.toMatchObject({ code: "TAMPERED_LOG" })
    expect(pins.tree.size).toBe(0)
  })

  it("runs one exchange at a time, so that each proves itself against the last", async () => {
    const log = new Log("a")
    const grow = () =>
      view.exchange(
        async (from) => {
          const state = log.state(from.size)
          await new Promise((resolve) => setTimeout(resolve, 1))
          log.leaves.push(leafHash(u32be(log.leaves.length)))
          return state
        },
        (answer) => answer,
      )
    const trees = await Promise.all([grow(), grow(), grow()])
    expect(trees.map(({ tree }) => tree.size)).toEqual([1, 2, 3])
  })

  it("goes on after an exchange that failed", async () => {
    const failing = view.exchange(
      () => Promise.reject(new Error("no answer")),
      (answer: LogState) => answer,
    )
    await expect(failing).rejects.toThrow("no answer")
    await take(new Log("a"))
    expect(pins.tree.size).toBe(1)
  })
})

describe("a receipt", () => {
  const leaf: Omit<Leaf, "salt" | "time"> = {
    subject: physician,
    actor: physician,
    stream: "keyring",
    type: "keyring",
    number: 3,
    statementHash: new Uint8Array(32).fill(3),
  }
  const info = { index: 2, time: 1_795_425_240_000, salt: new Uint8Array(16).fill(4) }

  it("is for this very leaf, at its place, in the tree that was verified", () => {
    const log = new Log("a", "b")
    log.leaves.push(leafHash(leafData({ ...leaf, ...info })))
    log.leaves.push(leafHash(utf8("d")))
    const inclusion = inclusionRanges(2, 4).map((range) => log.root(range))
    const tree = { size: 4, root: log.root() }
    view.checkLeaf(info, inclusion, leaf, tree)
    const refused = expect.objectContaining({ code: "TAMPERED_LOG" })
    const wrong = [
      () => view.checkLeaf({ ...info, index: 1 }, inclusion, leaf, tree),
      () => view.checkLeaf({ ...info, time: info.time + 1 }, inclusion, leaf, tree),
      () => view.checkLeaf({ ...info, salt: new Uint8Array(16) }, inclusion, leaf, tree),
      () => view.checkLeaf(info, inclusion.slice(1), leaf, tree),
      () => view.checkLeaf(info, inclusion, { ...leaf, number: 4 }, tree),
      () => view.checkLeaf(info, inclusion, { ...leaf, statementHash: new Uint8Array(32) }, tree),
      () => view.checkLeaf(info, inclusion, leaf, { ...tree, size: 3 }),
      () => view.checkLeaf(info, inclusion, leaf, { ...tree, root: new Uint8Array(32) }),
    ]
    for (const check of wrong) expect(check).toThrow(refused)
  })
})
