import type { z } from "zod"
import { sha256 } from "#sha256"
import { parseSummary, type Summary } from "../clinical/summary.ts"
import { encodeBase64url, parseBase64url } from "../encoding/base64.ts"
import { equal } from "../encoding/bytes.ts"
import { idFromBytes, newId, type PhysicianId, type RecordId, type SegmentId } from "../encoding/ids.ts"
import { AppError } from "../errors.ts"
import { type ChainHead, checkToken, extendChain, type PublicKeys } from "../proof/chain.ts"
import { type EntryStatement, parseEntry } from "../proof/entry.ts"
import { paths, segmentPath } from "../protocol/paths.ts"
import { readChanges, segmentMaxBytes } from "../protocol/records.ts"
import type { Keyring } from "../vault/keyring.ts"
import { asSecretKey, checkCommit, type RecordKey } from "../vault/keys.ts"
import { rosterPlace, selfGrantPlace, summaryPlace } from "../vault/places.ts"
import { open, seal } from "../vault/seal.ts"
import { encodeRows, headOf, keyOf, parseRows, type RosterRow, rowOf } from "./roster-row.ts"
import type { Session } from "./session.ts"

type Change = z.output<typeof readChanges.reply>["entries"][number]

const segmentRows = 500
/** Loose changes are folded into segments when they pass this. */
const foldAt = 300
const pageSize = 1000

const blank: Summary = { firstName: "", lastName: "", birthDate: "", diagnoses: [], patient: "", archived: false }

export interface Refusal {
  readonly code: AppError["code"]
  readonly seq: number
  readonly statement: string
}

/** Everything the physician has, opened: summaries, keys and heads of all records. Read from packed segments and the changes since;
 * a missing or refused roster costs time, never truth. Format: docs/formats/roster.md */
export class Roster {
  readonly #session: Session
  readonly rows = new Map<RecordId, RosterRow>()
  /** Records whose chain was refused: shown as tampered, nothing else of them. */
  readonly refused = new Map<RecordId, Refusal>()
  /** Grows with every change of a row. */
  version = 0
  #complete = 0
  #segments = new Map<SegmentId, RecordId[]>()
  #strays: SegmentId[] = []
  #loose = new Set<RecordId>()
  #syncing: Promise<RecordId[]> | null = null
  #folding: Promise<void> | null = null

  constructor(session: Session) {
    this.#session = session
  }

  get complete(): number {
    return this.#complete
  }

  /** Opens the packed segments that the keyring lists. @param progress rows opened, rows listed. */
  async load(progress: (opened: number, total: number) => void = () => {}): Promise<void> {
    const { key, physician, keyring, around } = this.#session
    const { segments, complete } = keyring.roster
    this.rows.clear()
    this.#segments.clear()
    this.#loose.clear()
    this.#complete = 0
    const total = segments.reduce((sum, segment) => sum + segment.records, 0)
    const stored =
      segments.length === 0
        ? new Map<SegmentId, Uint8Array>()
        : parseSegments(await around.transport.download(paths.segments))
    this.#strays = [...stored.keys()].filter((id) => !segments.some((segment) => segment.id === id))
    try {
      let opened = 0
      const contents = await Promise.all(
        segments.map(async ({ id, hash }) => {
          const token = stored.get(id)
          if (token === undefined || !equal(sha256(token), hash)) throw new AppError("CANNOT_OPEN")
          const rows = parseRows(await open(key, rosterPlace(physician, id), token))
          opened += rows.length
          progress(opened, total)
          return { id, rows }
        }),
      )
      for (const { id, rows } of contents) {
        for (const row of rows) this.rows.set(row.id, row)
        this.#segments.set(
          id,
          rows.map((row) => row.id),
        )
      }
      this.#complete = complete
    } catch (error) {
      if (!(error instanceof AppError && error.code === "CANNOT_OPEN")) throw error
      this.rows.clear()
      this.#segments.clear()
    }
    this.version++
  }

  /** Pulls what happened since, verifies it, and takes it in. Calls that overlap share one pull.
   * @returns the records that changed. */
  sync(background = false): Promise<RecordId[]> {
    this.#syncing ??= this.#pull(background).finally(() => {
      this.#syncing = null
    })
    return this.#syncing
  }

  /** Takes in a head that this client has verified itself. */
  take(row: RosterRow): void {
    const known = this.rows.get(row.id)
    if (known !== undefined && known.seq > row.seq) return
    this.rows.set(row.id, row)
    this.refused.delete(row.id)
    this.#loose.add(row.id)
    if (row.leaf === this.#complete) this.#complete++
    this.#session.pins.heads.set(row.id, { seq: row.seq, hash: hashOf(row) })
    this.version++
  }

  refuse(record: RecordId, error: AppError, seq: number, statement: Uint8Array): void {
    this.refused.set(record, { code: error.code, seq, statement: encodeBase64url(statement) })
    this.version++
  }

  /** Folds loose changes into fresh segments once there are enough. Another device may do the same: the keyring's
   * compare-and-swap decides, and the loser's segments are dropped. */
  async fold(force = false): Promise<void> {
    if (this.#loose.size === 0 || (!force && this.#loose.size < foldAt)) return
    this.#folding ??= this.#fold().finally(() => {
      this.#folding = null
    })
    await this.#folding
  }

  async #pull(background: boolean): Promise<RecordId[]> {
    const session = this.#session
    const changed = new Set<RecordId>()
    const headless = new Set<RecordId>()
    for (let more = true; more; ) {
      const since = this.#complete
      const { answer, tree } = await session.log.exchange(
        (from) =>
          session.around.transport.call("GET", paths.changes, {
            query: { since, limit: pageSize, pinned: from.size },
            reply: readChanges.reply,
            background,
          }),
        (reply) => reply.log,
      )
      const byRecord = new Map<RecordId, Change[]>()
      for (const change of answer.entries) {
        const list = byRecord.get(change.record as RecordId)
        if (list === undefined) byRecord.set(change.record as RecordId, [change])
        else list.push(change)
      }
      await Promise.all(
        Array.from(byRecord, async ([record, changes]) => {
          const last = changes.at(-1)!
          try {
            if (await this.#takeChanges(record, changes)) changed.add(record)
            if (last.inclusion === undefined) headless.add(record)
            else {
              headless.delete(record)
              this.#checkHead(record, last, tree)
            }
          } catch (error) {
            if (!(error instanceof AppError)) throw error
            this.refuse(record, error, -1, last.statement)
            changed.add(record)
          }
        }),
      )
      if (answer.more && answer.next <= since) throw new AppError("TAMPERED_LOG")
      this.#complete = Math.max(this.#complete, answer.next)
      more = answer.more
    }
    for (const record of headless) this.refuse(record, new AppError("TAMPERED_CHAIN"), -1, new Uint8Array(0))
    this.#checkPins()
    return [...changed]
  }

  async #takeChanges(record: RecordId, changes: readonly Change[]): Promise<boolean> {
    const { identity, physician, key } = this.#session
    const known = this.rows.get(record)
    let head: ChainHead | null = known === undefined ? null : await headOf(known, identity)
    let summary: Summary = known ?? blank
    let updated = known?.updated ?? 0
    const keys: RecordKey[] = known === undefined ? [] : known.keys.map((_, epoch) => keyOf(known, epoch))
    let moved = false
    for (const change of changes) {
      if (head !== null && change.leaf.index <= head.leaf) {
        if (change.leaf.index === head.leaf && !equal(sha256(change.statement), head.hash))
          throw new AppError("TAMPERED_CHAIN")
        continue
      }
      const link = await extendChain(head, record, change, change.leaf.index, (who) => this.keysOf(who))
      head = link.head
      moved = true
      updated = link.entry.time
      if (change.selfGrant !== undefined) {
        const place = selfGrantPlace(physician, record, link.entry.epoch)
        const recordKey = asSecretKey<"record">(await open(key, place, change.selfGrant, { exact: true }))
        await checkCommit(recordKey, record, link.entry.epoch, head.commits.get(link.entry.epoch))
        keys[link.entry.epoch] = recordKey
      }
      if (link.entry.summary !== undefined) summary = await this.#openSummary(link.entry, change, keys)
    }
    if (head === null || !moved) return false
    this.take(rowOf(head, identity, keys, summary, updated))
    return true
  }

  async #openSummary(entry: EntryStatement, change: Change, keys: readonly RecordKey[]): Promise<Summary> {
    checkToken(entry.summary, change.summary)
    const key = keys[entry.epoch]
    if (key === undefined || change.summary === undefined) throw new AppError("CANNOT_OPEN")
    try {
      return parseSummary(await open(key, summaryPlace(entry.record, entry.epoch, entry.seq), change.summary))
    } catch {
      return blank
    }
  }

  #checkHead(record: RecordId, change: Change, tree: { size: number; root: Uint8Array }): void {
    const row = this.rows.get(record)
    if (row === undefined || row.leaf !== change.leaf.index) return
    const entry = { subject: record, stream: "entry", type: "entry", number: row.seq } as const
    const leaf = { ...entry, actor: authorOf(change), statementHash: sha256(change.statement) }
    this.#session.log.checkLeaf(change.leaf, change.inclusion ?? [], leaf, tree)
  }

  /** What this device saw before must still be there. */
  #checkPins(): void {
    for (const [record, pin] of this.#session.pins.heads) {
      const row = this.rows.get(record)
      const kept = row !== undefined && (row.seq > pin.seq || (row.seq === pin.seq && equal(hashOf(row), pin.hash)))
      if (!kept && !this.refused.has(record))
        this.refuse(record, new AppError("TAMPERED_ROLLBACK"), pin.seq, new Uint8Array(0))
    }
  }

  /** Keys that claim to be a physician's; the chain holds them against the member list. */
  keysOf(physician: PhysicianId): PublicKeys | null {
    return physician === this.#session.physician ? this.#session.identity : null
  }

  async #fold(): Promise<void> {
    const session = this.#session
    const { transport } = session.around
    if (this.#complete < session.log.tree.size) await this.sync()
    const base = session.keyring.roster
    const folded = new Set(this.#loose)
    const { kept, rows } = this.#plan(base)
    const complete = this.#complete
    const made = new Map<SegmentId, { hash: Uint8Array; rows: RosterRow[] }>()
    const drop = (ids: Iterable<SegmentId>) =>
      Promise.all(Array.from(ids, (id) => transport.call("DELETE", segmentPath(id)).catch(() => {})))
    try {
      for (let at = 0; at < rows.length; at += segmentRows) {
        const part = rows.slice(at, at + segmentRows)
        const id = newId<"segment">() as SegmentId
        const token = await seal(session.key, rosterPlace(session.physician, id), encodeRows(part))
        if (token.length > segmentMaxBytes) throw new AppError("BAD_INPUT_SIZE")
        made.set(id, { hash: sha256(token), rows: part })
        await transport.call("PUT", segmentPath(id), { bytes: token })
      }
      const fresh = Array.from(made, ([id, { hash, rows: part }]) => ({ id, hash, records: part.length }))
      const leaf = await session.updateKeyring((keyring) => {
        if (keyring.roster.complete !== base.complete || !sameSegments(keyring.roster, base))
          throw new AppError("CONFLICT_EXISTS")
        return { ...keyring, roster: { segments: [...kept, ...fresh], complete } }
      })
      if (leaf === this.#complete) this.#complete++
    } catch (error) {
      await drop(made.keys())
      if (error instanceof AppError && error.code === "CONFLICT_EXISTS") {
        await this.load()
        await this.sync()
        return
      }
      throw error
    }
    const gone = [...base.segments.map(({ id }) => id), ...this.#strays].filter(
      (id) => !kept.some((one) => one.id === id),
    )
    for (const id of gone) this.#segments.delete(id)
    for (const [id, part] of made)
      this.#segments.set(
        id,
        part.rows.map((row) => row.id),
      )
    for (const record of folded) {
      const row = this.rows.get(record)
      if (row !== undefined && row.leaf < complete) this.#loose.delete(record)
    }
    this.#strays = []
    await drop(gone)
    await session.pins.save((record, seq) => !this.#loose.has(record) && seq <= (this.rows.get(record)?.seq ?? -1))
  }

  /** Either the loose rows alone go into fresh segments, together with small segments at the end, or, when too much of what is packed
   * has been overtaken, everything is packed anew. */
  #plan(base: Keyring["roster"]): { kept: Keyring["roster"]["segments"]; rows: RosterRow[] } {
    const packed = base.segments.reduce((sum, segment) => sum + segment.records, 0)
    if (packed + this.#loose.size > this.rows.size * 1.5 + segmentRows)
      return { kept: [], rows: [...this.rows.values()] }
    const kept = [...base.segments]
    const ids = new Set(this.#loose)
    for (let last = kept.at(-1); last !== undefined; last = kept.at(-1)) {
      if (last.records + ids.size > segmentRows) break
      for (const id of this.#segments.get(last.id) ?? []) ids.add(id)
      kept.pop()
    }
    return { kept, rows: [...ids].map((id) => this.rows.get(id)!).filter((row) => row !== undefined) }
  }
}

/** Reads what the server sends of all segments: 16 B id, u32be length, token; again and again. @throws BAD_INPUT_FORMAT */
function parseSegments(bytes: Uint8Array): Map<SegmentId, Uint8Array> {
  const segments = new Map<SegmentId, Uint8Array>()
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length)
  for (let at = 0; at < bytes.length; ) {
    if (at + 20 > bytes.length) throw new AppError("BAD_INPUT_FORMAT")
    const length = view.getUint32(at + 16)
    if (at + 20 + length > bytes.length) throw new AppError("BAD_INPUT_FORMAT")
    segments.set(
      idFromBytes<"segment">(bytes.subarray(at, at + 16)) as SegmentId,
      bytes.subarray(at + 20, at + 20 + length),
    )
    at += 20 + length
  }
  return segments
}

function sameSegments(a: Keyring["roster"], b: Keyring["roster"]): boolean {
  return a.segments.length === b.segments.length && a.segments.every((segment, i) => segment.id === b.segments[i]!.id)
}

function hashOf(row: RosterRow): Uint8Array {
  return parseBase64url(row.hash)
}

function authorOf(change: Change): PhysicianId {
  return parseEntry(change.statement).author
}
