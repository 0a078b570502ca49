import type { z } from "zod"
import { sha256 } from "#sha256"
import { compare, concat, concatAll, equal, u64be } from "../encoding/bytes.ts"
import { idBytes, type RecordId } from "../encoding/ids.ts"
import { AppError } from "../errors.ts"
import type { TreeHead } from "../proof/checkpoint.ts"
import { type EntryStatement, parseEntry } from "../proof/entry.ts"
import { leafData, leafDataBytes } from "../proof/leaf.ts"
import { type Stretch, verifyStretch } from "../proof/stretch.ts"
import { paths } from "../protocol/paths.ts"
import { readChanges } from "../protocol/records.ts"
import { type Failure, missingKey, notTaken } from "./false-keys.ts"
import type { Look } from "./leaf-watch.ts"
import { gapsOf, type RosterRow } from "./roster-row.ts"
import type { GrantedKey } from "./self-grants.ts"
import type { Session } from "./session.ts"
import { knownEntry, memberOf, rowOfWalk, startWalk, takeStep, type Walk, walkOn, walkRecord } from "./walk.ts"

type Reply = z.output<typeof readChanges.reply>
type Change = Reply["entries"][number]

export interface PinnedHead {
  readonly seq: number
  readonly hash: Uint8Array
}

export interface Pulled {
  /** Every leaf before this index has been looked at. */
  readonly complete: number
  /** Heads that moved, each verified, with every entry's leaf where the log has it; also of a record that a colleague locked. */
  readonly rows: readonly RosterRow[]
  /** Records that the physician is no member of any more, by an entry that was verified: its number. */
  readonly gone: ReadonlyMap<RecordId, number>
  readonly refused: ReadonlyMap<RecordId, Failure>
  /** The heads as they stood before leaf `asOf`, where that was asked for. */
  readonly heads: ReadonlyMap<RecordId, PinnedHead>
  /** Records that were not the physician's before an answer said that they accepted them, with the leaf from which that answer began:
   * no entry before it was owed. */
  readonly excused: ReadonlyMap<RecordId, number>
  /** The server's clock at the last answer, milliseconds since 1970. */
  readonly time: number
  /** Keys that were granted and that have no self-grant yet. */
  readonly granted: readonly GrantedKey[]
}

export interface PullOptions {
  readonly background: boolean
  /** Where the heads are wanted as they stood at an earlier leaf. */
  readonly asOf: number
  /** Whether a record is one of the physician's already. */
  readonly mine: (record: RecordId) => boolean
  /** Told of every stretch of the log. */
  readonly look: (look: Look) => void
}

/** A record's head at the leaf `asOf`, and since when the physician was a member then. */
interface HeadThen extends PinnedHead {
  readonly memberSince: number
  readonly own: boolean
  /** Whether the membership had a last day. */
  readonly ends: boolean
}

const pageSize = 1000

/** Pulls all that was appended to the physician's records from leaf `since` on, with every leaf of the log from there, and verifies it
 * from the heads that are known. Nothing is taken in here.
 * @throws TAMPERED_LOG, TAMPERED_FORK when the answer does not fit the log; what is wrong with one record refuses that one alone */
export async function pullChanges(
  session: Session,
  since: number,
  known: (record: RecordId) => RosterRow | undefined,
  options: PullOptions,
): Promise<Pulled> {
  const pull = new Pull(session, known, options)
  let complete = since
  let time = 0
  for (let more = true; more; ) {
    const from = complete
    const { answer, tree } = await session.log.exchange(
      (pinned) =>
        session.around.transport.call("GET", paths.changes, {
          query: { since: from, limit: pageSize, pinned: pinned.size },
          reply: readChanges.reply,
          background: options.background,
        }),
      (reply) => reply.log,
    )
    try {
      await pull.page(answer, from, tree, options.look)
    } catch (error) {
      throw error instanceof AppError && error.code === "TAMPERED_LOG" ? session.log.refuse("TAMPERED_LOG") : error
    }
    complete = answer.next
    more = answer.more
    time = answer.time
  }
  return pull.end(complete, time)
}

/** One hash over all heads: what a roster that has to be rebuilt is held against.
 * SHA-256 over id (16 B) ‖ u64be seq ‖ hash (32 B) of every record, sorted by id. */
export function digestHeads(heads: Iterable<readonly [RecordId, PinnedHead]>): Uint8Array<ArrayBuffer> {
  const parts = Array.from(heads, ([record, { seq, hash }]) => concat(idBytes(record), u64be(seq), hash))
  return sha256(concatAll(parts.sort(compare)))
}

/** One pull, page by page. */
class Pull {
  readonly #session: Session
  readonly #known: (record: RecordId) => RosterRow | undefined
  readonly #asOf: number
  readonly #mine: PullOptions["mine"]
  readonly #walks = new Map<RecordId, Walk>()
  readonly #refused = new Map<RecordId, Failure>()
  readonly #then = new Map<RecordId, HeadThen>()
  readonly #accepted = new Map<RecordId, { readonly leaf: number }[]>()
  readonly #excused = new Map<RecordId, number>()
  /** Records that the physician was out of for a while before leaf `asOf`. */
  readonly #left = new Set<RecordId>()
  /** What the changes of one page say. */
  readonly #entries = new Map<Change, EntryStatement>()
  readonly #granted: GrantedKey[] = []

  constructor(session: Session, known: (record: RecordId) => RosterRow | undefined, options: PullOptions) {
    this.#session = session
    this.#known = known
    this.#asOf = options.asOf
    this.#mine = options.mine
  }

  async page(answer: Reply, from: number, tree: TreeHead, look: PullOptions["look"]): Promise<void> {
    demandOrder(answer, from, tree)
    const stretch: Stretch = { from, to: Math.max(answer.next, from), ...answer.leaves }
    const groups = Map.groupBy(answer.entries, (change) => change.record)
    for (const { record, leaf } of answer.accepted) {
      this.#accepted.set(record, [...(this.#accepted.get(record) ?? []), { leaf }])
      const walk = this.#walks.get(record)
      if (walk === undefined ? !this.#mine(record) : walk.memberSince === null) this.#excused.set(record, from)
      if (!groups.has(record)) groups.set(record, [])
    }
    const seen: TreeHead[] = []
    await Promise.all(Array.from(groups, ([record, changes]) => this.#record(record, changes, seen)))
    const roots = answer.next > from ? verifyStretch(stretch, tree, new Set(seen.map(({ size }) => size))) : new Map()
    const explained = new Set<number>()
    for (const change of answer.entries) {
      const entry = this.#entries.get(change)
      if (entry === undefined) continue
      explained.add(change.leaf.index)
      if (!isLeaf(change, entry, stretch)) this.#refuse(change.record, new AppError("TAMPERED_LOG"), change.statement)
    }
    this.#entries.clear()
    await this.#session.proveSeen(seen, roots)
    look({ from, data: stretch.data, explained })
  }

  async end(complete: number, time: number): Promise<Pulled> {
    const rows: RosterRow[] = []
    const gone = new Map<RecordId, number>()
    for (const [record, walked] of this.#walks) {
      if (this.#refused.has(record) || walked.head === null) continue
      if (walked.memberSince === null) gone.set(record, walked.outAt)
      else if (walked.moved)
        try {
          const walk = await this.#withEveryKey(walked)
          const failure = notTaken(walk) ?? missingKey(walk)
          // A record that a colleague locked is refused, and still goes on from where it was verified to stand.
          if (failure === null || failure.by !== null) rows.push(await rowOfWalk(this.#session, walk))
          if (failure !== null) this.#refuse(record, failure.error, failure.statement, failure.by)
        } catch (error) {
          this.#refuse(record, error, walked.statement)
        }
    }
    for (const record of this.#accepted.keys()) {
      const expected = this.#known(record)
      const walk = this.#walks.get(record)
      if (expected !== undefined && !this.#refused.has(record) && walk?.moved !== true) rows.push(expected)
    }
    const heads = Array.from(this.#then).filter(([record, then]) => this.#wasMine(record, then))
    // Nothing that a refused record brought is stored under one's own key.
    const granted = this.#granted.filter(({ record }) => !this.#refused.has(record))
    return {
      complete,
      time,
      rows,
      gone,
      refused: this.#refused,
      heads: new Map(heads),
      excused: this.#excused,
      granted,
    }
  }

  async #record(record: RecordId, changes: readonly Change[], seen: TreeHead[]): Promise<void> {
    if (this.#refused.has(record)) return
    try {
      const begun = this.#walks.get(record)
      const walk = begun ?? (await this.#begin(record, changes))
      if (walk === null) return
      this.#walks.set(record, walk)
      // Given back on another device between two answers: what lies between was in neither.
      const [first] = changes
      if (begun?.memberSince === null && first !== undefined)
        await walkOn(this.#session, walk, parseEntry(first.statement).seq)
      for (const change of changes) {
        const known = knownEntry(walk.head, change)
        const entry = known ?? (await takeStep(this.#session, walk, change, change.selfGrant))
        this.#entries.set(change, entry)
        if (known !== null) continue
        seen.push(entry.seen)
        const key = walk.keys[entry.epoch]
        if (change.grant !== undefined && walk.memberSince !== null && change.selfGrant === undefined && key)
          this.#granted.push({ record, epoch: entry.epoch, key })
        this.#remember(walk)
      }
    } catch (error) {
      this.#refuse(record, error, changes.at(-1)?.statement ?? new Uint8Array(0))
    }
  }

  /** Where a walk begins: at the row that is known, before the first entry, or, of a record that was accepted on another device, after
   * a walk from its first entry to its head. `null` where a row is already what was accepted. */
  async #begin(record: RecordId, changes: readonly Change[]): Promise<Walk | null> {
    const row = this.#known(record)
    const [first] = changes
    try {
      if (first === undefined) return row === undefined ? await this.#walkAccepted(record) : null
      // What came to pass before this stretch, of a record that was accepted elsewhere or given back, is caught up on.
      const walk = await startWalk(this.#session, record, row)
      await walkOn(this.#session, walk, parseEntry(first.statement).seq)
      return walk
    } catch (error) {
      if (error instanceof AppError && error.code === "NOT_ALLOWED" && row === undefined) return null
      throw error
    }
  }

  /** A record that was accepted, of which nothing is known here. What came of it since may be that it was left again. */
  async #walkAccepted(record: RecordId): Promise<Walk> {
    const walk = await walkRecord(this.#session, record)
    const stale = this.#accepted.get(record)?.every(({ leaf }) => leaf < (walk.memberSince ?? 0))
    if (stale && !walk.taken.has(walk.memberEpoch)) walk.memberSince = null
    return walk
  }

  /** Whoever joins again holds every key, also the one that was a gap; but the feed brings those of the epochs that it shows alone. So the
   * same chain is walked once more from its first entry, with all of their own seals. */
  async #withEveryKey(walk: Walk): Promise<Walk> {
    const { record, head } = walk
    const row = this.#known(record)
    if (head === null || row === undefined || gapsOf(row).size === 0 || missingKey(walk)?.by !== null) return walk
    const again = await startWalk(this.#session, record, undefined)
    await walkOn(this.#session, again, head.seq + 1)
    if (again.head === null || !equal(again.head.hash, head.hash)) throw new AppError("TAMPERED_CHAIN")
    return again
  }

  #remember(walk: Walk): void {
    const { record, head, memberSince, own } = walk
    if (head === null || head.leaf >= this.#asOf) return
    if (memberSince === null) {
      this.#then.delete(record)
      this.#left.add(record)
    } else {
      const ends = memberOf(this.#session, head)?.until !== undefined
      this.#then.set(record, { seq: head.seq, hash: head.hash, memberSince, own, ends })
    }
  }

  /** Whether a record stood in the roster's digest at leaf `asOf`: opened by the physician, or accepted between becoming a member and
   * then, and not only until some day, on whose coming two devices need not agree. */
  #wasMine(record: RecordId, { memberSince, own, ends }: HeadThen): boolean {
    if (ends) return false
    if (own && !this.#left.has(record)) return true
    return (this.#accepted.get(record) ?? []).some(({ leaf }) => leaf > memberSince && leaf < this.#asOf)
  }

  #refuse(record: RecordId, error: unknown, statement: Uint8Array, by: Failure["by"] = null): void {
    if (!(error instanceof AppError) || error.code === "NOT_ALLOWED_SESSION" || error.is("UNAVAILABLE")) throw error
    const tampered = error.is("BAD_INPUT") ? new AppError("TAMPERED_CHAIN", undefined, { cause: error }) : error
    this.#refused.set(record, { error: tampered, statement, by })
  }
}

/** Leaves come in the log's order, under the checkpoint, and the answer says truly how far it looked. */
function demandOrder(answer: Reply, since: number, tree: TreeHead): void {
  let last = since - 1
  for (const { leaf } of answer.entries) {
    if (leaf.index <= last || leaf.index >= answer.next) throw new AppError("TAMPERED_LOG")
    last = leaf.index
  }
  const advances = answer.more ? answer.next > since : answer.next === tree.size
  if (!advances || answer.next > tree.size || answer.next < since) throw new AppError("TAMPERED_LOG")
}

/** Whether the log has exactly this entry where the answer says. */
function isLeaf({ record, statement, leaf }: Change, { seq, author }: EntryStatement, stretch: Stretch): boolean {
  const at = (leaf.index - stretch.from) * leafDataBytes
  const about = { subject: record, stream: "entry", type: "entry", number: seq, actor: author } as const
  const data = leafData({ ...about, time: leaf.time, salt: leaf.salt, statementHash: sha256(statement) })
  return equal(data, stretch.data.subarray(at, at + leafDataBytes))
}
