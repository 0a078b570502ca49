import { encodeBase64url, parseBase64url } from "../encoding/base64.ts"
import { equal } from "../encoding/bytes.ts"
import type { PhysicianId, RecordId, SegmentId } from "../encoding/ids.ts"
import { AppError } from "../errors.ts"
import { leafTag } from "../proof/leaf.ts"
import type { Keyring } from "../vault/keyring.ts"
import { notAccepted } from "./acceptance.ts"
import { type Bound, boundOf, missingFrom, type PinnedHead, sameBound } from "./bound.ts"
import { pullChanges } from "./changes.ts"
import { falseKey } from "./false-keys.ts"
import { LeafWatch, type Look, type Withheld } from "./leaf-watch.ts"
import { beginsAs } from "./looked-leaves.ts"
import { gapAt, headThen, keysOf, type RosterRow, sameRow, untilOf } from "./roster-row.ts"
import { RosterRows } from "./roster-rows.ts"
import { type NewSegment, type OpenSegment, openSegments, putSegments, type Segments, segmentRows } from "./segments.ts"
import { putSelfGrants } from "./self-grants.ts"
import type { Session } from "./session.ts"
import type { Walk } from "./walk.ts"
import { whyMissing } from "./why-missing.ts"

/** Loose changes are folded into segments when they pass this. */
const foldAt = 300
/** So many leaves of others are looked through once, and not again at every sign-in. */
const foldAfterLeaves = 4096
const catchUps = 5
/** So long after a change it is bound: within a minute, and many at once. */
const bindAfterMs = 45_000
const clockSlackMs = 24 * 3_600_000

/** Packed rows that a device begins with, of changes before leaf `complete`; none where they had to be given up. */
interface Unchecked {
  readonly base: ReadonlyMap<RecordId, RosterRow>
  readonly complete: number
  readonly keyring: Listed
}

/** What a keyring says of the roster. */
type Listed = Pick<Keyring, "bound" | "roster">

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
  readonly rows = new RosterRows()
  /** Records whose chain was refused: shown as tampered, nothing else of them. */
  readonly refused = new Map<RecordId, Refusal>()
  /** Invitations that were found to be false when they were accepted. */
  readonly refusedInvitations = new Map<RecordId, Refusal>()
  /** Records that the physician had accepted, and is only invited to since a restore took that back; with the number of the head. */
  readonly toAccept = new Map<RecordId, number>()
  /** Entries that the log holds and that the server did not show: nothing of their records counts that does not reach as far. */
  readonly owed = new Map<RecordId, number>()
  /** Grows with every change of a row. */
  version = 0
  /** Whether what was loaded has been brought up to date once. */
  isComplete = false
  #complete = 0
  /** Numbers of the entries after which the physician belonged to a record no more: what was asked before does not bring it back. */
  readonly leftAt = new Map<RecordId, number>()
  /** Rows that are packed and were dropped since. */
  readonly #dropped = new Set<RecordId>()
  /** What is packed, as it was when it was. */
  #segments = new Map<SegmentId, readonly RosterRow[]>()
  #loose = new Set<RecordId>()
  readonly #watch: LeafWatch
  /** Rows of records that were verified and are being accepted: they count once the server's feed says that they are. */
  readonly #accepting = new Map<RecordId, RosterRow>()
  /** What was loaded, and what it has to come to before it counts; `null` once it has. */
  #unchecked: Unchecked | null = null
  /** What this roster was held against last, or has bound itself. */
  #held: Listed | null = null
  /** Saves the bound a moment after a change. */
  #binding: ReturnType<typeof setTimeout> | null = null
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
    if (row.seq <= (this.leftAt.get(row.id) ?? -1)) return
    if ((known !== undefined && known.seq > row.seq) || (this.owed.get(row.id) ?? 0) > row.seq) return
    this.rows.set(row.id, row)
    this.#watch.moved(row)
    this.#settle(row)
    this.refusedInvitations.delete(row.id)
    this.toAccept.delete(row.id)
    this.#loose.add(row.id)
    if (row.leaf === this.#complete) this.#complete++
    this.#session.pins.moveHead(row.id, { seq: row.seq, hash: hashOf(row), leaf: row.leaf })
    this.#bindSoon()
    this.version++
  }

  /** A row ends what was said against its record, unless its own newest key is one that a colleague falsified: whoever brings such a row,
   * the record is locked. */
  #settle(row: RosterRow): void {
    const by = gapAt(row, row.epoch)
    if (by === undefined) this.refused.delete(row.id)
    else if (this.refused.get(row.id)?.by !== by)
      this.refuse(row.id, falseKey("TAMPERED_GRANT"), row.seq, new Uint8Array(0), by)
  }

  /** Forgets a record that the physician left or was removed from. @param at the number of the entry that said so. */
  drop(record: RecordId, at = this.rows.get(record)?.seq ?? -1): void {
    this.leftAt.set(record, Math.max(at, this.leftAt.get(record) ?? -1))
    this.#session.pins.drop(record)
    this.refused.delete(record)
    this.toAccept.delete(record)
    this.#loose.delete(record)
    this.rows.delete(record)
    this.#watch.forget(record)
    this.#bindSoon()
    for (const packed of this.#segments.values()) if (packed.some(({ id }) => id === record)) this.#dropped.add(record)
    this.version++
  }

  /** Stores the physician's own seals of keys that were granted to them, and so accepts a record that they were invited to.
   * @param row what `sync` takes in once the server says that the record is accepted. */
  async accept(
    taken: readonly { readonly row: RosterRow; readonly spoilt: ReadonlyMap<number, Uint8Array> }[],
  ): Promise<void> {
    for (const { row } of taken) this.#accepting.set(row.id, row)
    const grants = taken.flatMap(({ row, spoilt }) =>
      keysOf(row).flatMap((key, epoch) =>
        key === undefined ? [] : [{ record: row.id, epoch, key, prev: spoilt.get(epoch) }],
      ),
    )
    await putSelfGrants(this.#session, grants)
  }

  /** Why a record that a colleague gave a false key of cannot be opened, where its row has all that was verified; an owner may go on. */
  lockedBy(record: RecordId): (Refusal & { readonly by: PhysicianId }) | null {
    const refusal = this.refused.get(record)
    return refusal?.by == null ? null : { ...refusal, by: refusal.by }
  }

  /** Holds what is here against heads that this device has kept, as against its pins: where one is missing for no good reason, that record
   * is refused. */
  async holdTo(heads: Iterable<readonly [RecordId, PinnedHead & { readonly leaf: number }]>): Promise<void> {
    for (const [record, head] of heads) if (!this.toAccept.has(record)) this.#session.pins.moveHead(record, head)
    await this.#inTurn(() => this.#checkPins(this.#session.around.now()))
  }

  /** Settles once every leaf that was pulled has been looked at. @throws what that found: see {@link LeafWatch} */
  looked(): Promise<void> {
    return this.#looking
  }

  /** Whether the log has an entry, by its leaves from index `from` on and not by what the server says of the record.
   * @throws see {@link LeafWatch.tags} */
  async isInLog(record: RecordId, seq: number, from: number): Promise<boolean> {
    const tag = leafTag(record, "entry", seq)
    for await (const leaf of this.#watch.tags(from, this.#session.pins.tree.size))
      if (beginsAs(tag, leaf.tag)) return true
    return false
  }

  /** Waits until every leaf that was pulled has been looked at, before anything is sealed for a record's members.
   * @throws why the record is refused, unless a colleague locked it */
  async demandLooked(record: RecordId): Promise<void> {
    if (this.#watch.isLate(record)) this.#lookSoon()
    await this.looked()
    const refusal = this.refused.get(record)
    if (refusal !== undefined && refusal.by === null) throw errorOf(refusal)
  }

  /** The same for a record whose head was learnt of late: what comes after it may stand in leaves that were looked at before. */
  async demandLookedBack(record: RecordId): Promise<void> {
    if (this.#watch.isLate(record)) await this.demandLooked(record)
  }

  refuse(record: RecordId, error: AppError, seq: number, statement: Uint8Array, by: Refusal["by"] = null): void {
    const { code, message } = error
    this.refused.set(record, { code, message, seq, statement: encodeBase64url(statement), by })
    this.version++
  }

  /** Folds loose changes into fresh segments once there are enough. Another device may do the same: the keyring's compare-and-swap
   * decides, and whoever loses begins anew on what the winner saved. Nothing is folded while a record is refused: what the server has not
   * shown yet must be asked for again. */
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

  /** Says in the keyring which records there are and where each stands, so that a device that begins anew must be shown no less. While a
   * record is refused for what the server did, the bound stays where it is. */
  bind(): Promise<void> {
    clearTimeout(this.#binding ?? undefined)
    this.#binding = null
    return this.#inTurn(() => this.#bind())
  }

  /** Loading, pulling and folding never overlap: each begins where the last one ended. */
  #inTurn<T>(work: () => Promise<T>): Promise<T> {
    const next = this.#turn.then(work, work)
    this.#turn = next.catch(() => {})
    return next
  }

  async #load(progress: (opened: number, total: number) => void): Promise<void> {
    this.isComplete = false
    this.#unchecked = await this.#openPacked(progress)
    this.rows.clear()
    this.#loose.clear()
    this.#dropped.clear()
    const { base, complete } = this.#unchecked
    for (const row of base.values()) {
      this.rows.set(row.id, row)
      this.#settle(row)
    }
    this.#complete = complete
    this.#watch.begin(complete)
    this.version++
  }

  /** Opens what the keyring lists, and says what it has to come to. */
  async #openPacked(progress: (opened: number, total: number) => void): Promise<Unchecked> {
    const session = this.#session
    const number = session.keyringNumber
    const { bound, roster } = session.keyring
    const opened = await this.#openSegments(roster.segments, progress)
    if (opened === null && (await session.pullKeyring()) > number) return this.#openPacked(progress)
    this.#segments = new Map((opened ?? []).map(({ id, rows }) => [id, rows]))
    const base = new Map((opened ?? []).flatMap(({ rows }) => rows.map((row) => [row.id, row] as const)))
    return { base, complete: opened === null ? 0 : roster.complete, keyring: { bound, roster } }
  }

  /** Another device has bound, or packed, something else: what this one was shown is held against that as if it began anew. */
  async #holdAgain(): Promise<void> {
    const unchecked = await this.#openPacked(() => {})
    for (const row of unchecked.base.values()) if ((this.rows.get(row.id)?.seq ?? -1) < row.seq) this.take(row)
    const isPacked = (row: RosterRow) => unchecked.base.get(row.id)?.hash === row.hash
    this.#loose = new Set([...this.rows.values()].filter((row) => !isPacked(row)).map(({ id }) => id))
    this.#dropped.clear()
    for (const id of unchecked.base.keys()) if (!this.rows.has(id)) this.#dropped.add(id)
    this.#unchecked = unchecked
  }

  #isHeld(keyring: Listed): boolean {
    const held = this.#held
    if (held === null || !sameRoster(keyring.roster, held.roster)) return false
    return keyring.bound.leaf === held.bound.leaf && sameBound(keyring.bound, held.bound)
  }

  /** `null` where a listed segment is missing, is another one, or does not open. */
  async #openSegments(
    segments: Segments,
    progress: (opened: number, total: number) => void,
  ): Promise<readonly OpenSegment[] | null> {
    try {
      if (segments.every(({ id }) => this.#segments.has(id)))
        return segments.map(({ id }) => ({ id, rows: this.#segments.get(id)! }))
      return await openSegments(this.#session, segments, progress)
    } catch (error) {
      if (error instanceof AppError && error.code === "CANNOT_OPEN") return null
      throw error
    }
  }

  async #pull(background: boolean): Promise<RecordId[]> {
    // What was loaded is held against the bound as a whole: not while a head of it was refused, and all again after that.
    const whole = (refused: Iterable<{ readonly by: unknown }>) => [...refused].every(({ by }) => by !== null)
    const isWhole = whole(this.refused.values())
    if (isWhole && this.#unchecked === null && !this.#isHeld(this.#session.keyring)) await this.#holdAgain()
    const unchecked = isWhole ? this.#unchecked : null
    const known = (record: RecordId) => (unchecked?.base ?? this.rows).get(record) ?? this.#accepting.get(record)
    const pulled = await pullChanges(this.#session, unchecked?.complete ?? this.#complete, known, {
      background,
      asOf: unchecked && { leaf: unchecked.keyring.bound.leaf, base: unchecked.base },
      look: (look: Look) => this.#watch.add(look),
    })
    let withheld: readonly { readonly id: RecordId; readonly seq: number }[] = []
    this.#session.serverTime = pulled.time
    const now = Math.min(pulled.time, this.#session.around.now() + clockSlackMs)
    if (unchecked !== null && whole(pulled.refused.values())) {
      const missing = missingFrom(unchecked.keyring.bound, pulled.heads, now)
      if (missing?.more) throw this.#session.log.refuseMissing(missing.records.map(({ id }) => id))
      if (missing === null) {
        this.#unchecked = null
        this.#held = unchecked.keyring
      }
      withheld = missing?.records ?? []
    }
    for (const { id, seq } of withheld) this.owed.set(id, seq)
    // What is held again has been taken before.
    const moved = pulled.rows.filter((row) => !sameRow(row, this.rows.get(row.id)))
    for (const row of moved) this.take(row)
    for (const { id } of pulled.rows) this.#accepting.delete(id)
    for (const [record, at] of pulled.gone) this.drop(record, at)
    // A lock is the row's; what is added is the evidence, once.
    for (const [record, { error, statement, by }] of pulled.refused)
      if (by === null || this.lockedBy(record)?.statement === "") this.refuse(record, error, -1, statement, by)
    for (const { id, seq } of withheld) this.refuse(id, new AppError("TAMPERED_ROLLBACK"), seq, new Uint8Array(0))
    this.#complete = Math.max(this.#complete, pulled.complete)
    // Before the leaves are looked at: whose time is over is owed nothing more.
    const ended = this.#dropEnded(now)
    await this.#checkPins(now)
    this.#lookSoon()
    // Until they are stored, the grants themselves open as well.
    await putSelfGrants(this.#session, pulled.granted).catch(() => {})
    this.isComplete = true
    const refused = [...pulled.refused.keys(), ...withheld.map(({ id }) => id)]
    return [...moved.map((row) => row.id), ...pulled.gone.keys(), ...ended, ...refused]
  }

  #lookSoon(): void {
    const look = () => this.#watch.run((withheld) => this.#owe(withheld))
    this.#looking = this.#looking.then(look, look)
    this.#looking.catch(() => {})
  }

  #owe(withheld: readonly Withheld[]): void {
    for (const { record, seq } of withheld) {
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
      const end = untilOf(row, this.#session.physician)
      if (end === null || end > now) continue
      this.drop(row.id)
      ended.push(row.id)
    }
    return ended
  }

  /** What this device saw before must still be there, unless the record's own entries say that the physician let it go, or a restore took
   * back that they had accepted it. That another device's roster is without it says nothing: it may never have been shown the record. */
  async #checkPins(now: number): Promise<void> {
    const { pins } = this.#session
    const refuse = (record: RecordId, seq: number) =>
      this.refuse(record, new AppError("TAMPERED_ROLLBACK"), seq, new Uint8Array(0))
    const invited = new Map<Walk, number>()
    for (const [record, pin] of [...pins.heads]) {
      const row = this.rows.get(record)
      const kept = row !== undefined && (row.seq > pin.seq || (row.seq === pin.seq && equal(hashOf(row), pin.hash)))
      if (kept || this.refused.has(record) || this.toAccept.has(record)) continue
      const isAsked = row === undefined && this.#unchecked === null
      const why = isAsked ? await whyMissing(this.#session, record, pin.seq, now) : null
      if (why === null) refuse(record, pin.seq)
      else if ("invited" in why) invited.set(why.invited, pin.seq)
      else if ("left" in why) this.drop(record, why.left)
      else {
        this.take(why.row)
        if (!this.rows.has(record)) refuse(record, pin.seq)
      }
    }
    const tags = (from: number, to: number) => this.#watch.tags(from, to)
    const again = await notAccepted(this.#session, [...invited.keys()], tags)
    for (const [{ record, head }, seq] of invited) {
      // Its pin stays: every roster of this device finds it so until it is accepted, or the physician is out of it.
      if (again.has(record)) this.toAccept.set(record, head!.seq)
      else refuse(record, seq)
    }
  }

  async #bind(): Promise<void> {
    for (let tries = 0; tries < catchUps && (await this.#standsFirm()); tries++) {
      const bound = this.#boundNow(this.#loose)
      if (sameBound(bound, this.#session.keyring.bound)) return
      if (await this.#save((keyring) => ({ ...keyring, bound }))) return
    }
  }

  /** Saves a keyring with another bound, unless another device has bound, or packed, something since. @returns whether it was saved */
  async #save(change: (keyring: Keyring) => Keyring): Promise<boolean> {
    let saved: Listed | null = null
    try {
      const leaf = await this.#session.updateKeyring((keyring) => {
        if (!this.#isHeld(keyring)) throw new AppError("CONFLICT_EXISTS")
        const next = change(keyring)
        saved = next
        return next
      })
      this.#held = saved
      if (leaf === this.#complete) this.#complete++
      return true
    } catch (error) {
      if (!(error instanceof AppError && error.code === "CONFLICT_EXISTS")) throw error
      return false
    }
  }

  /** Pulls and looks until nothing is open. @returns false where it cannot come to that, or a record is refused for what the server did */
  async #standsFirm(): Promise<boolean> {
    const whole = () => [...this.refused.values()].every(({ by }) => by !== null)
    const open = () => this.#behind() || this.#unchecked !== null || !this.#isHeld(this.#session.keyring)
    for (let tries = 0; tries < catchUps && whole(); tries++) {
      if (open()) await this.#pull(true)
      // No leaf that was not looked at is ever claimed to have been.
      await this.looked()
      if (!open()) return whole()
    }
    return false
  }

  #boundNow(loose: Iterable<RecordId>): Bound {
    const me = this.#session.physician
    const heads = new Map(Array.from(this.rows.values(), (row) => [row.id, headThen(row, me)]))
    return boundOf(this.#complete, heads, loose)
  }

  /** Binds what changed within a minute, in the background; where that fails, with the next change, or when the session ends. */
  #bindSoon(): void {
    if (this.#binding !== null) return
    this.#binding = setTimeout(() => void this.bind().catch(() => {}), bindAfterMs)
    // Nobody waits for it: a command that is done ends, and binds before that.
    if (typeof this.#binding === "object") this.#binding.unref()
  }

  async #fold(): Promise<void> {
    for (let tries = 0; tries < catchUps && (await this.#standsFirm()) && this.refused.size === 0; tries++)
      if (await this.#pack()) return
  }

  /** @returns false where another device has bound, or packed, something since */
  async #pack(): Promise<boolean> {
    const session = this.#session
    const base = session.keyring.roster
    const { kept, rows } = this.#plan(base.segments)
    const complete = this.#complete
    const bound = this.#boundNow([])
    const made: NewSegment[] = []
    await putSegments(session, rows, made)
    const fresh = made.map(({ id, hash, rows: part }) => ({ id, hash, records: part.length }))
    const roster = { segments: [...kept, ...fresh], complete }
    // What was stored and is in no keyring is cleared away with a later one.
    if (!(await this.#save((keyring) => ({ ...keyring, roster, bound })))) return false
    for (const { id } of base.segments) if (!kept.some((one) => one.id === id)) this.#segments.delete(id)
    for (const { id, rows: part } of made) {
      this.#segments.set(id, part)
      for (const row of part) if (this.rows.get(row.id) === row) this.#loose.delete(row.id)
    }
    this.#dropped.clear()
    await session.pins.save((record, seq) => !this.#loose.has(record) && seq <= (this.rows.get(record)?.seq ?? -1))
    return true
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
      if (rows.some(({ id }) => this.#dropped.has(id))) for (const { id } of rows) ids.add(id)
      else kept.push(segment)
    }
    for (let last = kept.at(-1); last !== undefined; last = kept.at(-1)) {
      if (last.records + ids.size > segmentRows) break
      for (const { id } of this.#segments.get(last.id) ?? []) ids.add(id)
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
