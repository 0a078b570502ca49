import { sha256 } from "#sha256"
import { compare, equal, firstSix, putU64 } from "../encoding/bytes.ts"
import { idBytes, type RecordId } from "../encoding/ids.ts"
import type { Keyring } from "../vault/keyring.ts"

export interface PinnedHead {
  readonly seq: number
  readonly hash: Uint8Array
}

/** A record's head at some leaf of the log. */
export interface HeadThen extends PinnedHead {
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

/** One hash over heads: SHA-256 over id (16 B) ‖ u64be seq ‖ hash (32 B) of every record, sorted by id. */
function digestHeads(heads: Iterable<readonly [RecordId, PinnedHead]>): Uint8Array<ArrayBuffer> {
  const sorted = Array.from(heads, ([record, head]) => {
    const id = idBytes(record)
    return { id, first: firstSix(id), head }
  }).sort((a, b) => a.first - b.first || compare(a.id, b.id))
  const all = new Uint8Array(sorted.length * headBytes)
  const view = new DataView(all.buffer)
  for (const [i, { id, head }] of sorted.entries()) {
    all.set(id, i * headBytes)
    putU64(view, i * headBytes + 16, head.seq)
    all.set(head.hash, i * headBytes + 24)
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
    if (head !== undefined && named.length < looseAtMost) named.push({ id, seq: head.seq, hash: head.hash })
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
  const missing = bound.loose.filter(({ id, seq, hash }) => {
    const head = heads.get(id)
    return head?.seq !== seq || !equal(head.hash, hash)
  })
  const records = missing.map(({ id, seq }) => ({ id: id, seq }))
  const put = missing.map(({ id, seq, hash }) => [id, { seq, hash, until: heads.get(id)?.until ?? null }] as const)
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
  const lasting: [RecordId, HeadThen][] = []
  const days = new Map<number, [RecordId, HeadThen][]>()
  for (const one of heads) {
    const { until } = one[1]
    const day = until === null ? null : until - (until % dayMs)
    const group = day === null ? lasting : (days.get(day) ?? [])
    group.push(one)
    if (day !== null) days.set(day, group)
  }
  const groups = [...days].sort(([a], [b]) => a - b)
  const later = groups.splice(daysAtMost - 1)
  const [first] = later
  if (first !== undefined) groups.push([first[0], later.flatMap(([, group]) => group)])
  return { lasting, ending: new Map(groups) }
}
