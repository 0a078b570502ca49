import { encodeBase64 } from "../encoding/base64.ts"
import { encodeHex, equal, utf8 } from "../encoding/bytes.ts"
import { AppError } from "../errors.ts"
import { type Checkpoint, openNote, type TreeHead } from "../proof/checkpoint.ts"
import { leafDataBytes } from "../proof/leaf.ts"
import { leafHash } from "../proof/merkle.ts"
import { type AskedWitness, hearWitness } from "./ask-witness.ts"
import type { LogIdentity } from "./log.ts"
import { demandPrefix, demandSuccessor, findingOf, forked, inconsistent, openCheckpoint } from "./log-findings.ts"
import { encodeLogKey } from "./log-target.ts"
import { folderOf, MonitorMemory } from "./monitor-memory.ts"
import type { ClientStorage } from "./storage.ts"
import { fetchCheckpoint, fetchHashes, fetchLeaves, foldTile, tileWidth } from "./tiles.ts"
import type { Send } from "./transport.ts"

/** Follows a log from the last checkpoint that held, leaf by leaf, and never lets it take anything back. */

const hashBytes = 32
const followsAtOnce = 5

export interface MonitorOptions {
  readonly storage: ClientStorage
  readonly log: LogIdentity
  /** Those who have to have cosigned every checkpoint. */
  readonly witnesses: readonly AskedWitness[]
  /** Milliseconds since 1970. */
  readonly now: () => number
}

/** What one round found, all of it as it has to be. */
export interface Round {
  readonly before: number
  readonly tree: TreeHead
  /** base64 */
  readonly root: string
  /** How many leaves were fetched again and are what they were. */
  readonly audited: number
}

/** Runs work with a monitor of its own on this log: nobody else on this machine follows it meanwhile. */
export function withMonitor<T>(options: MonitorOptions, work: (monitor: Monitor) => Promise<T>): Promise<T> {
  const { storage, log } = options
  return storage.exclusive(`${folderOf(log.origin)}/state`, async () =>
    work(new Monitor(options, await MonitorMemory.load(storage, log))),
  )
}

class Monitor {
  readonly #options: MonitorOptions
  #memory: MonitorMemory
  #note = ""

  constructor(options: MonitorOptions, memory: MonitorMemory) {
    this.#options = options
    this.#memory = memory
  }

  get tree(): TreeHead {
    return this.#memory.tree
  }

  /** Fetches the newest checkpoint, and every leaf that it adds.
   * @param audit also fetches every leaf and hash tile that is known, and holds them against memory
   * @throws TAMPERED_…, with a finding: memory stays as it was; UNAVAILABLE_… when no answer came */
  async round(send: Send, audit: boolean): Promise<Round> {
    const { storage, log } = this.#options
    // What a refused round has added is forgotten again.
    if (this.#memory.size !== this.#memory.tree.size) this.#memory = await MonitorMemory.load(storage, log)
    this.#note = ""
    this.#note = await fetchCheckpoint(send)
    return this.#follow(send, audit, 0)
  }

  async #follow(send: Send, audit: boolean, again: number): Promise<Round> {
    const memory = this.#memory
    const tree = await openCheckpoint(this.#note, this.#options.log)
    const before = memory.tree
    demandSuccessor(before, tree)
    for await (const { data } of fetchLeaves(send, memory.size, tree.size)) {
      const repeated = memory.add(data)
      if (repeated !== null) throw repetition(repeated.index, repeated.earlier, memory)
    }
    if (!equal(memory.root(), tree.root)) throw await this.#explain(send, before, tree)
    if (audit) {
      await this.#auditLeaves(send, before.size, tree.size)
      await this.#auditHashes(send, tree.size)
    }
    let note = this.#note
    for (const witness of this.#options.witnesses) {
      const heard = await this.#hear(send, witness, tree)
      // It has cosigned more than the checkpoint that was fetched before it was asked.
      if (heard === null && again < followsAtOnce) return this.#follow(send, audit, again + 1)
      if (heard === null) throw new AppError("UNAVAILABLE", "The log grows faster than its witness can be asked.")
      note += heard
    }
    if (tree.size !== before.size || note !== memory.note) await memory.keep({ size: tree.size, root: tree.root }, note)
    return { before: before.size, tree, root: encodeBase64(tree.root), audited: audit ? before.size : 0 }
  }

  /** What a witness says of a tree whose leaves are all known. @returns its own lines that the checkpoint lacks; null where the server has
   * a newer checkpoint by now, which is fetched, because the witness has already seen that one */
  async #hear(send: Send, witness: AskedWitness, tree: Checkpoint): Promise<string | null> {
    const word = await hearWitness(send, witness, this.#note, tree, this.#memory.tree.size)
    if (word.kind === "cosigned") return word.lines
    const { log } = this.#options
    const theirs = await openNote(word.note, log.origin, log.logKey).catch((cause) => {
      throw new AppError("UNAVAILABLE", `What ${witness.key.name} shows is no checkpoint of this log.`, { cause })
    })
    if (theirs.size > tree.size) {
      const newest = await fetchCheckpoint(send)
      const found = await openCheckpoint(newest, log)
      if (found.size < theirs.size)
        throw inconsistent(
          "TAMPERED_ROLLBACK",
          `At least the ${theirs.size} leaves that ${witness.key.name} has cosigned.`,
          `A signed checkpoint of ${found.size} leaves.`,
          { witnessed: word.note },
        )
      this.#note = newest
      return null
    }
    const root = this.#memory.rootAt(theirs.size)
    if (equal(root, theirs.root)) await this.#auditHashes(send, tree.size)
    throw inconsistent(
      "TAMPERED_FORK",
      `The root ${encodeBase64(root)} of ${theirs.size} leaves.`,
      `Another signed root of as many leaves, which ${witness.key.name} has cosigned: ${encodeBase64(theirs.root)}.`,
      { witnessed: word.note },
    )
  }

  /** Why the known leaves and the new ones do not lead to the signed root. */
  async #explain(send: Send, before: TreeHead, tree: TreeHead): Promise<AppError> {
    try {
      await this.#auditLeaves(send, before.size, tree.size)
      await demandPrefix(send, before, tree)
    } catch (error) {
      if (!(error instanceof AppError)) throw error
      return error.is("TAMPERED") ? error : forked(before, tree)
    }
    return inconsistent(
      "TAMPERED_LOG",
      `The leaves of a tree of ${tree.size} whose signed root is ${encodeBase64(tree.root)}.`,
      "Other leaves than those that the log's hashes were made from.",
    )
  }

  /** Every leaf that was known, as the server gives it now. */
  async #auditLeaves(send: Send, known: number, size: number): Promise<void> {
    if (known === 0) return
    for await (const { from, data } of fetchLeaves(send, 0, size)) {
      for (let i = 0; i < data.length / leafDataBytes && from + i < known; i++) {
        const now = data.subarray(i * leafDataBytes, (i + 1) * leafDataBytes)
        if (!equal(now, this.#memory.leaf(from + i))) throw rewritten(from + i, this.#memory.leaf(from + i), now)
      }
      if (from + data.length / leafDataBytes >= known) return
    }
  }

  /** Every hash tile, held against the hashes of the leaves. */
  async #auditHashes(send: Send, size: number): Promise<void> {
    let below = (index: number): Uint8Array => leafHash(this.#memory.leaf(index))
    for (let level = 0, count = size; count > 0; level++) {
      const roots: Uint8Array[] = []
      let at = 0
      for await (const tile of fetchHashes(send, level, size)) {
        const hashes = Array.from({ length: tile.length / hashBytes }, (_, i) => below(at + i))
        const wrong = hashes.findIndex((hash, i) => !equal(hash, tile.subarray(i * hashBytes, (i + 1) * hashBytes)))
        if (wrong >= 0)
          throw inconsistent(
            "TAMPERED_LOG",
            `The hash ${encodeBase64(hashes[wrong]!)} at level ${level}, place ${at + wrong}, of the log's tiles.`,
            `The hash ${encodeBase64(tile.subarray(wrong * hashBytes, (wrong + 1) * hashBytes))}.`,
          )
        if (hashes.length === tileWidth) roots.push(foldTile(hashes))
        at += hashes.length
      }
      below = (index) => roots[index]!
      count = roots.length
    }
  }

  /** Stores what was expected and what came, for whoever looks into it. @returns its name in the storage */
  async keepEvidence(error: AppError): Promise<string> {
    const { storage, log, now } = this.#options
    const { tree, note } = this.#memory
    const { expected, found, details } = findingOf(error)
    const time = new Date(now()).toISOString()
    const pinned = { size: tree.size, root: encodeBase64(tree.root), checkpoint: note }
    const about = {
      healthcrypt: "evidence",
      version: 1,
      code: error.code,
      time,
      origin: log.origin,
      logKey: encodeLogKey(log.logKey),
    }
    const evidence = { ...about, expected, found, pinned, checkpoint: this.#note, ...details }
    const name = `${folderOf(log.origin)}/evidence-${time.replaceAll(/[-:.]/g, "")}.json`
    await storage.put(name, utf8(`${JSON.stringify(evidence, null, 2)}\n`))
    return name
  }
}

export type { Monitor }

function repetition(index: number, earlier: number, memory: MonitorMemory): AppError {
  const leaves = { [earlier]: encodeHex(memory.leaf(earlier)), [index]: encodeHex(memory.leaf(index)) }
  return inconsistent("TAMPERED_LOG", "Every tag once.", `The tag of leaf ${earlier} again, in leaf ${index}.`, {
    leaves,
  })
}

function rewritten(index: number, was: Uint8Array, is: Uint8Array): AppError {
  const found = `Another leaf ${index}: it was rewritten after this machine had seen it.`
  return inconsistent("TAMPERED_FORK", `Leaf ${index} as it was.`, found, {
    leaf: index,
    was: encodeHex(was),
    is: encodeHex(is),
  })
}
