import type { Content } from "../clinical/content.ts"
import { type Chart, Fold } from "../clinical/fold.ts"
import type { Summary } from "../clinical/summary.ts"
import type { PhysicianId, RecordId } from "../encoding/ids.ts"
import { limits } from "../encoding/limits.ts"
import { AppError } from "../errors.ts"
import { type ChainHead, sameMembers } from "../proof/chain.ts"
import type { EntryStatement, Member } from "../proof/entry.ts"
import type { RecordKey } from "../vault/keys.ts"
import type { Appended } from "./append.ts"
import type { EpochKeys } from "./roster-row.ts"

/** DEFLATE makes no more than this of one byte (zlib.net/zlib_tech.html). */
const largestRatio = 1032

/** One verified entry. What it says is in the chart; its content is fetched again by whoever looks at it. */
export interface Step {
  /** Without its grants and attachments. */
  readonly entry: EntryStatement
  /** The index of its leaf in the log. */
  readonly leaf: number
  /** It verifies and cannot be read, or would go beyond its author's budget. */
  readonly unreadable: boolean
  /** Of these, one that a newer version of Healthcrypt wrote, as it says. */
  readonly newer: boolean
  /** What it says of that; absent: as before. */
  readonly archived: boolean | undefined
  /** The server's time, milliseconds since 1970. */
  readonly serverTime: number
}

/** A record whose whole chain was verified, with everything opened and folded. */
export interface OpenRecord {
  readonly id: RecordId
  readonly head: ChainHead
  readonly keys: EpochKeys
  readonly steps: readonly Step[]
  /** Whether the newest summary, its author's claim that the home page shows, says something else than the chart. */
  readonly summaryDiffers: boolean
  readonly chart: Chart
  /** The chart's own. */
  readonly summary: Summary
  /** What each author has used of their budget of bodies in it, for ever: see {@link limits.authorBodyBytes}. */
  readonly spent: ReadonlyMap<PhysicianId, number>
  /** The newest list of members, as its step has it. */
  readonly newestList: Member[]
}

/** What becomes of an entry's body: its content, or why there is none. */
export type Opened = Content | "none" | "unreadable" | "newer"

/** An opened record on its way to a later entry; the one before stays as it is. */
export class Growing {
  head: ChainHead | null
  readonly keys: (RecordKey | undefined)[]
  readonly steps: Step[]
  readonly #fold: Fold
  readonly #spent: Map<PhysicianId, number>
  /** The newest list of members. */
  #members: Member[]

  constructor(before: OpenRecord | null) {
    this.head = before?.head ?? null
    this.keys = [...(before?.keys ?? [])]
    this.steps = [...(before?.steps ?? [])]
    this.#fold = new Fold(before?.chart ?? null)
    this.#spent = new Map(before?.spent)
    this.#members = before?.newestList ?? []
  }

  /** How many bytes the next body of an author may come to. What goes beyond cannot be read: whoever may write in a record could else fill
   * the memory of everybody who opens it with a few kilobytes, or keep them waiting. */
  roomOf(author: PhysicianId): number {
    return roomIn(this.#spent.get(author))
  }

  /** The authors whose bodies cannot be read any more. */
  get exhausted(): PhysicianId[] {
    return exhaustedOf(this.#spent)
  }

  /** Counts a body against its author's budget, as far as there is room.
   * @param weight of what it says. @returns whether there was room for all of it */
  spend(author: PhysicianId, weight: number): boolean {
    const room = this.roomOf(author)
    this.#spent.set(author, limits.authorBodyBytes - room + Math.min(charged(weight), room))
    return charged(weight) <= room
  }

  /** Takes in an entry that was verified. What it says is taken whole or not at all. */
  add(head: ChainHead, entry: EntryStatement, opened: Opened, serverTime: number): void {
    const content = typeof opened === "string" ? null : opened
    const taken = content !== null && this.#fold.take(entry.author, content)
    this.steps.push({
      entry: this.#slim(entry),
      leaf: head.leaf,
      unreadable: opened !== "none" && !taken,
      newer: opened === "newer",
      archived: taken ? content.archived : undefined,
      serverTime,
    })
    this.head = head
  }

  /** Gives back the memory of what was opened for this record, as far as it is not held. */
  giveBack(opened: Opened): void {
    if (typeof opened !== "string") this.#fold.giveBack(opened)
  }

  get chart(): Chart {
    return this.#fold.chart
  }

  /** @throws TAMPERED_CHAIN where not even the first entry came */
  done(summary: Summary, summaryDiffers: boolean): OpenRecord {
    const { head, keys, steps, chart } = this
    if (head === null) throw new AppError("TAMPERED_CHAIN")
    const [spent, newestList] = [this.#spent, this.#members]
    return { id: head.record, head, keys, steps, summaryDiffers, chart, summary, spent, newestList }
  }

  /** Nobody looks at grants and attachments again, and most of a list of members is what it was: an owner may write such lists without end. */
  #slim({ grants: _, attachments: __, ...entry }: EntryStatement): EntryStatement {
    if (entry.members === undefined) return entry
    const before = this.#members
    const known = new Map(before.map((member) => [member.physician, member]))
    const members = entry.members.map((member) => {
      const same = known.get(member.physician)
      return same !== undefined && sameMembers([same], [member]) ? same : member
    })
    const isSame = members.length === before.length && members.every((member, i) => member === before[i])
    this.#members = isSame ? before : members
    return { ...entry, members: this.#members }
  }
}

function roomIn(spent = 0): number {
  return limits.authorBodyBytes - spent
}

/** What a body of this weight takes of its author's budget: each is work for every reader, however short. */
function charged(weight: number): number {
  return Math.max(weight, limits.bytesPerBody)
}

/** The authors whose bodies cannot be read any more. */
function exhaustedOf(spent: OpenRecord["spent"]): PhysicianId[] {
  return [...spent.keys()].filter((author) => roomIn(spent.get(author)) === 0)
}

/** What a body that does not open counts for: what its token could have come to. Such bodies could else keep a reader busy for ever. */
export function mostOf(token: Uint8Array): number {
  return token.length * largestRatio
}

/** What content that cannot be read counts for. It takes as much work as what can be, up to where it is wrong. */
export function mostIn(content: Uint8Array): number {
  return Math.min(content.length * limits.unreadTimes, limits.inflatedBytes)
}

/** What was opened, and an entry of one's own on top of it. @param summary of what comes of it */
export function grow(
  before: OpenRecord | null,
  keys: EpochKeys,
  appended: Appended,
  content: Content | null,
  summary: Summary,
): OpenRecord {
  const { entry, head, serverTime } = appended
  const record = new Growing(before)
  record.keys.length = 0
  for (const key of keys) record.keys.push(key)
  if (content !== null) record.spend(entry.author, content.weight)
  record.add(head, entry, content ?? "none", serverTime)
  return record.done(summary, false)
}

/** An author's next entry would be one that nobody can read. */
export class NoRoom extends AppError {
  constructor() {
    super(
      "BAD_INPUT_SIZE",
      "This is more than one physician can write in one record. Leave something out, or export the record and import it as a new one: “As new records” on the page, or `healthcrypt import --new`.",
    )
  }
}

/** The chart that an author's next entry leads to.
 * @throws {@link NoRoom} where it would be one that nobody can read */
export function chartAfter(
  record: Pick<OpenRecord, "chart" | "spent"> | null,
  author: PhysicianId,
  content: Content,
): Chart {
  const fold = new Fold(record?.chart ?? null)
  if (charged(content.weight) <= roomIn(record?.spent.get(author)) && fold.take(author, content)) return fold.chart
  throw new NoRoom()
}

/** An entry that a newer version wrote, by somebody who still is a member; `null` if there is none. What was put on top of it could undo
 * what this version does not understand. Whoever is removed holds up nobody. */
export function newerEntry({ steps, head }: OpenRecord): Step | null {
  const isMember = (author: PhysicianId) => head.members.some(({ physician }) => physician === author)
  return steps.find(({ newer, entry }) => newer && isMember(entry.author)) ?? null
}
