import { z } from "zod"
import { sha256 } from "#sha256"
import { encodeBase64url } from "../encoding/base64.ts"
import { utf8 } from "../encoding/bytes.ts"
import { encodeCbor, parseCbor } from "../encoding/cbor.ts"
import { isId, type RecordId } from "../encoding/ids.ts"
import { parseChainHead } from "../proof/chain-head.ts"
import { type Member, parseEntry } from "../proof/entry.ts"
import { anyBytes, bytesOf, count, type Signed } from "../proof/statement.ts"
import { appendEntry } from "../protocol/records.ts"
import { cachePlace } from "../vault/places.ts"
import { open, seal } from "../vault/seal.ts"
import { type Line, lineName, readLine } from "./line.ts"
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
const entry = z.strictObject({
  leaf: count,
  record: z.custom<RecordId>(isId),
  seq: count,
  /** Milliseconds since 1970. */
  time: count,
  /** SHA-256 of its statement. */
  hash: bytesOf(32),
  /** The request by which it was stored: JSON. */
  sent: z.string(),
  /** What was sealed into its body: where it carries one. */
  body: anyBytes.optional(),
})
const ownSchema = z.strictObject({ v: z.literal(1), line: z.array(signed), restores: count, entries: z.array(entry) })

/** An entry of this physician's own, as this device sent it. */
export type OwnEntry = z.output<typeof entry>

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

const mostBytes = 16 * 1024 * 1024
const dayMs = 24 * 3_600_000
const longestMs = 30 * dayMs
/** Kept whatever the server says of its backups. */
const shortestMs = 7 * dayMs

/** What a device keeps for the day when the server is put back to an earlier state: every head, and what the physician wrote on it. Sealed
 * under the physician key, in files of at most 16 MiB. What was written is kept for 30 days, up to 16 MiB, or, after 7 days, until the server
 * says that a verified backup holds it.
 * Format: docs/formats/roster.md */
export class Kept {
  readonly #session: Session
  readonly #waiting: OwnEntry[] = []
  #turn: Promise<unknown> = Promise.resolve()
  #formerReaders: Promise<FormerReaders[]> | null = null

  constructor(session: Session) {
    this.#session = session
  }

  /** Notes what was just stored; {@link Kept.flush} puts it on the disk. */
  note(own: OwnEntry): void {
    this.#waiting.push(own)
  }

  /** Writes what was noted, and lets go of what need not be kept. Nothing that a physician does waits for it, or fails by it: what cannot be
   * written now is written with the next. */
  flush(): Promise<void> {
    return this.#inTurn(async () => void (await this.#write())).catch(() => {})
  }

  /** Keeps every head as the roster has it now. What is kept goes forward alone: another tab may have seen more, and a record that this roster
   * is without stays, unless the physician was seen to leave it. Nothing is kept of a roster that is not complete. */
  keepHeads({ isComplete, rows, leftAt }: Pick<Roster, "isComplete" | "rows" | "leftAt">): Promise<void> {
    const { log, pins, around } = this.#session
    const keep = async () => {
      if (!isComplete || pins.held || log.refusal !== null) return
      const before = await around.storage.list(`${this.#folder}/heads-`)
      const seen = Array.from(rows.values(), headOf)
      const same = this.#nameOf(seen)
      // Of several files, the last one says that all are there.
      if (before.includes(same) && before.every((one) => one.startsWith(same))) return
      const opened = new Map<string, readonly KeptHead[]>()
      for (const one of before) {
        const file = await this.#open(one, "heads", headsSchema)
        if (file !== null) opened.set(one, file.heads.map(headIn))
      }
      const stay = [...opened.values()].flat().filter(({ record, seq }) => seq > (leftAt.get(record) ?? -1))
      const heads = newestOf([...stay, ...seen])
      const name = this.#nameOf(heads)
      if (!opened.has(name)) {
        const parts = this.#inParts(heads)
        if (parts.length === 0) return
        for (const [i, part] of parts.entries())
          await around.storage.put(i === parts.length - 1 ? name : `${name}-${i}`, await this.#seal("heads", part))
      }
      // What does not open may hold more.
      for (const old of opened.keys()) if (!old.startsWith(name)) await around.storage.delete(old)
    }
    return this.#inTurn(() => this.#alone(keep)).catch(() => {})
  }

  /** What is kept of other logs than the one that this session stands on, the newest first. */
  async former(): Promise<Former[]> {
    const { storage } = this.#session.around
    const root = this.#root
    const names = (await storage.list(`${root}/`)).filter((name) => !name.startsWith(`${this.#folder}/`))
    const folders = [...new Set(names.map((name) => name.slice(0, name.lastIndexOf("/"))))]
    const all = await Promise.all(folders.map((folder) => this.#read(folder, names)))
    return all.filter((one) => one !== null).sort((a, b) => b.restores - a.restores)
  }

  /** The same of {@link Kept.former}'s lists of readers, read once: nothing is added to a former log. */
  formerReaders(): Promise<FormerReaders[]> {
    this.#formerReaders ??= this.former().then((all) => all.map(readersOf))
    return this.#formerReaders
  }

  /** Forgets own entries of a former log, once they are in the new one or somebody has taken them out. What was noted meanwhile is on the disk
   * before that, or they stay. */
  done(former: Former, entries: readonly OwnEntry[]): Promise<void> {
    return this.#inTurn(async () => {
      if (!(await this.#write())) return
      const { storage } = this.#session.around
      const folder = `${this.#root}/${lineName(former.line)}`
      await this.#alone(async () => {
        for (const name of await storage.list(`${folder}/own-`)) {
          const file = await this.#open(name, "own", ownSchema)
          const left = file?.entries.filter(({ leaf }) => !entries.some((one) => one.leaf === leaf)) ?? []
          if (file === null || left.length === file.entries.length) continue
          if (left.length === 0) await storage.delete(name)
          else await storage.put(name, await this.#seal("own", encodeCbor({ ...file, entries: left })))
        }
      })
    }).catch(() => {})
  }

  get #log(): { line: Signed[]; restores: number } {
    const { line, restores } = this.#session.pins
    return { line: line.map((one) => ({ ...one })), restores }
  }

  get #root(): string {
    const { practice, physician } = this.#session
    return `kept/${practice.practice}/${physician}`
  }

  get #folder(): string {
    return `${this.#root}/${lineName(this.#session.line)}`
  }

  async #read(folder: string, names: readonly string[]): Promise<Former | null> {
    const heads: KeptHead[] = []
    const own: OwnEntry[] = []
    let line: readonly Signed[] | null = null
    let restores = 0
    for (const name of names.filter((one) => one.startsWith(`${folder}/`))) {
      const file = name.startsWith(`${folder}/heads-`)
        ? await this.#open(name, "heads", headsSchema)
        : await this.#open(name, "own", ownSchema)
      if (file === null) continue
      line = file.line
      restores = Math.max(restores, file.restores)
      if ("entries" in file) for (const entry of file.entries) own.push(entry)
      else for (const head of file.heads) heads.push(headIn(head))
    }
    if (line === null) return null
    own.sort((a, b) => a.leaf - b.leaf)
    return { line: await readLine(line), restores, heads: newestOf(heads), own }
  }

  /** @returns false where something was too large to be kept */
  async #write(): Promise<boolean> {
    const entries = [...this.#waiting]
    if (entries.length === 0) return true
    return this.#alone(async () => {
      const isWhole = await this.#putOwn(entries)
      this.#waiting.splice(0, entries.length)
      await this.#prune()
      return isWhole
    })
  }

  /** @returns false where something was too large to be kept */
  async #putOwn(entries: readonly OwnEntry[]): Promise<boolean> {
    const content = encodeCbor({ v: 1, ...this.#log, entries: entries.map((one) => ({ ...one })) })
    if (content.length > mostBytes) {
      if (entries.length === 1) return false
      const half = entries.length >> 1
      const first = await this.#putOwn(entries.slice(0, half))
      return (await this.#putOwn(entries.slice(half))) && first
    }
    // What was sent again is older than what was noted before it.
    const newest = (of: (one: OwnEntry) => number) => String(Math.max(...entries.map(of))).padStart(16, "0")
    const name = `${this.#folder}/own-${newest(({ leaf }) => leaf)}-${newest(({ time }) => time)}-${content.length}`
    await this.#session.around.storage.put(name, await this.#seal("own", content))
    return true
  }

  /** How many leaves of this log a verified backup holds. It is the server's word, and none for another log or for more than there is. */
  get #backedUp(): number {
    const { practice, pins } = this.#session
    const { backup, origin } = practice
    return backup?.origin === origin && backup.size <= pins.tree.size ? backup.size : 0
  }

  /** What a verified backup holds and is older than 7 days, what is older than 30 days, and the oldest beyond 16 MiB. */
  async #prune(): Promise<void> {
    const { storage, now } = this.#session.around
    const backup = this.#backedUp
    let bytes = 0
    const names = (await storage.list(`${this.#folder}/own-`)).sort().reverse()
    for (const name of names) {
      const [leaf, time, size] = name
        .slice(name.lastIndexOf("own-") + 4)
        .split("-")
        .map(Number)
      // A write that was cut off leaves a name that says nothing.
      bytes += Number.isNaN(size!) ? 0 : size!
      const age = now() - time!
      if ((leaf! < backup && age > shortestMs) || age > longestMs || bytes > mostBytes) await storage.delete(name)
    }
  }

  async #open<T extends z.ZodType>(name: string, what: string, schema: T): Promise<z.output<T> | null> {
    const token = await this.#session.around.storage.get(name)
    if (token === null) return null
    try {
      return schema.parse(parseCbor(await open(this.#session.key, this.#place(what), token), mostBytes))
    } catch {
      return null
    }
  }

  #seal(what: string, content: Uint8Array): Promise<Uint8Array> {
    return seal(this.#session.key, this.#place(what), content)
  }

  #place(what: string): Uint8Array {
    return cachePlace(this.#session.physician, this.#session.pins.device, `kept/${what}`)
  }

  /** Heads as contents that each fit into a file. */
  #inParts(heads: readonly KeptHead[]): Uint8Array<ArrayBuffer>[] {
    const tuples = heads.map((one) => [one.record, one.seq, one.hash, one.leaf, one.epoch, one.name, one.chain])
    const content = encodeCbor({ v: 1, ...this.#log, heads: tuples })
    if (content.length <= mostBytes || heads.length === 1) return content.length <= mostBytes ? [content] : []
    const half = heads.length >> 1
    return [...this.#inParts(heads.slice(0, half)), ...this.#inParts(heads.slice(half))]
  }

  /** A name for a file of just these heads. */
  #nameOf(heads: readonly KeptHead[]): string {
    const lines = heads.map(({ record, seq, hash }) => `${record} ${seq} ${hash}\n`).sort()
    return `${this.#folder}/heads-${encodeBase64url(sha256(utf8(lines.join(""))).subarray(0, 12))}`
  }

  /** While no other tab or process changes what is kept. */
  #alone<T>(work: () => Promise<T>): Promise<T> {
    return this.#session.around.storage.exclusive(this.#root, work)
  }

  #inTurn<T>(work: () => Promise<T>): Promise<T> {
    const next = this.#turn.then(work)
    this.#turn = next.catch(() => {})
    return next
  }
}

function readersOf({ line, heads, own }: Former): FormerReaders {
  const readers = new Map<RecordId, { leaf: number; members: readonly Member[] }>()
  const take = (record: RecordId, leaf: number, members: readonly Member[]) => {
    if (leaf >= (readers.get(record)?.leaf ?? 0)) readers.set(record, { leaf, members })
  }
  for (const { record, leaf, chain } of heads) take(record, leaf, chain === "" ? [] : parseChainHead(chain).members)
  for (const { record, leaf, sent } of own) {
    const { members } = parseEntry(appendEntry.body.decode(JSON.parse(sent)).statement)
    if (members !== undefined) take(record, leaf, members)
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
