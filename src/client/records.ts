import { sha256 } from "#sha256"
import { type Body, encodeBody, parseBody } from "../clinical/body.ts"
import { applyBody, type Chart, emptyChart } from "../clinical/fold.ts"
import { encodeSummary, type Summary, summaryOf } from "../clinical/summary.ts"
import { parseBase64url } from "../encoding/base64.ts"
import { equal } from "../encoding/bytes.ts"
import { newId, type RecordId } from "../encoding/ids.ts"
import { limits } from "../encoding/limits.ts"
import { AppError } from "../errors.ts"
import { type ChainHead, checkToken, extendChain } from "../proof/chain.ts"
import { type EntryStatement, encodeEntry } from "../proof/entry.ts"
import { statementHash } from "../proof/statement.ts"
import { actsPath, entriesPath } from "../protocol/paths.ts"
import { appendEntry, readEntries } from "../protocol/records.ts"
import { asSecretKey, checkCommit, commitTo, newSecretKey, type RecordKey } from "../vault/keys.ts"
import { entryPlace, selfGrantPlace, summaryPlace } from "../vault/places.ts"
import { open, seal } from "../vault/seal.ts"
import type { Roster } from "./roster.ts"
import { keyOf, rowOf } from "./roster-row.ts"
import type { Session } from "./session.ts"
import { resend } from "./transport.ts"

/** One verified entry, opened. */
export interface Step {
  readonly entry: EntryStatement
  /** `null` where the entry carries none, or where it verifies but cannot be read. */
  readonly body: Body | null
  readonly unreadable: boolean
  /** The server's time, milliseconds since 1970. */
  readonly serverTime: number
  /** The token as stored, for people who want to open it elsewhere. */
  readonly token: Uint8Array | null
}

/** A record whose whole chain was verified, with everything opened and folded. */
export interface OpenRecord {
  readonly id: RecordId
  readonly head: ChainHead
  readonly keys: readonly RecordKey[]
  readonly steps: readonly Step[]
  readonly chart: Chart
}

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
    let record: OpenRecord | null = this.#kept.get(id) ?? null
    const session = this.#session
    for (let more = true; more; ) {
      const from: number = record === null ? 0 : record.head.seq + 1
      const { answer, tree } = await session.log.exchange(
        (pinned) =>
          session.around.transport.call("GET", entriesPath(id), {
            query: { from, since: pinned.size },
            reply: readEntries.reply,
          }),
        (reply) => reply.log,
      )
      for (const stored of answer.entries) {
        const link = await this.#verify(id, record?.head ?? null, stored)
        record = await this.#extend(record, link.entry, link.head, stored, answer.selfGrants)
      }
      if (answer.entries.some(({ leaf }) => leaf.index >= tree.size)) throw new AppError("TAMPERED_LOG")
      more = answer.more
      if (more && answer.entries.length === 0) throw new AppError("TAMPERED_CHAIN")
      if (!more) {
        if (record === null) throw new AppError("TAMPERED_CHAIN")
        if (answer.entries.length > 0) {
          const last = answer.entries.at(-1)!
          const about = { subject: id, stream: "entry", type: "entry", number: record.head.seq } as const
          const author = record.steps.at(-1)!.entry.author
          const leaf = { ...about, actor: author, statementHash: record.head.hash }
          session.log.checkLeaf(last.leaf, answer.inclusion, leaf, tree)
        }
      }
    }
    if (record === null) throw new AppError("TAMPERED_CHAIN")
    this.#demandKnown(record)
    this.#take(record, summaryOf(record.chart))
    return record
  }

  /** Makes a record with its first entry. @returns it, as opened. */
  async create(body: Body, compress = false): Promise<OpenRecord> {
    const { physician, identity } = this.#session
    const id = newId<"record">() as RecordId
    const key = newSecretKey<"record">()
    const { fingerprint } = identity
    return this.#append(null, id, [key], body, compress, {
      kind: "open",
      members: [{ physician, fingerprint, role: "owner" }],
      keyCommit: await commitTo(key, id, 0),
    })
  }

  /** Appends one `write` on top of what was opened.
   * @throws CONFLICT_HEAD when the record has moved on; nothing is stored then */
  write(record: OpenRecord, body: Body, compress = false): Promise<OpenRecord> {
    return this.#append(record, record.id, record.keys, body, compress, { kind: "write" })
  }

  /** Tells the log that the record was read or exported; the server counts it once a session. */
  async act(id: RecordId, act: "read" | "export"): Promise<void> {
    await this.#session.around.transport.call("POST", actsPath(id), { json: { act } })
  }

  /** Forgets an opened record, such as one whose newest state has to be walked again. */
  forget(id: RecordId): void {
    this.#kept.delete(id)
  }

  async #append(
    before: OpenRecord | null,
    id: RecordId,
    keys: readonly RecordKey[],
    body: Body,
    compress: boolean,
    act: Pick<EntryStatement, "kind" | "members" | "keyCommit">,
  ): Promise<OpenRecord> {
    const { physician, signer, key: own, pins, around, log } = this.#session
    const seq = before === null ? 0 : before.head.seq + 1
    const epoch = before?.head.epoch ?? 0
    const key = keys[epoch]
    if (key === undefined) throw new AppError("CANNOT_OPEN")
    const chart = applyBody(before?.chart ?? emptyChart(), body)
    const summary = summaryOf(chart)
    const content = encodeBody(body)
    const now = around.now()
    const options = { now, compress: compress && content.length >= compressFrom }
    const [bodyToken, summaryToken] = await Promise.all([
      seal(key, entryPlace(id, epoch, seq, physician), content, options),
      seal(key, summaryPlace(id, epoch, seq), encodeSummary(summary), { now }),
    ])
    const entry: EntryStatement = {
      v: 1,
      suite: "F1",
      record: id,
      seq,
      ...(before === null ? {} : { prev: before.head.hash }),
      epoch,
      ...act,
      author: physician,
      time: now,
      seen: { size: pins.tree.size, root: pins.tree.root },
      body: { hash: sha256(bodyToken), size: bodyToken.length },
      summary: { hash: sha256(summaryToken), size: summaryToken.length },
    }
    const statement = encodeEntry(entry)
    const signature = await signer.sign("entry", statement)
    const sent = {
      statement,
      signature,
      body: bodyToken,
      summary: summaryToken,
      ...(before === null
        ? { selfGrant: await seal(own, selfGrantPlace(physician, id, 0), key, { exact: true, now }) }
        : {}),
    }
    const { answer, tree } = await log.exchange(
      (from) =>
        resend(() =>
          around.transport.call("POST", entriesPath(id), {
            json: appendEntry.body.encode({ ...sent, since: from.size }),
            reply: appendEntry.reply,
          }),
        ),
      (receipt) => receipt.log,
    )
    const hash = statementHash(statement)
    const about = { subject: id, stream: "entry", type: "entry", number: seq, actor: physician } as const
    log.checkReceipt(answer, { ...about, statementHash: hash }, tree)
    const head: ChainHead = {
      record: id,
      seq,
      hash,
      epoch,
      members: before?.head.members ?? entry.members ?? [],
      commits: before?.head.commits ?? new Map([[0, entry.keyCommit!]]),
      mustRaise: false,
      leaf: answer.leaf.index,
      seen: new Map(before?.head.seen).set(physician, entry.seen),
    }
    const step: Step = { entry, body, unreadable: false, serverTime: answer.leaf.time, token: bodyToken }
    const record = { id, head, keys, steps: [...(before?.steps ?? []), step], chart }
    this.#take(record, summary)
    return record
  }

  async #verify(id: RecordId, before: ChainHead | null, stored: Stored) {
    try {
      const link = await extendChain(before, id, stored, stored.leaf.index, (who) => this.#roster.keysOf(who))
      checkToken(link.entry.body, stored.body)
      checkToken(link.entry.summary, stored.summary)
      return link
    } catch (error) {
      throw this.#refuse(id, error, before === null ? 0 : before.seq + 1, stored.statement)
    }
  }

  async #extend(
    before: OpenRecord | null,
    entry: EntryStatement,
    head: ChainHead,
    stored: Stored,
    selfGrants: readonly { epoch: number; token: Uint8Array }[],
  ): Promise<OpenRecord> {
    const keys = [...(before?.keys ?? [])]
    if (keys[entry.epoch] === undefined) {
      try {
        keys[entry.epoch] = await this.#findKey(head, entry.epoch, selfGrants)
      } catch (error) {
        throw this.#refuse(entry.record, error, entry.seq, stored.statement)
      }
    }
    let body: Body | null = null
    let unreadable = false
    if (stored.body !== undefined) {
      try {
        const place = entryPlace(entry.record, entry.epoch, entry.seq, entry.author)
        body = parseBody(await open(keys[entry.epoch]!, place, stored.body, { compress: true }))
      } catch {
        unreadable = true
      }
    }
    const step: Step = { entry, body, unreadable, serverTime: stored.leaf.time, token: stored.body ?? null }
    const chart = body === null ? (before?.chart ?? emptyChart()) : applyBody(before?.chart ?? emptyChart(), body)
    return { id: entry.record, head, keys, steps: [...(before?.steps ?? []), step], chart }
  }

  async #findKey(
    head: ChainHead,
    epoch: number,
    selfGrants: readonly { epoch: number; token: Uint8Array }[],
  ): Promise<RecordKey> {
    const row = this.#roster.rows.get(head.record)
    const { physician, key } = this.#session
    let found: RecordKey
    if (row?.keys[epoch] !== undefined) found = keyOf(row, epoch)
    else {
      const grant = selfGrants.find((one) => one.epoch === epoch)
      if (grant === undefined) throw new AppError("CANNOT_OPEN")
      const place = selfGrantPlace(physician, head.record, epoch)
      found = asSecretKey<"record">(await open(key, place, grant.token, { exact: true }))
    }
    await checkCommit(found, head.record, epoch, head.commits.get(epoch))
    return found
  }

  /** The head must be where this client saw it, or further on. */
  #demandKnown(record: OpenRecord): void {
    const row = this.#roster.rows.get(record.id)
    const pin = this.#session.pins.heads.get(record.id)
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
    const newest = record.steps.at(-1)!
    this.#roster.take(rowOf(record.head, identity, record.keys, summary, newest.entry.time))
    this.#kept.delete(record.id)
    this.#kept.set(record.id, record)
    for (const id of this.#kept.keys()) {
      if (this.#kept.size <= this.#keep) break
      this.#kept.delete(id)
    }
  }

  #refuse(id: RecordId, error: unknown, seq: number, statement: Uint8Array): unknown {
    if (!(error instanceof AppError)) return error
    const refused = error.is("BAD_INPUT") ? new AppError("TAMPERED_CHAIN", undefined, { cause: error }) : error
    this.#roster.refuse(id, refused, seq, statement)
    this.#kept.delete(id)
    return refused
  }
}

interface Stored {
  readonly statement: Uint8Array
  readonly signature: Uint8Array
  readonly body?: Uint8Array | undefined
  readonly summary?: Uint8Array | undefined
  readonly leaf: { readonly index: number; readonly time: number; readonly salt: Uint8Array }
}
