import { sha256 } from "#sha256"
import { compare, equal, putU64 } from "../encoding/bytes.ts"
import { idBytes, type RecordId } from "../encoding/ids.ts"
import type { Keyring } from "../vault/keyring.ts"

export interface PinnedHead {
  readonly seq: number
  readonly hash: Uint8Array
}

/** A record's head at some leaf of the log. */
export interface HeadThen {
  readonly record: RecordId
  readonly seq: number
  /** What is hashed of it: the record's id (16 B) ‖ u64be seq ‖ hash (32 B). */
  readonly bytes: Uint8Array
  /** The first 30 bits of these bytes, by which most heads are told apart. */
  readonly first: number
  /** Until when the physician belongs to it, milliseconds since 1970; `null` for no end. */
  readonly until: number | null
}

export type Bound = Keyring["bound"]
export type Heads = ReadonlyMap<RecordId, HeadThen>

/** So many records that no segment holds as they are now are named one by one. */
const looseAtMost = 4096
/** So many days are told apart. What ends later counts with the last of them. */
const daysAtMost = 4096
const dayMs = 24 * 3_600_000
const headBytes = 16 + 8 + 32
const eightBytes = new DataView(new ArrayBuffer(8))

/** @param hash of the entry's statement, 32 B */
export function headAt(record: RecordId, seq: number, hash: Uint8Array, until: number | null): HeadThen {
  const bytes = new Uint8Array(headBytes)
  bytes.set(idBytes(record))
  putU64(eightBytes, 0, seq)
  bytes.set(new Uint8Array(eightBytes.buffer), 16)
  bytes.set(hash, 24)
  const first = (bytes[0]! << 22) | (bytes[1]! << 14) | (bytes[2]! << 6) | (bytes[3]! >> 2)
  return { record, seq, bytes, first, until }
}

/** By their records, in the order in which they are hashed. */
export function inOrder(heads: HeadThen[]): Map<RecordId, HeadThen> {
  const sorted = new Map<RecordId, HeadThen>()
  for (const head of heads.sort(byRecord)) sorted.set(head.record, head)
  return sorted
}

function byRecord(a: HeadThen, b: HeadThen): number {
  return a.first - b.first || compare(a.bytes, b.bytes)
}

/** One hash over heads: SHA-256 over the bytes of all of them, sorted by id. */
function digestHeads(heads: HeadThen[]): Uint8Array<ArrayBuffer> {
  const all = new Uint8Array(heads.length * headBytes)
  let at = 0
  for (const { bytes } of heads.sort(byRecord)) {
    all.set(bytes, at)
    at += headBytes
  }
  return sha256(all)
}

/** Binds all records as they stand before a leaf of the log. Records that end some day are counted apart, by that day: on whose coming
 * two devices need not agree.
 * @param loose records that no segment holds as they are now. Format: docs/formats/roster.md */
export function boundOf(leaf: number, heads: Heads, loose: Iterable<RecordId>): Bound {
  const { lasting, ending } = split(heads)
  const named: { id: RecordId; seq: number; hash: Uint8Array }[] = []
  for (const id of loose) {
    const head = heads.get(id)
    if (head !== undefined && named.length < looseAtMost) named.push({ id, seq: head.seq, hash: head.bytes.slice(24) })
  }
  return {
    leaf,
    count: lasting.length,
    digest: digestHeads(lasting),
    loose: named.sort((a, b) => (a.id < b.id ? -1 : 1)),
    ending: Array.from(ending, ([until, group]) => ({ until, count: group.length, digest: digestHeads(group) })),
  }
}

/** Whether two bounds say the same of the records, from whatever leaf on. */
export function sameBound(a: Bound, b: Bound): boolean {
  return (
    a.count === b.count &&
    equal(a.digest, b.digest) &&
    a.ending.length === b.ending.length &&
    a.ending.every(({ until, digest }, i) => until === b.ending[i]!.until && equal(digest, b.ending[i]!.digest))
  )
}

/** What a device that begins anew misses. */
export interface Missing {
  /** Records that can be named, with the number of the entry that each is bound to. */
  readonly records: readonly { readonly id: RecordId; readonly seq: number }[]
  /** Whether more is missing than these, or something else. */
  readonly more: boolean
}

/** @param heads as they stood before the bound's leaf
 * @param now memberships that end on that day, or have ended, are not looked for; milliseconds since 1970
 * @returns `null` where nothing is missing */
export function missingFrom(bound: Bound, heads: Heads, now: number): Missing | null {
  if (holds(bound, heads, now)) return null
  const named = bound.loose.map(({ id, seq, hash }) => headAt(id, seq, hash, heads.get(id)?.until ?? null))
  const missing = named.filter(({ record, bytes }) => !equal(bytes, heads.get(record)?.bytes ?? new Uint8Array(0)))
  const records = missing.map(({ record, seq }) => ({ id: record, seq }))
  const put = missing.map((head) => [head.record, head] as const)
  return { records, more: !holds(bound, new Map([...heads, ...put]), now) }
}

function holds(bound: Bound, heads: Heads, now: number): boolean {
  const { lasting, ending } = split(heads)
  return (
    (bound.count === undefined || bound.count === lasting.length) &&
    equal(bound.digest, digestHeads(lasting)) &&
    bound.ending.every(({ until, digest }) => until <= now || equal(digest, digestHeads(ending.get(until) ?? [])))
  )
}

/** Records that end some day, by the beginning of that day (UTC), in the order of the days. */
function split(heads: Heads) {
  const lasting: HeadThen[] = []
  const days = new Map<number, HeadThen[]>()
  for (const head of heads.values()) {
    const { until } = head
    const day = until === null ? null : until - (until % dayMs)
    const group = day === null ? lasting : (days.get(day) ?? [])
    group.push(head)
    if (day !== null) days.set(day, group)
  }
  const groups = [...days].sort(([a], [b]) => a - b)
  const later = groups.splice(daysAtMost - 1)
  const [first] = later
  if (first !== undefined) groups.push([first[0], later.flatMap(([, group]) => group)])
  return { lasting, ending: new Map(groups) }
}
