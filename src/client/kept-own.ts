import { z } from "zod"
import { encodeHex } from "../encoding/bytes.ts"
import { encodeCbor } from "../encoding/cbor.ts"
import { AppError } from "../errors.ts"
import { anyBytes, count } from "../proof/statement.ts"
import { type KeptFiles, mostBytes } from "./kept-files.ts"
import { keyOf, type OwnEntry, ownEntry, sizeOf } from "./own-entry.ts"
import type { Session } from "./session.ts"

const signed = z.strictObject({ statement: anyBytes, signature: anyBytes })
export const ownSchema = z.strictObject({
  v: z.literal(1),
  line: z.array(signed),
  restores: count,
  entries: z.array(ownEntry),
})

const cannotStore =
  "This device cannot store anything at the moment, so nothing is removed from it. Make room on it, then try again."

/** Entries are put together into files of so much at most, where one is not larger by itself. */
const fileBytes = 256 * 1024
/** What was taken is put together once there is so much of it. */
const waitingAtMost = 64
const dayMs = 24 * 3_600_000
const longestMs = 30 * dayMs
/** Kept whatever the server says of its backups. */
const shortestMs = 7 * dayMs

/** What the physician writes on this device: each entry is in a file of its own before it is sent. Once it was seen in the log it goes into a
 * larger one, with others. */
export class KeptOwn {
  readonly #session: Session
  readonly #files: KeptFiles
  /** Seen in the log, and not put together yet. */
  readonly #waiting = new Map<string, OwnEntry>()
  /** Sent, and not seen in the log. */
  readonly #unheard = new Map<string, OwnEntry>()
  /** What lies in a file of its own. */
  readonly #written = new Set<string>()
  /** What no file can hold. */
  readonly #tooLarge = new WeakSet<OwnEntry>()
  /** The file that an entry of a former log was found in. */
  readonly #where = new Map<string, Set<string>>()
  #isRead = false
  #isFlushing = false
  #turn: Promise<unknown> = Promise.resolve()

  constructor(session: Session, files: KeptFiles) {
    this.#session = session
    this.#files = files
  }

  /** Remembers what is about to be sent. A device that can store nothing keeps nobody from writing: it is tried once more with the next
   * {@link KeptOwn.flush}. */
  async sending(own: OwnEntry): Promise<void> {
    if (this.#session.pins.held) return
    const { refused: _, ...sent } = own
    this.#unheard.set(keyOf(own), sent)
    await this.#putAlone(sent).catch(() => false)
  }

  /** Notes what the server says of an entry, which stays all the same. Of what is refused so much is kept as of what is taken. */
  async refused(own: OwnEntry): Promise<void> {
    const key = keyOf(own)
    // It may have been seen in the log meanwhile.
    if (!this.#unheard.has(key)) return
    const marked: OwnEntry = { ...own, refused: true }
    this.#unheard.set(key, marked)
    this.#written.delete(key)
    await this.#putAlone(marked).catch(() => false)
    let bytes = 0
    for (const one of [...this.#unheard.values()].sort((a, b) => b.time - a.time)) {
      if (one.refused) bytes += sizeOf(one)
      if (one.refused && bytes > mostBytes) await this.forget(one)
    }
  }

  /** Notes an entry that was seen in the log. */
  note({ refused: _, ...own }: OwnEntry & { readonly leaf: number }): void {
    const key = keyOf(own)
    this.#unheard.delete(key)
    this.#waiting.set(key, own)
    if (this.#waiting.size < waitingAtMost || this.#isFlushing) return
    this.#isFlushing = true
    void this.flush().finally(() => {
      this.#isFlushing = false
    })
  }

  /** Forgets what was sent and is not in the log. */
  async forget(own: OwnEntry): Promise<void> {
    const key = keyOf(own)
    this.#unheard.delete(key)
    this.#written.delete(key)
    await this.#session.around.storage.delete(this.#nameAlone(own)).catch(() => {})
  }

  /** What was sent and was not seen in the log so far, by this session or one before. */
  async unheard(): Promise<OwnEntry[]> {
    if (!this.#isRead) {
      for (const name of await this.#session.around.storage.list(`${this.#files.folder}/sent-`))
        for (const own of (await this.#files.open(name, "own", ownSchema))?.entries ?? [])
          if (!this.#waiting.has(keyOf(own))) {
            this.#unheard.set(keyOf(own), own)
            this.#written.add(keyOf(own))
          }
      this.#isRead = true
    }
    for (const own of this.#unheard.values()) if (this.#now - own.time > longestMs) await this.forget(own)
    return [...this.#unheard.values()]
  }

  /** Puts together what was noted, and lets go of what need not be kept. Nothing that a physician does waits for it, or fails by it: what
   * cannot be written now is written with the next. */
  flush(): Promise<void> {
    return this.inTurn(async () => void (await this.#write())).catch(() => {})
  }

  /** The entries of a log's files, each once. */
  entriesOf(found: readonly { readonly name: string; readonly entries: readonly OwnEntry[] }[]): OwnEntry[] {
    const all = new Map<string, OwnEntry>()
    for (const { name, entries } of found)
      for (const own of entries) {
        const key = keyOf(own)
        const before = all.get(key)
        if (before?.leaf === undefined || (own.leaf !== undefined && own.leaf < before.leaf)) all.set(key, own)
        this.#where.set(key, (this.#where.get(key) ?? new Set()).add(name))
      }
    return [...all.values()]
  }

  /** The entries of the log that the session stands on. */
  async here(): Promise<OwnEntry[]> {
    const names = await this.#session.around.storage.list(`${this.#files.folder}/`)
    const opened = names
      .filter((name) => !name.startsWith(`${this.#files.folder}/heads-`))
      .map(async (name) => ({ name, entries: (await this.#files.open(name, "own", ownSchema))?.entries ?? [] }))
    const memory = { name: "", entries: this.recent }
    return this.entriesOf([...(await Promise.all(opened)), memory])
  }

  /** What was sent by this session, as far as it is not put together yet. */
  get recent(): OwnEntry[] {
    return [...this.#unheard.values(), ...this.#waiting.values()]
  }

  /** Forgets own entries of a former log, once they are in the new one or somebody has taken them out. What was noted meanwhile is on the disk
   * before that, or they stay. @param folder of that log. @throws UNAVAILABLE where they stay */
  done(folder: string, entries: readonly OwnEntry[]): Promise<void> {
    return this.inTurn(async () => {
      const isSafe = this.recent.every((own) => this.#written.has(keyOf(own)) || this.#tooLarge.has(own))
      if (!isSafe && !(await this.#write())) throw new AppError("UNAVAILABLE", cannotStore)
      const gone = new Set(entries.map(keyOf))
      const names = new Set([...gone].flatMap((key) => [...(this.#where.get(key) ?? [])]))
      const { storage } = this.#session.around
      await this.#files.alone(async () => {
        for (const name of names) {
          if (!name.startsWith(`${folder}/`)) continue
          const file = await this.#files.open(name, "own", ownSchema)
          const left = file?.entries.filter((own) => !gone.has(keyOf(own))) ?? []
          if (file === null || left.length === file.entries.length) continue
          if (left.length === 0) await storage.delete(name)
          else await this.#files.put(name, "own", encodeCbor({ ...file, entries: left }))
        }
      })
    })
  }

  /** One change of the files at a time. */
  inTurn<T>(work: () => Promise<T>): Promise<T> {
    const next = this.#turn.then(work)
    this.#turn = next.catch(() => {})
    return next
  }

  /** @returns false for one that is too large to be kept */
  async #putAlone(own: OwnEntry): Promise<boolean> {
    const content = this.#contentOf([own])
    if (content.length > mostBytes) {
      this.#tooLarge.add(own)
      return false
    }
    // Of two accidents at once, a power cut and a restore, this is the price: an entry would else cost a turn of the disk more.
    await this.#files.put(this.#nameAlone(own), "own", content, "relaxed")
    this.#written.add(keyOf(own))
    return true
  }

  #nameAlone(own: OwnEntry): string {
    return `${this.#files.folder}/sent-${keyOf(own)}`
  }

  #contentOf(entries: readonly OwnEntry[]): Uint8Array {
    return encodeCbor({ v: 1, ...this.#files.log, entries: entries.map((one) => ({ ...one })) })
  }

  /** @returns false where something was too large to be kept */
  async #write(): Promise<boolean> {
    let isWhole = true
    for (const own of this.#unheard.values())
      if (!this.#written.has(keyOf(own)) && !this.#tooLarge.has(own)) await this.#putAlone(own)
    const entries = [...this.#waiting.values()]
    if (entries.length === 0) return isWhole
    return this.#files.alone(async () => {
      if (!(await this.#putOwn(entries))) isWhole = false
      await this.#session.around.storage.delete(...entries.map((own) => this.#nameAlone(own)))
      for (const own of entries) {
        const key = keyOf(own)
        this.#written.delete(key)
        if (this.#waiting.get(key) === own) this.#waiting.delete(key)
      }
      await this.#prune()
      return isWhole
    })
  }

  /** @returns false where something was too large to be kept */
  async #putOwn(entries: readonly OwnEntry[]): Promise<boolean> {
    const content = this.#contentOf(entries)
    if (content.length > fileBytes && entries.length > 1) {
      const half = entries.length >> 1
      const first = await this.#putOwn(entries.slice(0, half))
      return (await this.#putOwn(entries.slice(half))) && first
    }
    if (content.length > mostBytes) return false
    // What was sent again is older than what was noted before it.
    const newest = (of: (one: OwnEntry) => number) => String(Math.max(...entries.map(of))).padStart(16, "0")
    const [leaf, time] = [newest((one) => one.leaf ?? 0), newest((one) => one.time)]
    const name = `own-${leaf}-${time}-${content.length}-${encodeHex(entries[0]!.hash.subarray(0, 8))}`
    await this.#files.put(`${this.#files.folder}/${name}`, "own", content)
    return true
  }

  /** How many leaves of this log a verified backup holds. It is the server's word, and none for another log or for more than there is. */
  get #backedUp(): number {
    const { practice, pins } = this.#session
    const { backup, origin } = practice
    return backup?.origin === origin && backup.size <= pins.tree.size ? backup.size : 0
  }

  /** A device's clock that is ahead, or a server's, makes nothing old. */
  get #now(): number {
    return Math.min(this.#session.serverTime, this.#session.around.now())
  }

  /** What a verified backup holds and is older than 7 days, what is older than 30 days, and the oldest beyond 16 MiB. */
  async #prune(): Promise<void> {
    const { storage } = this.#session.around
    const backup = this.#backedUp
    let bytes = 0
    const names = (await storage.list(`${this.#files.folder}/own-`)).sort().reverse()
    for (const name of names) {
      const [leaf, time, size] = name
        .slice(name.lastIndexOf("/own-") + 5)
        .split("-")
        .map(Number)
      // A write that was cut off leaves a name that says nothing.
      bytes += Number.isNaN(size!) ? 0 : size!
      const age = this.#now - time!
      if ((leaf! < backup && age > shortestMs) || age > longestMs || bytes > mostBytes) await storage.delete(name)
    }
  }
}
