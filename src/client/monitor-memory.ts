import { z } from "zod"
import { sha256 } from "#sha256"
import { encodeHex, equal, utf8 } from "../encoding/bytes.ts"
import { encodeCbor, parseCbor } from "../encoding/cbor.ts"
import { AppError } from "../errors.ts"
import type { TreeHead } from "../proof/checkpoint.ts"
import { leafDataBytes } from "../proof/leaf.ts"
import { emptyRoot, Frontier, leafHash } from "../proof/merkle.ts"
import { bytesOf, count } from "../proof/statement.ts"
import type { LogIdentity } from "./log.ts"
import type { ClientStorage } from "./storage.ts"

/** What a monitor remembers of one log, for ever: its key, the newest checkpoint that held, and the 64 bytes of every leaf.
 *
 * `monitor/<log>/state` is deterministic CBOR and the only thing that counts; `monitor/<log>/leaves-<n>` hold 16,384 leaves each, one after
 * the other. Leaves are written before the state, so a crash leaves more of them than the state speaks of, never fewer. */

const tagBytes = 32
const leavesAFile = 16_384
const maxStateBytes = 65_536

const schema = z.strictObject({
  v: z.literal(1),
  origin: z.string().min(1),
  logKey: bytesOf(32),
  size: count,
  root: bytesOf(32),
  /** The signed checkpoint; empty before the first. */
  note: z.string(),
})
type State = z.output<typeof schema>

/** A leaf that was added carries a tag that an earlier one has. */
export interface Repetition {
  readonly index: number
  readonly earlier: number
}

/** What is known of a log without its leaves: enough to hold a checkpoint against. @returns null where nothing is remembered */
export async function readLogState(storage: ClientStorage, origin: string): Promise<State | null> {
  const bytes = await storage.get(`${folderOf(origin)}/state`)
  if (bytes === null) return null
  try {
    const state = schema.parse(parseCbor(bytes, maxStateBytes))
    if (state.origin === origin) return state
  } catch {
    // falls through to the refusal
  }
  throw damaged()
}

/** Where everything about a log lies: an origin is not always a file name. */
export function folderOf(origin: string): string {
  const name = encodeHex(sha256(utf8(origin)).subarray(0, 16))
  return `monitor/${name}`
}

export class MonitorMemory {
  readonly log: LogIdentity
  readonly #storage: ClientStorage
  readonly #files: Uint8Array[] = []
  readonly #tags = new Map<string, number>()
  readonly #frontier = new Frontier()
  #tree: TreeHead = { size: 0, root: emptyRoot }
  #note = ""

  private constructor(storage: ClientStorage, log: LogIdentity) {
    this.#storage = storage
    this.log = log
  }

  /** Reads what is remembered, and recomputes the root from it; begins anew where there is nothing. The caller holds the lock.
   * @throws CANNOT_OPEN when the files do not fit together, or are another key's */
  static async load(storage: ClientStorage, log: LogIdentity): Promise<MonitorMemory> {
    const memory = new MonitorMemory(storage, log)
    const state = await readLogState(storage, log.origin)
    if (state === null) return memory
    if (!equal(state.logKey, log.logKey)) throw damaged("This machine remembers another key for this log.")
    for (let from = 0; from < state.size; from += leavesAFile) {
      const bytes = await storage.get(fileName(log, from))
      const wanted = Math.min(leavesAFile, state.size - from) * leafDataBytes
      if (bytes === null || bytes.length < wanted) throw damaged()
      memory.add(bytes.subarray(0, wanted))
    }
    if (!equal(memory.#frontier.root(), state.root)) throw damaged()
    memory.#tree = { size: state.size, root: state.root }
    memory.#note = state.note
    return memory
  }

  /** The tree of the newest checkpoint that held. */
  get tree(): TreeHead {
    return this.#tree
  }

  /** That checkpoint, signed; empty before the first. */
  get note(): string {
    return this.#note
  }

  /** Leaves that were added, remembered or not. */
  get size(): number {
    return this.#frontier.size
  }

  /** The root over all leaves that were added. */
  root(): Uint8Array {
    return this.#frontier.root()
  }

  /** The root that the tree had at `size`, recomputed. */
  rootAt(size: number): Uint8Array {
    const frontier = new Frontier()
    while (frontier.size < size) frontier.append(leafHash(this.leaf(frontier.size)))
    return frontier.root()
  }

  /** A leaf's 64 bytes. */
  leaf(index: number): Uint8Array {
    const at = (index % leavesAFile) * leafDataBytes
    return this.#files[Math.floor(index / leavesAFile)]!.subarray(at, at + leafDataBytes)
  }

  /** Adds leaves, 64 B each; nothing is remembered before `keep`. @returns the first tag that was there before, or null */
  add(data: Uint8Array): Repetition | null {
    let repeated: Repetition | null = null
    for (let at = 0; at < data.length; at += leafDataBytes) {
      const leaf = data.subarray(at, at + leafDataBytes)
      const index = this.#frontier.size
      const slot = index % leavesAFile
      if (slot === 0) this.#files.push(new Uint8Array(leavesAFile * leafDataBytes))
      this.#files.at(-1)!.set(leaf, slot * leafDataBytes)
      this.#frontier.append(leafHash(leaf))
      // One character a byte: a tag then takes 32 bytes, and a server cannot choose tags that share a place in the table.
      const tag = String.fromCharCode(...leaf.subarray(0, tagBytes))
      const earlier = this.#tags.get(tag)
      if (earlier === undefined) this.#tags.set(tag, index)
      else repeated ??= { index, earlier }
    }
    return repeated
  }

  /** Remembers all that was added, under the checkpoint that holds it. */
  async keep(tree: TreeHead, note: string): Promise<void> {
    const grown = tree.size > this.#tree.size
    for (let file = Math.floor(this.#tree.size / leavesAFile); grown && file * leavesAFile < tree.size; file++) {
      const from = file * leavesAFile
      const bytes = this.#files[file]!.subarray(0, Math.min(leavesAFile, tree.size - from) * leafDataBytes)
      await this.#storage.put(fileName(this.log, from), bytes)
    }
    const { origin, logKey } = this.log
    const state: State = { v: 1, origin, logKey, size: tree.size, root: tree.root, note }
    await this.#storage.put(`${folderOf(origin)}/state`, encodeCbor(state))
    this.#tree = tree
    this.#note = note
  }
}

function fileName(log: LogIdentity, from: number): string {
  return `${folderOf(log.origin)}/leaves-${from / leavesAFile}`
}

function damaged(why = "What this machine remembers of the log is damaged."): AppError {
  const advice =
    "Keep its files for whoever looks into it, move them away, and begin again with the key of your recovery sheet."
  return new AppError("CANNOT_OPEN", `${why} ${advice}`)
}
