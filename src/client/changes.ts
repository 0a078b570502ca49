import type { z } from "zod"
import { sha256 } from "#sha256"
import { equal } from "../encoding/bytes.ts"
import type { RecordId } from "../encoding/ids.ts"
import { AppError } from "../errors.ts"
import type { TreeHead } from "../proof/checkpoint.ts"
import { type EntryStatement, parseEntry } from "../proof/entry.ts"
import { leafData, leafDataBytes, noStatement } from "../proof/leaf.ts"
import { type Stretch, verifyStretch } from "../proof/stretch.ts"
import type { LeafInfo } from "../protocol/log.ts"
import { paths } from "../protocol/paths.ts"
import { readChanges } from "../protocol/records.ts"
import { type Heads, type HeadThen, headAt, inOrder } from "./bound.ts"
import { type Failure, missingKey, notTaken } from "./false-keys.ts"
import type { Look } from "./leaf-watch.ts"
import { gapsOf, headThen, type RosterRow } from "./roster-row.ts"
import type { GrantedKey } from "./self-grants.ts"
import type { Session } from "./session.ts"
import { knownEntry, memberOf, rowOfWalk, startWalk, takeStep, type Walk, walkOn } from "./walk.ts"

type Reply = z.output<typeof readChanges.reply>
type Change = Reply["entries"][number]

export interface Pulled {
  /** Every leaf before this index has been looked at. */
  readonly complete: number
  /** Heads that moved, each verified, with every entry's leaf where the log has it; also of a record that a colleague locked. */
  readonly rows: readonly RosterRow[]
  /** Records that the physician is no member of any more, by an entry that was verified: its number. */
  readonly gone: ReadonlyMap<RecordId, number>
  readonly refused: ReadonlyMap<RecordId, Failure>
  /** The physician's heads as they stood before leaf `asOf`, where that was asked for. */
  readonly heads: Heads
  /** The server's clock at the last answer, milliseconds since 1970. */
  readonly time: number
  /** Keys that were granted and that have no self-grant yet. */
  readonly granted: readonly GrantedKey[]
}

export interface PullOptions {
  readonly background: boolean
  /** Where the heads are wanted as they stood before a leaf: which, and the rows that this pull goes on from. */
  readonly asOf: { readonly leaf: number; readonly base: ReadonlyMap<RecordId, RosterRow> } | null
  /** Told of every stretch of the log. */
  readonly look: (look: Look) => void
}

/** What is known of a record's head before the leaf `asOf`. */
interface Then {
  readonly head: HeadThen
  readonly memberSince: number
  readonly own: boolean
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
  // Once the question is on its way: it takes a while to be answered.
  setTimeout(() => pull.prepare())
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

/** One pull, page by page. */
class Pull {
  readonly #session: Session
  readonly #known: (record: RecordId) => RosterRow | undefined
  readonly #asOf: PullOptions["asOf"]
  readonly #walks = new Map<RecordId, Walk>()
  readonly #refused = new Map<RecordId, Failure>()
  readonly #then = new Map<RecordId, Then>()
  readonly #accepted = new Map<RecordId, { readonly leaf: number }[]>()
  /** Records that the physician was out of for a while before leaf `asOf`. */
  readonly #left = new Set<RecordId>()
  /** What the changes of one page say. */
  readonly #entries = new Map<Change, EntryStatement>()
  readonly #granted: GrantedKey[] = []
  /** The heads of the rows that this pull goes on from. */
  #heads: Map<RecordId, HeadThen> | null = null

  constructor(session: Session, known: (record: RecordId) => RosterRow | undefined, options: PullOptions) {
    this.#session = session
    this.#known = known
    this.#asOf = options.asOf
  }

  /** Makes ready what the end needs, in the order in which it is hashed. */
  prepare(): void {
    const { physician } = this.#session
    this.#heads ??= inOrder(Array.from(this.#asOf?.base.values() ?? [], (row) => headThen(row, physician)))
  }

  async page(answer: Reply, from: number, tree: TreeHead, look: PullOptions["look"]): Promise<void> {
    demandOrder(answer, from, tree)
    const stretch: Stretch = { from, to: Math.max(answer.next, from), ...answer.leaves }
    const groups = Map.groupBy(answer.entries, (change) => change.record)
    for (const { record, number, leaf } of answer.accepted) {
      if (!this.#isAccept(record, number, leaf, stretch)) throw new AppError("TAMPERED_LOG")
      this.#accepted.set(record, [...(this.#accepted.get(record) ?? []), { leaf: leaf.index }])
      if (!groups.has(record)) groups.set(record, [])
    }
    const seen: TreeHead[] = []
    await Promise.all(Array.from(groups, ([record, changes]) => this.#record(record, changes, seen)))
    const roots = answer.next > from ? verifyStretch(stretch, tree, new Set(seen.map(({ size }) => size))) : new Map()
    const explained = new Set<number>()
    for (const change of answer.entries) {
      const entry = this.#entries.get(change)
      if (entry === undefined) continue
      // Only what recomputes to a leaf explains it.
      if (isLeaf(change, entry, stretch)) explained.add(change.leaf.index)
      else this.#refuse(change.record, new AppError("TAMPERED_LOG"), change.statement)
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
    // Nothing that a refused record brought is stored under one's own key.
    const granted = this.#granted.filter(({ record }) => !this.#refused.has(record))
    return {
      complete,
      time,
      rows,
      gone,
      refused: this.#refused,
      heads: this.#headsThen(),
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
      if (begun?.memberSince === null && first !== undefined) await this.#walkOn(walk, parseEntry(first.statement).seq)
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
      await this.#walkOn(walk, parseEntry(first.statement).seq)
      return walk
    } catch (error) {
      if (error instanceof AppError && error.code === "NOT_ALLOWED" && row === undefined) return null
      throw error
    }
  }

  /** A record that was accepted, of which nothing is known here. What came of it since may be that it was left again. */
  async #walkAccepted(record: RecordId): Promise<Walk> {
    const walk = await startWalk(this.#session, record, undefined)
    await this.#walkOn(walk)
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

  /** Whether the log has it that the physician accepted the record, where and as the answer says. */
  #isAccept(subject: RecordId, number: number, { index, time, salt }: LeafInfo, stretch: Stretch): boolean {
    const act = { stream: "act", type: "accept", actor: this.#session.physician, statementHash: noStatement } as const
    return holds(stretch, index, leafData({ subject, number, time, salt, ...act }))
  }

  #walkOn(walk: Walk, to?: number): Promise<void> {
    return walkOn(this.#session, walk, to, () => this.#remember(walk))
  }

  #remember(walk: Walk): void {
    const { record, head, memberSince, own } = walk
    if (head === null || this.#asOf === null || head.leaf >= this.#asOf.leaf) return
    if (memberSince === null) {
      this.#then.delete(record)
      this.#left.add(record)
    } else {
      const until = memberOf(this.#session, head)?.until ?? null
      this.#then.set(record, { head: headAt(record, head.seq, head.hash, until), memberSince, own })
    }
  }

  /** The physician's records before leaf `asOf`: those that were known and not left by then, and those that became theirs since. */
  #headsThen(): Heads {
    this.prepare()
    const heads = this.#heads!
    for (const record of this.#left) heads.delete(record)
    for (const [record, then] of this.#then) {
      if (this.#wasMine(record, then)) heads.set(record, then.head)
      else heads.delete(record)
    }
    return heads
  }

  /** Whether a record that was walked was the physician's: known before, opened by them, or accepted between becoming a member and then. */
  #wasMine(record: RecordId, { memberSince, own }: Then): boolean {
    const known = own || this.#asOf?.base.has(record) === true
    if (known && !this.#left.has(record)) return true
    const before = this.#asOf?.leaf ?? 0
    return (this.#accepted.get(record) ?? []).some(({ leaf }) => leaf > memberSince && leaf < before)
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
  const about = { subject: record, stream: "entry", type: "entry", number: seq, actor: author } as const
  const data = leafData({ ...about, time: leaf.time, salt: leaf.salt, statementHash: sha256(statement) })
  return holds(stretch, leaf.index, data)
}

/** Whether a stretch has this data as the leaf with this index. */
function holds({ from, to, data }: Stretch, index: number, leaf: Uint8Array): boolean {
  const at = (index - from) * leafDataBytes
  return index >= from && index < to && equal(leaf, data.subarray(at, at + leafDataBytes))
}
