import { encodeBase64url, parseBase64url } from "../encoding/base64.ts"
import { equal } from "../encoding/bytes.ts"
import type { PhysicianId, RecordId, SegmentId } from "../encoding/ids.ts"
import { AppError } from "../errors.ts"
import type { Keyring } from "../vault/keyring.ts"
import { digestHeads, pullChanges } from "./changes.ts"
import { falseKey } from "./false-keys.ts"
import { LeafWatch, type Look } from "./leaf-watch.ts"
import { gapsOf, keysOf, membersOf, type RosterRow } from "./roster-row.ts"
import {
  deleteSegments,
  type NewSegment,
  type OpenSegment,
  openSegments,
  putSegments,
  type Segments,
  segmentRows,
} from "./segments.ts"
import { putSelfGrants } from "./self-grants.ts"
import type { Session } from "./session.ts"

/** Loose changes are folded into segments when they pass this. */
const foldAt = 300
/** So many leaves of others are looked through once, and not again at every sign-in. */
const foldAfterLeaves = 4096
const catchUps = 5
const clockSlackMs = 24 * 3_600_000

export interface Refusal {
  readonly code: AppError["code"]
  readonly message: string
  readonly seq: number
  readonly statement: string
  /** The colleague who signed what is refused, where it is not the server's doing: an owner may remove them, and go on. */
  readonly by: PhysicianId | null
}

/** A refusal as what is thrown for it. */
export function errorOf({ code, message }: Refusal): AppError {
  return new AppError(code, message)
}

/** Everything the physician has, opened: summaries, keys and heads of all records. Read from packed segments and the changes since;
 * a missing roster costs time, never truth: it is rebuilt, and held against the keyring's digest. Format: docs/formats/roster.md */
export class Roster {
  readonly #session: Session
  readonly rows = new Map<RecordId, RosterRow>()
  /** Records whose chain was refused: shown as tampered, nothing else of them. */
  readonly refused = new Map<RecordId, Refusal>()
  /** Invitations that were found to be false when they were accepted. */
  readonly refusedInvitations = new Map<RecordId, Refusal>()
  /** Entries that the log holds and that the server did not show: nothing of their records counts that does not reach as far. */
  readonly owed = new Map<RecordId, number>()
  /** Grows with every change of a row. */
  version = 0
  #complete = 0
  /** Numbers of the entries after which the physician belonged to a record no more: what was asked before does not bring it back. */
  readonly #leftAt = new Map<RecordId, number>()
  /** Rows that are packed and were dropped since. */
  readonly #dropped = new Set<RecordId>()
  #segments = new Map<SegmentId, RecordId[]>()
  #strays: readonly SegmentId[] = []
  #loose = new Set<RecordId>()
  readonly #watch: LeafWatch
  /** Rows of records that were verified and are being accepted: they count once the server's feed says that they are. */
  readonly #accepting = new Map<RecordId, RosterRow>()
  /** What a roster that is being rebuilt has to come to. */
  #rebuilding: { readonly complete: number; readonly digest: Uint8Array } | null = null
  #turn: Promise<unknown> = Promise.resolve()
  #syncing: Promise<RecordId[]> | null = null
  #looking: Promise<void> = Promise.resolve()

  constructor(session: Session) {
    this.#session = session
    this.#watch = new LeafWatch(session, this.rows)
  }

  /** Opens the packed segments that the keyring lists. @param progress rows opened, rows listed. */
  load(progress: (opened: number, total: number) => void = () => {}): Promise<void> {
    return this.#inTurn(() => this.#load(progress))
  }

  /** Pulls what happened since, verifies it, and takes it in. Calls that overlap share one pull.
   * @returns the records that changed. */
  sync(background = false): Promise<RecordId[]> {
    this.#syncing ??= this.#inTurn(() => this.#pull(background)).finally(() => {
      this.#syncing = null
    })
    return this.#syncing
  }

  /** The same, but begins after this call: what the server has done by now is in it. */
  async syncAfresh(): Promise<RecordId[]> {
    await this.#syncing?.catch(() => {})
    return this.sync()
  }

  /** Takes in a head that this client has verified itself. */
  take(row: RosterRow): void {
    const known = this.rows.get(row.id)
    if (row.seq <= (this.#leftAt.get(row.id) ?? -1)) return
    if ((known !== undefined && known.seq > row.seq) || (this.owed.get(row.id) ?? 0) > row.seq) return
    this.rows.set(row.id, row)
    this.#settle(row)
    this.refusedInvitations.delete(row.id)
    this.#loose.add(row.id)
    if (row.leaf === this.#complete) this.#complete++
    this.#session.pins.moveHead(row.id, { seq: row.seq, hash: hashOf(row), leaf: row.leaf })
    this.version++
  }

  /** A row ends what was said against its record, unless its own newest key is one that a colleague falsified: whoever brings such a row,
   * the record is locked. */
  #settle(row: RosterRow): void {
    const by = gapsOf(row).get(row.epoch)
    if (by === undefined) this.refused.delete(row.id)
    else if (this.refused.get(row.id)?.by !== by)
      this.refuse(row.id, falseKey("TAMPERED_GRANT"), row.seq, new Uint8Array(0), by)
  }

  /** Forgets a record that the physician left or was removed from. @param at the number of the entry that said so. */
  drop(record: RecordId, at = this.rows.get(record)?.seq ?? -1): void {
    this.#leftAt.set(record, Math.max(at, this.#leftAt.get(record) ?? -1))
    this.#session.pins.drop(record)
    this.refused.delete(record)
    this.#loose.delete(record)
    this.rows.delete(record)
    for (const packed of this.#segments.values()) if (packed.includes(record)) this.#dropped.add(record)
    this.version++
  }

  /** Stores the physician's own seals of keys that were granted to them, and so accepts a record that they were invited to.
   * @param row what `sync` takes in once the server says that the record is accepted. */
  async accept(taken: readonly { readonly row: RosterRow }[]): Promise<void> {
    for (const { row } of taken) this.#accepting.set(row.id, row)
    const grants = taken.flatMap(({ row }) =>
      keysOf(row).flatMap((key, epoch) => (key === undefined ? [] : [{ record: row.id, epoch, key }])),
    )
    await putSelfGrants(this.#session, grants)
  }

  /** Why a record that a colleague gave a false key of cannot be opened, where its row has all that was verified; an owner may go on. */
  lockedBy(record: RecordId): (Refusal & { readonly by: PhysicianId }) | null {
    const refusal = this.refused.get(record)
    return refusal?.by == null ? null : { ...refusal, by: refusal.by }
  }

  /** Settles once every leaf that was pulled has been looked at. @throws what that found: see {@link LeafWatch} */
  looked(): Promise<void> {
    return this.#looking
  }

  refuse(record: RecordId, error: AppError, seq: number, statement: Uint8Array, by: Refusal["by"] = null): void {
    const { code, message } = error
    this.refused.set(record, { code, message, seq, statement: encodeBase64url(statement), by })
    this.version++
  }

  /** Folds loose changes into fresh segments once there are enough. Another device may do the same: the keyring's
   * compare-and-swap decides, and the loser's segments are dropped. Nothing is folded while a record is refused: what the server
   * has not shown yet must be asked for again. */
  async fold(force = false): Promise<void> {
    const lag = () => this.#complete - this.#session.keyring.roster.complete
    const due = () =>
      this.refused.size === 0 &&
      // What is no longer theirs does not stay packed.
      (this.#dropped.size > 0 || this.#loose.size >= (force ? 1 : foldAt) || lag() >= foldAfterLeaves)
    if (!due()) return
    const folding = this.#inTurn(async () => (due() ? this.#fold() : undefined))
    // What was written is stored: that it could not be packed is no reason to say otherwise.
    const later = (error: unknown) => error instanceof AppError && (error.is("UNAVAILABLE") || error.is("BAD_INPUT"))
    await folding.catch((error: unknown) => {
      if (force || !later(error)) throw error
    })
  }

  /** Loading, pulling and folding never overlap: each begins where the last one ended. */
  #inTurn<T>(work: () => Promise<T>): Promise<T> {
    const next = this.#turn.then(work, work)
    this.#turn = next.catch(() => {})
    return next
  }

  async #load(progress: (opened: number, total: number) => void): Promise<void> {
    const session = this.#session
    const number = session.keyringNumber
    const { segments, complete, digest } = session.keyring.roster
    const opened = await this.#openSegments(segments, progress)
    if (opened === null && (await session.pullKeyring()) > number) return this.#load(progress)
    this.rows.clear()
    this.#segments.clear()
    this.#loose.clear()
    this.#dropped.clear()
    this.#complete = opened === null ? 0 : complete
    this.#rebuilding = opened === null ? { complete, digest } : null
    for (const { id, rows } of opened ?? []) {
      for (const row of rows) {
        this.rows.set(row.id, row)
        this.#settle(row)
      }
      this.#segments.set(
        id,
        rows.map((row) => row.id),
      )
    }
    this.version++
  }

  /** `null` where a listed segment is missing, is another one, or does not open. */
  async #openSegments(
    segments: Segments,
    progress: (opened: number, total: number) => void,
  ): Promise<readonly OpenSegment[] | null> {
    try {
      const { opened, strays } = await openSegments(this.#session, segments, progress)
      this.#strays = strays
      return opened
    } catch (error) {
      if (error instanceof AppError && error.code === "CANNOT_OPEN") return null
      throw error
    }
  }

  async #pull(background: boolean): Promise<RecordId[]> {
    // A roster that is rebuilt is held against its digest as a whole: not while a head of it was refused, and all again after that.
    const whole = (refused: Iterable<{ readonly by: unknown }>) => [...refused].every(({ by }) => by !== null)
    const rebuilding = whole(this.refused.values()) ? this.#rebuilding : null
    const row = (record: RecordId) => (rebuilding === null ? this.rows.get(record) : undefined)
    const known = (record: RecordId) => row(record) ?? this.#accepting.get(record)
    const mine = (record: RecordId) => row(record) !== undefined
    const look = (one: Look) => this.#watch.add(one)
    const asOf = rebuilding?.complete ?? 0
    const since = rebuilding === null ? this.#complete : 0
    const pulled = await pullChanges(this.#session, since, known, { background, asOf, mine, look })
    if (rebuilding !== null && whole(pulled.refused.values())) {
      if (!equal(digestHeads(pulled.heads), rebuilding.digest)) throw this.#session.log.refuse("TAMPERED_ROLLBACK")
      this.#rebuilding = null
    }
    for (const [record, from] of pulled.excused) this.#watch.excuse(record, from)
    for (const row of pulled.rows) {
      this.take(row)
      this.#accepting.delete(row.id)
    }
    for (const [record, at] of pulled.gone) this.drop(record, at)
    // A lock is the row's; what is added is the evidence, once.
    for (const [record, { error, statement, by }] of pulled.refused)
      if (by === null || this.lockedBy(record)?.statement === "") this.refuse(record, error, -1, statement, by)
    this.#complete = Math.max(this.#complete, pulled.complete)
    // Before the leaves are looked at: whose time is over is owed nothing more.
    const ended = this.#dropEnded(Math.min(pulled.time, this.#session.around.now() + clockSlackMs))
    this.#checkPins()
    this.#looking = this.#look()
    this.#looking.catch(() => {})
    // Until they are stored, the grants themselves open as well.
    await putSelfGrants(this.#session, pulled.granted).catch(() => {})
    return [...pulled.rows.map((row) => row.id), ...pulled.gone.keys(), ...ended, ...pulled.refused.keys()]
  }

  async #look(): Promise<void> {
    for (const { record, seq } of await this.#watch.run()) {
      this.owed.set(record, seq)
      // What came along and was refused is not withheld: its own reason, and the evidence, stay.
      if (!this.refused.has(record) || this.lockedBy(record) !== null)
        this.refuse(record, new AppError("TAMPERED_ROLLBACK"), seq, new Uint8Array(0))
    }
  }

  /** A membership that was given until a day ends by itself, without an entry. @param now by the server's clock, which enforces it, and
   * which is believed as far as a device's own may be wrong */
  #dropEnded(now: number): RecordId[] {
    const ended: RecordId[] = []
    for (const row of this.rows.values()) {
      const end = this.#endOf(row)
      if (end === null || end > now) continue
      this.drop(row.id)
      ended.push(row.id)
    }
    return ended
  }

  /** Until when the physician belongs to a row's record; `null` for no end. */
  #endOf(row: RosterRow): number | null {
    if (!row.chain.includes('"until"')) return null
    return membersOf(row)?.find(({ physician }) => physician === this.#session.physician)?.until ?? null
  }

  /** What this device saw before must still be there, unless another device of the physician, which saw at least as much, let it go. */
  #checkPins(): void {
    const { pins, keyring } = this.#session
    for (const [record, pin] of pins.heads) {
      const row = this.rows.get(record)
      const kept = row !== undefined && (row.seq > pin.seq || (row.seq === pin.seq && equal(hashOf(row), pin.hash)))
      if (kept || this.refused.has(record)) continue
      if (row === undefined && this.#rebuilding === null && pin.leaf < keyring.roster.complete) pins.drop(record)
      else this.refuse(record, new AppError("TAMPERED_ROLLBACK"), pin.seq, new Uint8Array(0))
    }
  }

  async #fold(): Promise<void> {
    const session = this.#session
    for (let tries = 0; this.#behind() || this.#rebuilding !== null; tries++) {
      if (tries === catchUps) return
      await this.#pull(true)
    }
    if (this.refused.size > 0) return
    const base = session.keyring.roster
    const { kept, rows } = this.#plan(base.segments)
    const complete = this.#complete
    const lasting = [...this.rows.values()].filter((row) => this.#endOf(row) === null)
    const digest = digestHeads(lasting.map((row) => [row.id, { seq: row.seq, hash: hashOf(row) }]))
    const made: NewSegment[] = []
    try {
      await putSegments(session, rows, made)
      const fresh = made.map(({ id, hash, rows: part }) => ({ id, hash, records: part.length }))
      const leaf = await session.updateKeyring((keyring) => {
        if (!sameRoster(keyring.roster, base)) throw new AppError("CONFLICT_EXISTS")
        return { ...keyring, roster: { segments: [...kept, ...fresh], complete, digest } }
      })
      if (leaf === this.#complete) this.#complete++
    } catch (error) {
      // Whether another error's keyring was stored is not known: its segments stay, and the next fold clears them away if not.
      if (!(error instanceof AppError && error.code === "CONFLICT_EXISTS")) throw error
      await deleteSegments(
        session,
        made.map(({ id }) => id),
      )
      await this.#load(() => {})
      await this.#pull(true)
      return
    }
    const gone = [...base.segments.map(({ id }) => id), ...this.#strays].filter(
      (id) => !kept.some((one) => one.id === id),
    )
    for (const id of gone) this.#segments.delete(id)
    for (const { id, rows: part } of made) {
      this.#segments.set(
        id,
        part.map((row) => row.id),
      )
      for (const row of part) if (this.rows.get(row.id) === row) this.#loose.delete(row.id)
    }
    this.#strays = []
    this.#dropped.clear()
    await deleteSegments(session, gone)
    await session.pins.save((record, seq) => !this.#loose.has(record) && seq <= (this.rows.get(record)?.seq ?? -1))
  }

  /** Whether some row is of a leaf that the roster does not claim to be complete to. */
  #behind(): boolean {
    for (const record of this.#loose) if (this.rows.get(record)!.leaf >= this.#complete) return true
    return false
  }

  /** Either the loose rows alone go into fresh segments, together with small segments at the end, or, when too much of what is packed
   * has been overtaken, everything is packed anew. */
  #plan(base: Segments): { kept: Segments; rows: RosterRow[] } {
    const packed = base.reduce((sum, segment) => sum + segment.records, 0)
    const rebuilt = base.some((segment) => !this.#segments.has(segment.id))
    if (rebuilt || packed + this.#loose.size > this.rows.size * 1.5 + segmentRows)
      return { kept: [], rows: [...this.rows.values()] }
    const ids = new Set(this.#loose)
    const kept: Segments = []
    for (const segment of base) {
      const rows = this.#segments.get(segment.id) ?? []
      // A packed row that was dropped goes with its segment; the others of it are packed again.
      if (rows.some((id) => this.#dropped.has(id))) for (const id of rows) ids.add(id)
      else kept.push(segment)
    }
    for (let last = kept.at(-1); last !== undefined; last = kept.at(-1)) {
      if (last.records + ids.size > segmentRows) break
      for (const id of this.#segments.get(last.id) ?? []) ids.add(id)
      kept.pop()
    }
    return { kept, rows: [...ids].map((id) => this.rows.get(id)!).filter((row) => row !== undefined) }
  }
}

function sameRoster(a: Keyring["roster"], b: Keyring["roster"]): boolean {
  return (
    a.complete === b.complete &&
    a.segments.length === b.segments.length &&
    a.segments.every((segment, i) => segment.id === b.segments[i]!.id)
  )
}

function hashOf(row: RosterRow): Uint8Array {
  return parseBase64url(row.hash)
}
