import { type Body, encodeBody, parseBody } from "../clinical/body.ts"
import { applyBody, emptyChart } from "../clinical/fold.ts"
import { type Summary, sameSummary, summaryOf } from "../clinical/summary.ts"
import { parseBase64url } from "../encoding/base64.ts"
import { equal } from "../encoding/bytes.ts"
import { newId, type PhysicianId, type RecordId } from "../encoding/ids.ts"
import { limits } from "../encoding/limits.ts"
import { AppError } from "../errors.ts"
import { type ChainHead, checkToken, extendChain, type Link } from "../proof/chain.ts"
import type { EntryStatement } from "../proof/entry.ts"
import { actsPath } from "../protocol/paths.ts"
import { checkCommit, commitTo, newSecretKey, type RecordKey } from "../vault/keys.ts"
import { entryPlace } from "../vault/places.ts"
import { open } from "../vault/seal.ts"
import { type Act, append, type Contents } from "./append.ts"
import { type Failure, failureOf } from "./false-keys.ts"
import { changeMembers } from "./members.ts"
import { Growing, grow, inflatedBy, type OpenRecord } from "./open-record.ts"
import { readChain, type SelfGrant, type StoredEntry } from "./read-chain.ts"
import { errorOf, type Roster } from "./roster.ts"
import { keysOf, rowOf } from "./roster-row.ts"
import type { Session } from "./session.ts"
import { grantOf, keysFrom, memberOf, openSummary, type SealedSummary } from "./walk.ts"

/** Bodies whose one author chose all of it at once, and which are this large, may be compressed. */
const compressFrom = limits.compressFromBytes

/** Opens, makes and extends records. */
export class Records {
  readonly #session: Session
  readonly #roster: Roster
  /** The records opened last, so that opening one again fetches only what is new. */
  readonly #kept = new Map<RecordId, OpenRecord>()
  readonly #keep = 8

  constructor(session: Session, roster: Roster) {
    this.#session = session
    this.#roster = roster
  }

  /** Walks a record's chain to the head, verifies every link, opens every body.
   * @throws NOT_ALLOWED, TAMPERED_* (then nothing of the record may be shown) */
  async open(id: RecordId): Promise<OpenRecord> {
    await this.#demandMine(id)
    if (this.#roster.lockedBy(id) !== null) await this.#roster.syncAfresh()
    const locked = this.#roster.lockedBy(id)
    if (locked !== null) throw errorOf(locked)
    try {
      return await this.#open(id)
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
    const gaps = new Map<number, Failure>()
    let known: number
    do {
      known = this.#newestKnown(id)
      record = await this.#walkOn(id, record, gaps)
      // What was learnt of meanwhile is asked for as well, before the server is said to keep it back.
    } while (record.head.seq < this.#newestKnown(id) && known < this.#newestKnown(id))
    this.#demandKnown(record)
    this.#take(record, summaryOf(record.chart))
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
    let summary: SealedSummary | null = null
    const stretch = { from: opened === null ? 0 : opened.head.seq + 1, to: Number.POSITIVE_INFINITY, bodies: true }
    await readChain(session, id, stretch, async (stored, selfGrants) => {
      const { entry, head } = await this.#verify(id, record.head, stored)
      const isNew = entry.seq > verified
      // Out of it for one entry is out of it: whoever was invited again has to accept again, which the change feed tells.
      if (isNew && memberOf(session, head) === null) throw new AppError("NOT_ALLOWED")
      await this.#extend(record, { entry, head }, stored, selfGrants, gaps)
      if (stored.summary !== undefined) summary = { entry, token: stored.summary }
      return { entry, hash: head.hash, seen: isNew ? entry.seen : null }
    })
    const done = record.done(opened?.summaryDiffers ?? false)
    return summary === null ? done : { ...done, summaryDiffers: await differs(done, summary) }
  }

  /** The highest number of an entry that this client knows to be there. */
  #newestKnown(id: RecordId): number {
    const { rows, owed } = this.#roster
    return Math.max(rows.get(id)?.seq ?? -1, this.#session.pins.heads.get(id)?.seq ?? -1, owed.get(id) ?? -1)
  }

  /** Makes a record with its first entry. @returns it, as opened. */
  async create(body: Body, compress = false): Promise<OpenRecord> {
    const session = this.#session
    const { physician, identity } = session
    const id = newId<"record">() as RecordId
    const key = newSecretKey<"record">()
    const member = { physician, fingerprint: identity.fingerprint, role: "owner" } as const
    const act: Act = { kind: "open", members: [member], keyCommit: await commitTo(key, id, 0) }
    const summary = summaryOf(applyBody(emptyChart(), body))
    const { contents, inflated } = contentOf(body, compress ? limits.recordInflatedBytes : 0)
    const made = await append(session, id, null, key, act, { ...contents, summary })
    const record = grow(null, [key], made, body, inflated)
    this.#take(record, summary)
    return record
  }

  /** Appends one `write` on top of what was opened. Where somebody has left, or their time is over, the record first gets a fresh key.
   * @throws CONFLICT_HEAD when the record has moved on; NOT_ALLOWED_ROLE for a reader. Nothing is stored then */
  async write(opened: OpenRecord, body: Body, compress = false): Promise<OpenRecord> {
    const { contents, inflated } = contentOf(body, compress ? limits.recordInflatedBytes - opened.inflated : 0)
    const record = await this.#renewed(opened)
    const key = record.keys[record.head.epoch]
    if (key === undefined) throw new AppError("CANNOT_OPEN")
    const summary = summaryOf(applyBody(record.chart, body))
    const written = await append(
      this.#session,
      record.id,
      record.head,
      key,
      { kind: "write" },
      { ...contents, summary },
    )
    const next = grow(record, record.keys, written, body, inflated)
    this.#take(next, summary)
    return next
  }

  async #renewed(record: OpenRecord): Promise<OpenRecord> {
    const session = this.#session
    const role = memberOf(session, record.head)?.role
    if (role === undefined) throw new AppError("NOT_ALLOWED")
    if (role === "reader") throw new AppError("NOT_ALLOWED_ROLE")
    const now = session.around.now()
    const ended = record.head.members.filter(({ until }) => until !== undefined && until <= now)
    if (!record.head.mustRaise && (ended.length === 0 || role !== "owner")) return record
    const list =
      role === "owner" ? record.head.members.filter((member) => !ended.includes(member)) : record.head.members
    const summary = summaryOf(record.chart)
    const { appended, keys } = await changeMembers(
      session,
      record.head,
      record.keys,
      list,
      summary,
      record.head.mustRaise,
    )
    const next = grow(record, keys, appended, null)
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

  async #verify(id: RecordId, before: ChainHead | null, stored: StoredEntry) {
    try {
      const link = await extendChain(before, id, stored, stored.leaf.index, (who, fingerprint) =>
        this.#session.people.keysOf(who, fingerprint),
      )
      checkToken(link.entry.body, stored.body)
      checkToken(link.entry.summary, stored.summary)
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
    const token = stored.body ?? null
    const key = keys[entry.epoch]
    const content = token === null ? null : await this.#openBody(entry, key, token, record.room)
    const body = content === null ? null : this.#read(entry, content)
    const step = { entry, body, unreadable: token !== null && body === null, serverTime: stored.leaf.time, token }
    record.add(head, step, token === null || key === undefined ? 0 : inflatedBy(token, content, record.room))
  }

  /** `null` for a token that its author's signature covers and that does not open, or comes to more than there is room for. */
  async #openBody(
    { record, epoch, seq, author }: EntryStatement,
    key: RecordKey | undefined,
    token: Uint8Array,
    room: number,
  ): Promise<Uint8Array | null> {
    if (key === undefined) return null
    return open(key, entryPlace(record, epoch, seq, author), token, { inflateTo: room }).catch(() => null)
  }

  /** `null` for content that is no body. */
  #read({ author }: EntryStatement, content: Uint8Array): Body | null {
    try {
      const body = parseBody(content)
      this.#session.people.heard(author, body.by)
      return body
    } catch {
      return null
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
      const key = keysOf(row)[epoch]
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
    this.#kept.set(record.id, record)
    for (const id of this.#kept.keys()) {
      if (this.#kept.size <= this.#keep) break
      this.#kept.delete(id)
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

async function differs(record: OpenRecord, summary: SealedSummary): Promise<boolean> {
  const key = record.keys[summary.entry.epoch]
  return key !== undefined && !sameSummary(await openSummary(summary, key), summaryOf(record.chart))
}

/** An entry's content, and how many bytes of it are to be compressed.
 * @param room for what is compressed, in bytes; what does not fit in there goes as it is
 * @throws BAD_INPUT_SIZE */
function contentOf(body: Body, room: number): { contents: Contents; inflated: number } {
  const content = encodeBody(body)
  const compress = content.length >= compressFrom && content.length <= room
  if (!compress && content.length > limits.bodyBytes) throw new AppError("BAD_INPUT_SIZE")
  return { contents: { body: content, compress }, inflated: compress ? content.length : 0 }
}
