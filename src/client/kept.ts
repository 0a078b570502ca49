import { z } from "zod"
import { sha256 } from "#sha256"
import { encodeBase64url } from "../encoding/base64.ts"
import { utf8 } from "../encoding/bytes.ts"
import { encodeCbor } from "../encoding/cbor.ts"
import { isId, type RecordId } from "../encoding/ids.ts"
import { parseChainHead } from "../proof/chain-head.ts"
import type { Member } from "../proof/entry.ts"
import { anyBytes, bytesOf, count, type Signed } from "../proof/statement.ts"
import { KeptFiles, mostBytes } from "./kept-files.ts"
import { KeptOwn, ownSchema } from "./kept-own.ts"
import { type Line, lineName, readLine } from "./line.ts"
import { entryOf, isRefusedAlone, type OwnEntry, wasRefused } from "./own-entry.ts"
import type { Roster } from "./roster.ts"
import type { RosterRow } from "./roster-row.ts"
import type { Session } from "./session.ts"

const signed = z.strictObject({ statement: anyBytes, signature: anyBytes })
/** Record, seq, hash, leaf, epoch, what the record is called, and the chain head where it has other members; as the roster has them. */
const headTuple = z.tuple([z.custom<RecordId>(isId), count, z.string(), count, count, z.string(), z.string()])
const headsSchema = z.strictObject({
  v: z.literal(1),
  /** The restores that led to the log that these are of. */
  line: z.array(signed),
  restores: count,
  heads: z.array(headTuple),
})
const decidedSchema = z.strictObject({
  v: z.literal(1),
  line: z.array(signed),
  restores: count,
  /** SHA-256 of each entry's statement. */
  hashes: z.array(bytesOf(32)),
})

export interface KeptHead {
  readonly record: RecordId
  readonly seq: number
  /** base64url */
  readonly hash: string
  readonly leaf: number
  readonly epoch: number
  /** Family name, given names; for the physician's eyes alone. */
  readonly name: string
  /** The chain head as text; empty where the physician is alone. */
  readonly chain: string
}

/** Who read each record in a former log, by the newest that a device knows of it: a head that it kept, or an entry of its own. */
export interface FormerReaders {
  readonly line: Line
  readonly readers: ReadonlyMap<RecordId, { readonly leaf: number; readonly members: readonly Member[] }>
}

/** What a device remembers of a log that the practice does not have any more. */
export interface Former {
  readonly line: Line
  /** How many restores this device had taken by then: of two logs, the one with more is the later. */
  readonly restores: number
  readonly heads: readonly KeptHead[]
  readonly own: readonly OwnEntry[]
}

/** What a device keeps for the day when the server is put back to an earlier state: every head, and what the physician wrote on it. Sealed
 * under the physician key. What was written is kept for 30 days, up to 16 MiB, or, after 7 days, until the server says that a verified backup
 * holds it.
 * Format: docs/formats/roster.md */
export class Kept {
  readonly #session: Session
  readonly #files: KeptFiles
  readonly own: KeptOwn
  #formerReaders: Promise<FormerReaders[]> | null = null
  #decided: ReadonlySet<string> = new Set()

  constructor(session: Session) {
    this.#session = session
    this.#files = new KeptFiles(session)
    this.own = new KeptOwn(session, this.#files)
  }

  /** See {@link KeptOwn.flush}. */
  flush(): Promise<void> {
    return this.own.flush()
  }

  /** Keeps every head as the roster has it now. What is kept goes forward alone: another tab may have seen more, and a record that this roster
   * is without stays, unless the physician was seen to leave it. Nothing is kept of a roster that is not complete. */
  keepHeads({ isComplete, rows, leftAt }: Pick<Roster, "isComplete" | "rows" | "leftAt">): Promise<void> {
    const { log, pins, around } = this.#session
    const keep = async () => {
      if (!isComplete || pins.held || log.refusal !== null) return
      const before = await around.storage.list(`${this.#files.folder}/heads-`)
      const seen = Array.from(rows.values(), headOf)
      const same = this.#nameOf(seen)
      // Of several files, the last one says that all are there.
      if (before.includes(same) && before.every((one) => one.startsWith(same))) return
      const opened = new Map<string, readonly KeptHead[]>()
      for (const one of before) {
        const file = await this.#files.open(one, "heads", headsSchema)
        if (file !== null) opened.set(one, file.heads.map(headIn))
      }
      const stay = [...opened.values()].flat().filter(({ record, seq }) => seq > (leftAt.get(record) ?? -1))
      const heads = newestOf([...stay, ...seen])
      const name = this.#nameOf(heads)
      if (!opened.has(name)) {
        const parts = this.#inParts(heads)
        if (parts.length === 0) return
        for (const [i, part] of parts.entries())
          await this.#files.put(i === parts.length - 1 ? name : `${name}-${i}`, "heads", part)
      }
      // What does not open may hold more.
      for (const old of opened.keys()) if (!old.startsWith(name)) await around.storage.delete(old)
    }
    return this.own.inTurn(() => this.#files.alone(keep)).catch(() => {})
  }

  /** What is kept of other logs than the one that this session stands on, the newest first. */
  async former(): Promise<Former[]> {
    const { storage } = this.#session.around
    const { root, folder: here } = this.#files
    const names = (await storage.list(`${root}/`)).filter((name) => !name.startsWith(`${here}/`))
    const folders = [...new Set(names.map((name) => name.slice(0, name.lastIndexOf("/"))))]
    const all = await Promise.all(folders.map((folder) => this.#read(folder, names)))
    return all.filter((one) => one !== null).sort((a, b) => b.restores - a.restores)
  }

  /** What is left of the physician's own entries in former logs, by the names of their files: another text where another one is left, and none
   * where none is. */
  async formerOwn(): Promise<string> {
    const { root, folder: here } = this.#files
    const names = await this.#session.around.storage.list(`${root}/`)
    const own = names.filter((name) => !name.startsWith(`${here}/`) && /\/(own|sent)-[^/.]+$/.test(name))
    return own.length === 0 ? "" : encodeBase64url(sha256(utf8(own.sort().join("\n"))))
  }

  /** The same of {@link Kept.former}'s lists of readers, read once: nothing is added to a former log. */
  formerReaders(): Promise<FormerReaders[]> {
    this.#formerReaders ??= this.former().then((all) => all.map(readersOf))
    return this.#formerReaders
  }

  /** Notes an entry by which the physician decided on this device who may read a record: seen by them with all that this device knew. Where it
   * cannot be noted, they are asked once more. */
  noteDecided(hash: Uint8Array): Promise<void> {
    const note = async () => {
      const { folder, log } = this.#files
      const name = `${folder}/decided`
      const hashes = [...((await this.#files.open(name, "decided", decidedSchema))?.hashes ?? []), hash]
      await this.#files.put(name, "decided", encodeCbor({ v: 1, ...log, hashes }))
    }
    return this.#files.alone(note).catch(() => {})
  }

  /** Whether an entry was noted so, in this log or a former one. */
  async hasDecided(hash: Uint8Array): Promise<boolean> {
    const key = encodeBase64url(hash)
    // Another tab may have noted it since.
    if (!this.#decided.has(key)) this.#decided = await this.#readDecided()
    return this.#decided.has(key)
  }

  async #readDecided(): Promise<ReadonlySet<string>> {
    const names = await this.#session.around.storage.list(`${this.#files.root}/`)
    const files = names.filter((name) => name.endsWith("/decided"))
    const read = await Promise.all(files.map((name) => this.#files.open(name, "decided", decidedSchema)))
    return new Set(read.flatMap((file) => file?.hashes ?? []).map(encodeBase64url))
  }

  /** Forgets own entries of a former log: see {@link KeptOwn.done}. */
  done({ line }: Former, entries: readonly OwnEntry[]): Promise<void> {
    return this.own.done(`${this.#files.root}/${lineName(line)}`, entries)
  }

  /** Runs work that sends again what a restore took back: one tab or process at a time. */
  alone<T>(work: () => Promise<T>): Promise<T> {
    return this.#session.around.storage.exclusive(`again/${this.#session.physician}`, work)
  }

  async #read(folder: string, names: readonly string[]): Promise<Former | null> {
    const heads: KeptHead[] = []
    const own: { name: string; entries: OwnEntry[] }[] = []
    let line: readonly Signed[] | null = null
    let restores = 0
    for (const name of names.filter((one) => one.startsWith(`${folder}/`))) {
      const file = name.startsWith(`${folder}/heads-`)
        ? await this.#files.open(name, "heads", headsSchema)
        : await this.#files.open(name, "own", ownSchema)
      if (file === null) continue
      line = file.line
      restores = Math.max(restores, file.restores)
      if ("entries" in file) own.push({ name, entries: file.entries })
      else for (const head of file.heads) heads.push(headIn(head))
    }
    if (line === null) return null
    return { line: await readLine(line), restores, heads: newestOf(heads), own: this.own.entriesOf(own) }
  }

  /** Heads as contents that each fit into a file. */
  #inParts(heads: readonly KeptHead[]): Uint8Array<ArrayBuffer>[] {
    const tuples = heads.map((one) => [one.record, one.seq, one.hash, one.leaf, one.epoch, one.name, one.chain])
    const content = encodeCbor({ v: 1, ...this.#files.log, heads: tuples })
    if (content.length <= mostBytes || heads.length === 1) return content.length <= mostBytes ? [content] : []
    const half = heads.length >> 1
    return [...this.#inParts(heads.slice(0, half)), ...this.#inParts(heads.slice(half))]
  }

  /** A name for a file of just these heads. */
  #nameOf(heads: readonly KeptHead[]): string {
    const lines = heads.map(({ record, seq, hash }) => `${record} ${seq} ${hash}\n`).sort()
    return `${this.#files.folder}/heads-${encodeBase64url(sha256(utf8(lines.join(""))).subarray(0, 12))}`
  }
}

/** By number: a leaf is only known to be at most so high. Of what was not seen in the log nobody knows that a backup holds it. */
function readersOf(former: Former): FormerReaders {
  const { line, heads, own } = former
  const readers = new Map<RecordId, { seq: number; leaf: number; members: readonly Member[] }>()
  for (const { record, seq, leaf, chain } of heads)
    readers.set(record, { seq, leaf, members: chain === "" ? [] : parseChainHead(chain).members })
  for (const one of own) {
    const { record, seq, leaf = Number.MAX_SAFE_INTEGER } = one
    if (seq <= (readers.get(record)?.seq ?? -1) || wasRefused(one, former) || isRefusedAlone(one, former)) continue
    const { members } = entryOf(one)
    if (members !== undefined) readers.set(record, { seq, leaf, members })
  }
  return { line, readers }
}

function headOf({ id: record, seq, hash, leaf, epoch, lastName, firstName, chain }: RosterRow): KeptHead {
  const name = [lastName, firstName].filter((part) => part !== "").join(", ")
  return { record, seq, hash, leaf, epoch, name, chain }
}

function headIn([record, seq, hash, leaf, epoch, name, chain]: z.output<typeof headTuple>): KeptHead {
  return { record, seq, hash, leaf, epoch, name, chain }
}

/** The newest head of each record; of two of the same number, the first. */
function newestOf(heads: readonly KeptHead[]): KeptHead[] {
  const newest = new Map<RecordId, KeptHead>()
  for (const head of heads) if (head.seq > (newest.get(head.record)?.seq ?? -1)) newest.set(head.record, head)
  return [...newest.values()]
}
