import { type Body, encodeContent } from "../clinical/body.ts"
import { type Content, readContent } from "../clinical/content.ts"
import { bytesOf, type Chart, Fold } from "../clinical/fold.ts"
import { type Summary, sameSummary, summaryOf } from "../clinical/summary.ts"
import { parseBase64url } from "../encoding/base64.ts"
import { equal } from "../encoding/bytes.ts"
import { newId, type PhysicianId, type RecordId } from "../encoding/ids.ts"
import { limits } from "../encoding/limits.ts"
import { demandMemory, giveBack } from "../encoding/memory.ts"
import { AppError } from "../errors.ts"
import { type ChainHead, checkToken, extendChain, hasFormerKey, type Link } from "../proof/chain.ts"
import type { EntryStatement } from "../proof/entry.ts"
import { statementHash } from "../proof/statement.ts"
import { actsPath } from "../protocol/paths.ts"
import { checkCommit, commitTo, newSecretKey, type RecordKey } from "../vault/keys.ts"
import { entryPlace } from "../vault/places.ts"
import { open } from "../vault/seal.ts"
import { type Act, append, type Contents } from "./append.ts"
import { demandDecided } from "./decided.ts"
import { type Failure, failureOf } from "./false-keys.ts"
import { changeMembers } from "./members.ts"
import {
  chartAfter,
  Growing,
  grow,
  mostIn,
  mostOf,
  newerEntry,
  type Opened,
  type OpenRecord,
  type Step,
} from "./open-record.ts"
import type { Again } from "./own-entry.ts"
import { readChain, type SelfGrant, type StoredEntry } from "./read-chain.ts"
import { errorOf, type Roster } from "./roster.ts"
import { keyAt, keysOf, rowOf } from "./roster-row.ts"
import type { Session } from "./session.ts"
import { grantOf, keysFrom, memberOf, openSummary } from "./walk.ts"

/** Opens, makes and extends records. */
export class Records {
  readonly #session: Session
  readonly #roster: Roster
  /** The records opened last, so that opening one again fetches only what is new. */
  readonly #kept = new Map<RecordId, OpenRecord>()
  readonly #keep = 8
  /** What is kept beside the newest of these may take so many bytes. */
  readonly #keepBytes = 64 * 1024 * 1024
  /** A record is opened once at a time: who comes second goes on from there. */
  readonly #turns = new Map<RecordId, Promise<unknown>>()

  constructor(session: Session, roster: Roster) {
    this.#session = session
    this.#roster = roster
  }

  /** Walks a record's chain to the head, verifies every link, opens every body.
   * @throws NOT_ALLOWED, TAMPERED_* (then nothing of the record may be shown) */
  async open(id: RecordId): Promise<OpenRecord> {
    const turn = (this.#turns.get(id) ?? Promise.resolve()).then(() => this.#openInTurn(id))
    const settled = turn.catch(() => {})
    this.#turns.set(id, settled)
    try {
      return await turn
    } finally {
      if (this.#turns.get(id) === settled) this.#turns.delete(id)
    }
  }

  /** The chart as one of a record's entries left it. @throws BAD_INPUT_FORMAT for an entry that is not there */
  async chartAt(record: OpenRecord, seq: number): Promise<Chart> {
    if (seq === record.head.seq) return record.chart
    if (!Number.isSafeInteger(seq) || seq < 0 || seq > record.head.seq)
      throw new AppError("BAD_INPUT_FORMAT", "This record has no such version. Choose one from its history.")
    const fold = new Fold(null, record.chart)
    const visit = (step: Step, content: Content | null) => {
      if (content === null) return
      fold.take(step.entry.author, content)
      fold.giveBack(content)
    }
    await this.replay(record, visit, seq)
    return fold.chart
  }

  /** Fetches the contents of a record's entries once more, and gives each in turn to `visit`: `null` where there is none that can be read.
   * Nothing of it is kept. @param to the last of them */
  async replay(
    record: OpenRecord,
    visit: (step: Step, content: Content | null) => void,
    to = record.head.seq,
    from = 0,
  ): Promise<void> {
    await this.#readAgain(record, from, to, async (step, token) => {
      const key = record.keys[step.entry.epoch]
      const isReadable = token !== null && key !== undefined && !step.unreadable
      const opened = isReadable ? (await this.#content(step.entry, key, token, limits.inflatedBytes)).opened : "none"
      visit(step, typeof opened === "string" ? null : opened)
    })
  }

  /** One entry's body as it is stored. @throws NOT_ALLOWED where there is none */
  async bodyToken(record: OpenRecord, seq: number): Promise<Uint8Array> {
    let found: Uint8Array | null = null
    if (record.steps[seq]?.entry.body !== undefined)
      await this.#readAgain(record, seq, seq, async (_, token) => {
        found = token
      })
    if (found === null)
      throw new AppError(
        "NOT_ALLOWED",
        "This record has no such entry, or it holds no body. See `healthcrypt records history`.",
      )
    return found
  }

  /** @param take is given what the chain that was verified names, or `null` where an entry has none */
  async #readAgain(
    record: OpenRecord,
    from: number,
    to: number,
    take: (step: Step, token: Uint8Array | null) => Promise<void>,
  ): Promise<void> {
    const { id, steps, head } = record
    let seq = from
    const last = new Map<PhysicianId, number>()
    for (const { entry, unreadable } of steps)
      if (entry.body !== undefined) last.set(entry.author, unreadable ? (last.get(entry.author) ?? -1) : entry.seq)
    const without = () => [...last.keys()].filter((author) => last.get(author)! < seq)
    const stretch = { from, to: to + 1, bodies: true, without }
    await readChain(this.#session, id, stretch, async (stored) => {
      const step = steps[seq]!
      const hash = steps[seq + 1]?.entry.prev ?? head.hash
      seq++
      if (!equal(statementHash(stored.statement), hash)) throw new AppError("TAMPERED_CHAIN")
      if (stored.body !== undefined || !step.unreadable) checkToken(step.entry.body, stored.body)
      await take(step, stored.body ?? null)
      return { entry: step.entry, seen: null }
    }).catch((error: unknown) => {
      throw this.#asRefused(id, error)
    })
  }

  async #openInTurn(id: RecordId): Promise<OpenRecord> {
    await this.#demandMine(id)
    if (this.#roster.lockedBy(id) !== null) await this.#roster.syncAfresh()
    const locked = this.#roster.lockedBy(id)
    if (locked !== null) throw errorOf(locked)
    try {
      const opened = await this.#open(id)
      await this.#roster.demandLookedBack(id)
      return opened
    } catch (error) {
      if (!(error instanceof AppError && error.code === "NOT_ALLOWED")) throw this.#asRefused(id, error)
      // Taken away since it was last looked at: what was known of it goes. Or given back and accepted elsewhere.
      await this.#roster.syncAfresh()
      if (!this.#roster.rows.has(id)) this.#kept.delete(id)
      if (!this.#roster.rows.has(id)) throw error
      return await this.#open(id).catch((again: unknown) => {
        throw this.#asRefused(id, again)
      })
    }
  }

  #asRefused(id: RecordId, error: unknown): unknown {
    const ofThisRecord = error instanceof AppError && error.is("TAMPERED") && this.#session.log.refusal === null
    return ofThisRecord && !this.#roster.refused.has(id) ? this.#refuse(id, error, -1, new Uint8Array(0)) : error
  }

  async #open(id: RecordId): Promise<OpenRecord> {
    let record = this.#keptOf(id)
    this.#makeRoom(id)
    const gaps = new Map<number, Failure>()
    let known: number
    do {
      known = this.#newestKnown(id)
      record = await this.#walkOn(id, record, gaps)
      // What was learnt of meanwhile is asked for as well, before the server is said to keep it back.
    } while (record.head.seq < this.#newestKnown(id) && known < this.#newestKnown(id))
    this.#demandKnown(record)
    this.#take(record, record.summary)
    if (record.keys[record.head.epoch] === undefined) throw this.#locked(record, gaps.get(record.head.epoch))
    // Taken away while it was being opened.
    if (!this.#roster.rows.has(id)) {
      this.#kept.delete(id)
      throw new AppError("NOT_ALLOWED")
    }
    return record
  }

  /** Takes an opened record on to the head that the server shows. */
  async #walkOn(id: RecordId, opened: OpenRecord | null, gaps: Map<number, Failure>): Promise<OpenRecord> {
    const session = this.#session
    const verified = this.#roster.rows.get(id)?.seq ?? -1
    const record = new Growing(opened)
    let newest: { readonly entry: EntryStatement; readonly token: Uint8Array | undefined } | null = null
    const from = opened === null ? 0 : opened.head.seq + 1
    const stretch = { from, to: Number.POSITIVE_INFINITY, bodies: true, without: () => record.exhausted }
    await readChain(session, id, stretch, async (stored, selfGrants) => {
      const { entry, head } = await this.#verify(id, record, stored)
      const isNew = entry.seq > verified
      // Out of it for one entry is out of it: whoever was invited again has to accept again, which the change feed tells.
      if (isNew && memberOf(session, head) === null) throw new AppError("NOT_ALLOWED")
      await this.#extend(record, { entry, head }, stored, selfGrants, gaps)
      if (entry.summary !== undefined) newest = { entry, token: stored.summary }
      return { entry, seen: isNew ? entry.seen : null }
    })
    return this.#sumUp(record, opened, newest)
  }

  /** The chart's own summary, held against the newest that its authors sealed. */
  async #sumUp(
    record: Growing,
    opened: OpenRecord | null,
    newest: { readonly entry: EntryStatement; readonly token: Uint8Array | undefined } | null,
  ): Promise<OpenRecord> {
    if (opened !== null && record.steps.length === opened.steps.length) return opened
    const summary = summaryOf(record.chart)
    if (newest === null) return record.done(summary, opened?.summaryDiffers ?? false)
    const { entry, token } = newest
    // Of all summaries only the newest has to come.
    if (token === undefined) {
      // A head that is cut off lacks it, too, and is named for what it is.
      this.#demandKnown(record.done(summary, false))
      throw this.#refuse(entry.record, new AppError("TAMPERED_TOKEN"), entry.seq, new Uint8Array(0))
    }
    const key = record.keys[entry.epoch]
    const differs = key !== undefined && !sameSummary(await openSummary({ entry, token }, key), summary)
    return record.done(summary, differs)
  }

  /** The highest number of an entry that this client knows to be there. */
  #newestKnown(id: RecordId): number {
    const { rows, owed } = this.#roster
    return Math.max(rows.get(id)?.seq ?? -1, this.#session.pins.heads.get(id)?.seq ?? -1, owed.get(id) ?? -1)
  }

  /** Makes a record with its first entry. @param id only of a record that a restored server has lost.
   * @param again what the entry stands for, where it sends again what a restore took back. @returns it, as opened. */
  async create(body: Body, compress = false, id: RecordId = newId<"record">(), again?: Again): Promise<OpenRecord> {
    const session = this.#session
    const { physician, identity } = session
    const key = newSecretKey<"record">()
    const member = { physician, fingerprint: identity.fingerprint, role: "owner" } as const
    const act: Act = { kind: "open", members: [member], keyCommit: await commitTo(key, id, 0) }
    const { bytes, content } = encodeContent(body)
    const summary = summaryOf(chartAfter(null, physician, content))
    const made = await append(session, id, null, key, act, { ...contentsOf(bytes, compress), summary, again })
    const record = grow(null, [key], made, content, summary)
    this.#take(record, summary)
    return record
  }

  /** Appends one `write` on top of what was opened. Where somebody has left, or their time is over, or the key is one from
   * before a restore, the record first gets a fresh one.
   * @throws CONFLICT_HEAD when the record has moved on; NOT_ALLOWED_ROLE for a reader; BAD_INPUT_SIZE for what nobody could read;
   * UNAVAILABLE_UPDATE where a newer version has written. Nothing is stored then.
   * @param again as {@link Records.create} */
  async write(opened: OpenRecord, body: Body, compress = false, again?: Again): Promise<OpenRecord> {
    if (newerEntry(opened) !== null) throw new AppError("UNAVAILABLE_UPDATE")
    const { physician } = this.#session
    const { bytes, content } = encodeContent(body)
    const contents = contentsOf(bytes, compress)
    const summary = summaryOf(chartAfter(opened, physician, content))
    await this.#roster.demandLooked(opened.id)
    const record = await this.#renewed(opened)
    const key = record.keys[record.head.epoch]
    if (key === undefined) throw new AppError("CANNOT_OPEN")
    const written = await append(
      this.#session,
      record.id,
      record.head,
      key,
      { kind: "write" },
      { ...contents, summary, again, beganBy: opened.steps[0]!.entry.author },
    )
    const next = grow(record, record.keys, written, content, summary)
    this.#take(next, summary)
    return next
  }

  async #renewed(record: OpenRecord): Promise<OpenRecord> {
    const session = this.#session
    const role = memberOf(session, record.head)?.role
    if (role === undefined) throw new AppError("NOT_ALLOWED")
    if (role === "reader") throw new AppError("NOT_ALLOWED_ROLE")
    await demandDecided(session, record.head, async () => record.steps.map(({ entry }) => entry))
    const now = session.around.now()
    const ended = record.head.members.filter(({ until }) => until !== undefined && until <= now)
    // Who is alone in a record goes on under a key that nobody was given before the restore.
    const raise = record.head.mustRaise || hasFormerKey(record.head, session.restoredAt)
    if (!raise && (ended.length === 0 || role !== "owner")) return record
    const list =
      role === "owner" ? record.head.members.filter((member) => !ended.includes(member)) : record.head.members
    const { summary } = record
    const { appended, keys } = await changeMembers(session, record.head, record.keys, list, summary, raise)
    const next = grow(record, keys, appended, null, summary)
    this.#take(next, summary)
    return next
  }

  /** Tells the log that the record was read or exported; the server counts it once a session. */
  async act(id: RecordId, act: "read" | "export"): Promise<void> {
    await this.#session.around.transport.call("POST", actsPath(id), { json: { act } })
  }

  /** Forgets an opened record, such as one whose newest state has to be walked again. */
  forget(id: RecordId): void {
    this.#kept.delete(id)
  }

  async #verify(id: RecordId, record: Growing, stored: StoredEntry) {
    const { head: before } = record
    try {
      const link = await extendChain(before, id, stored, stored.leaf.index, (who, fingerprint) =>
        this.#session.people.keysOf(who, fingerprint),
      )
      // What nobody reads any more is not asked for.
      if (stored.body !== undefined || !record.exhausted.includes(link.entry.author))
        checkToken(link.entry.body, stored.body)
      if (stored.summary !== undefined) checkToken(link.entry.summary, stored.summary)
      return link
    } catch (error) {
      throw this.#refuse(id, error, before === null ? 0 : before.seq + 1, stored.statement)
    }
  }

  async #extend(
    record: Growing,
    link: Link,
    stored: StoredEntry,
    selfGrants: readonly SelfGrant[],
    gaps: Map<number, Failure>,
  ): Promise<void> {
    const { entry, head } = link
    const { head: before, keys } = record
    const own = grantOf(selfGrants, entry.epoch)
    if (entry.keyCommit !== undefined)
      try {
        keys[entry.epoch] = await this.#findKey(before, link, stored, own)
      } catch (error) {
        const failure =
          error instanceof AppError ? failureOf(this.#session.physician, before, entry, stored, own, error) : null
        if (failure === null || failure.by === null)
          throw this.#refuse(entry.record, error, entry.seq, stored.statement)
        gaps.set(entry.epoch, failure)
      }
    const opened = await this.#openBody(record, entry, stored.body)
    record.add(head, entry, opened, stored.leaf.time)
    record.giveBack(opened)
  }

  /** Opens a body within its author's budget, and counts it. */
  async #openBody(record: Growing, entry: EntryStatement, token: Uint8Array | undefined): Promise<Opened> {
    const { author, epoch } = entry
    if (entry.body === undefined) return "none"
    const key = record.keys[epoch]
    const room = record.roomOf(author)
    if (key === undefined || room === 0 || token === undefined) return "unreadable"
    const { opened, weight } = await this.#content(entry, key, token, room)
    if (!record.spend(author, weight)) {
      record.giveBack(opened)
      return "unreadable"
    }
    if (typeof opened !== "string") this.#session.people.heard(author, opened.by)
    return opened
  }

  /** What a body says, and what it counts for. A token that its author's signature covers may still not open, come to more than there is
   * room for, or hold something else than a body. @throws UNAVAILABLE_MEMORY: a record is never shown without what only does not fit here */
  async #content(
    { record, epoch, seq, author }: EntryStatement,
    key: RecordKey,
    token: Uint8Array,
    room: number,
  ): Promise<{ readonly opened: Opened; readonly weight: number }> {
    const inflateTo = Math.min(room, limits.inflatedBytes)
    const bytes = await open(key, entryPlace(record, epoch, seq, author), token, { inflateTo }).catch((error) => {
      if (error instanceof AppError && error.code === "CANNOT_OPEN") return null
      throw error
    })
    if (bytes === null) return { opened: "unreadable", weight: mostOf(token) }
    try {
      const content = readContent(bytes)
      return { opened: content, weight: content.weight }
    } catch (error) {
      demandMemory(error)
      const newer = error instanceof AppError && error.code === "UNAVAILABLE_UPDATE"
      const weight = newer ? bytes.length : mostIn(bytes)
      giveBack(bytes)
      return { opened: newer ? "newer" : "unreadable", weight }
    }
  }

  /** The key of the epoch that an entry begins; `undefined` for one that a colleague never really gave. */
  async #findKey(
    before: ChainHead | null,
    link: Link,
    stored: StoredEntry,
    own: Uint8Array | undefined,
  ): Promise<RecordKey | undefined> {
    const { record, epoch } = link.entry
    const row = this.#roster.rows.get(record)
    if (row !== undefined && epoch < row.keys.length) {
      const key = keyAt(row, epoch)
      if (key !== undefined) await checkCommit(key, record, epoch, link.head.commits.get(epoch))
      return key
    }
    const key = (await keysFrom(this.#session, before, link, stored, own)).get(epoch)
    if (key === undefined) throw new AppError("CANNOT_OPEN")
    return key
  }

  /** A record that the physician was only invited to, or was removed from, is none of theirs. */
  async #demandMine(id: RecordId): Promise<void> {
    const { rows, refused } = this.#roster
    if (!rows.has(id)) await this.#roster.sync()
    const refusal = refused.get(id)
    if (rows.has(id)) return
    this.#kept.delete(id)
    throw refusal === undefined ? new AppError("NOT_ALLOWED") : errorOf(refusal)
  }

  /** What is said of a record whose newest key a colleague falsified. @param gap where it was found just now */
  #locked({ id, head }: OpenRecord, gap: Failure | undefined): AppError {
    const { refused } = this.#roster
    if (gap !== undefined && this.#roster.lockedBy(id) !== null)
      this.#roster.refuse(id, gap.error, head.seq, gap.statement, gap.by)
    const refusal = refused.get(id)
    return refusal === undefined ? new AppError("NOT_ALLOWED") : errorOf(refusal)
  }

  /** What was opened before, if it still has every key that there is now. */
  #keptOf(id: RecordId): OpenRecord | null {
    const kept = this.#kept.get(id)
    const row = this.#roster.rows.get(id)
    if (kept === undefined || row === undefined) return kept ?? null
    const gained = keysOf(row).some((key, epoch) => epoch <= kept.head.epoch && key !== undefined && !kept.keys[epoch])
    return gained ? null : kept
  }

  /** The head must be where this client saw it, or further on. */
  #demandKnown(record: OpenRecord): void {
    const row = this.#roster.rows.get(record.id)
    const pin = this.#session.pins.heads.get(record.id)
    const owed = this.#roster.owed.get(record.id)
    if (owed !== undefined && record.head.seq < owed)
      throw this.#refuse(record.id, new AppError("TAMPERED_ROLLBACK"), owed, new Uint8Array(0))
    const known = [
      ...(row === undefined ? [] : [{ seq: row.seq, hash: parseBase64url(row.hash) }]),
      ...(pin === undefined ? [] : [pin]),
    ]
    for (const { seq, hash } of known) {
      if (record.head.seq < seq)
        throw this.#refuse(record.id, new AppError("TAMPERED_ROLLBACK"), seq, new Uint8Array(0))
      const next = record.steps[seq + 1]
      const there = next === undefined ? record.head.hash : next.entry.prev
      if (there === undefined || !equal(there, hash))
        throw this.#refuse(record.id, new AppError("TAMPERED_CHAIN"), seq, new Uint8Array(0))
    }
  }

  #take(record: OpenRecord, summary: Summary): void {
    const { identity } = this.#session
    const updated = record.steps.findLast(({ entry }) => entry.body !== undefined)?.entry.time ?? 0
    const gaps = new Map<number, PhysicianId>()
    for (const { entry } of record.steps)
      if (entry.keyCommit !== undefined && record.keys[entry.epoch] === undefined) gaps.set(entry.epoch, entry.author)
    this.#roster.take(rowOf(record.head, identity, record.keys, gaps, summary, updated))
    this.#kept.delete(record.id)
    this.#makeRoom(record.id)
    this.#kept.set(record.id, record)
  }

  /** Lets go of what was opened longest ago: few records, and of large ones few enough, are kept beside the one at hand. */
  #makeRoom(id: RecordId): void {
    let bytes = 0
    let records = 0
    for (const [other, { chart }] of [...this.#kept].reverse()) {
      if (other === id) continue
      bytes += bytesOf(chart)
      records++
      if (records >= this.#keep || bytes > this.#keepBytes) this.#kept.delete(other)
    }
  }

  #refuse(id: RecordId, error: unknown, seq: number, statement: Uint8Array): unknown {
    // An answer that was lost says nothing about the record.
    if (!(error instanceof AppError) || error.code === "NOT_ALLOWED_SESSION" || error.is("UNAVAILABLE")) return error
    const refused = error.is("BAD_INPUT") ? new AppError("TAMPERED_CHAIN", undefined, { cause: error }) : error
    this.#roster.refuse(id, refused, seq, statement)
    this.#kept.delete(id)
    return refused
  }
}

/** Bodies whose one author chose all of it at once, and which are this large, may be compressed. What is too large otherwise has to be: a
 * colleague's large text is part of every later edit of its resource. */
function contentsOf(body: Uint8Array, compress: boolean): Contents {
  return { body, compress: body.length > limits.bodyBytes || (compress && body.length >= limits.compressFromBytes) }
}
