import { cutSummary, type Summary } from "../clinical/summary.ts"
import { encodeBase64url, parseBase64url } from "../encoding/base64.ts"
import { equal, parseUtf8, utf8 } from "../encoding/bytes.ts"
import { isId, type PhysicianId, type RecordId } from "../encoding/ids.ts"
import { demandKnownVersion, unreadable } from "../encoding/sealed-version.ts"
import { AppError } from "../errors.ts"
import type { ChainHead } from "../proof/chain.ts"
import { encodeChainHead, parseChainHead } from "../proof/chain-head.ts"
import type { Member } from "../proof/entry.ts"
import type { Identity } from "../proof/identity.ts"
import { asSecretKey, commitTo, type RecordKey } from "../vault/keys.ts"
import { type HeadThen, headAt } from "./bound.ts"

/** Record keys by epoch. A member goes without one where a colleague changed the key and granted them none that opens. */
export type EpochKeys = readonly (RecordKey | undefined)[]

/** What a roster holds of one record: its summary, its keys, and the head where a walk resumes. */
export interface RosterRow extends Summary {
  readonly id: RecordId
  readonly seq: number
  /** hash of the head's statement, base64url */
  readonly hash: string
  readonly epoch: number
  readonly leaf: number
  /** The record keys by epoch, base64url; where a colleague changed the key and granted none that opens, their id instead. */
  readonly keys: readonly string[]
  /** The author's time of the newest entry, milliseconds since 1970. */
  readonly updated: number
  /** Size of the tree that this physician's own newest entry had seen; 0 where they wrote none. */
  readonly seen: number
  /** Chain head as text, where there is more to it than a single owner. */
  readonly chain: string
}

const format = 1

/** A roster segment's content: UTF-8 JSON `[1, [row, …]]`, a row an array of its fields. Format: docs/formats/roster.md */
export function encodeRows(rows: Iterable<RosterRow>): Uint8Array<ArrayBuffer> {
  const tuples = Array.from(rows, (row) => [
    row.id,
    row.seq,
    row.hash,
    row.epoch,
    row.leaf,
    row.keys,
    row.updated,
    row.firstName,
    row.lastName,
    row.birthDate,
    row.diagnoses,
    row.patient,
    row.archived ? 1 : 0,
    row.seen,
    row.chain,
  ])
  return utf8(JSON.stringify([format, tuples]))
}

export function sameRow(a: RosterRow, b: RosterRow | undefined): boolean {
  return a.hash === b?.hash && equal(encodeRows([a]), encodeRows([b]))
}

/** @throws CANNOT_OPEN: what a physician sealed for themself and cannot be read is as good as absent; UNAVAILABLE_UPDATE */
export function parseRows(bytes: Uint8Array): RosterRow[] {
  try {
    const [version, tuples] = JSON.parse(parseUtf8(bytes))
    demandKnownVersion({ v: version }, format)
    if (version !== format) throw new Error("another format")
    return tuples.map(parseRow)
  } catch (cause) {
    throw unreadable(cause)
  }
}

function parseRow(tuple: unknown): RosterRow {
  const [
    id,
    seq,
    hash,
    epoch,
    leaf,
    keys,
    updated,
    firstName,
    lastName,
    birthDate,
    diagnoses,
    patient,
    archived,
    seen,
    chain,
  ] = tuple as [
    RecordId,
    number,
    string,
    number,
    number,
    string[],
    number,
    string,
    string,
    string,
    string[],
    string,
    0 | 1,
    number,
    string,
  ]
  if (!isId(id) || !Number.isSafeInteger(seq) || !Array.isArray(keys)) throw new Error("not a row")
  // An earlier version packed longer ones.
  return cutSummary({
    id,
    seq,
    hash,
    epoch,
    leaf,
    keys,
    updated,
    firstName,
    lastName,
    birthDate,
    diagnoses,
    patient,
    archived: archived === 1,
    seen,
    chain,
  })
}

/** A row's record keys by epoch, as {@link EpochKeys}. */
export function keysOf(row: RosterRow): (RecordKey | undefined)[] {
  return row.keys.map(keyIn)
}

/** A row's record key of one epoch. A record may have thousands. */
export function keyAt(row: RosterRow, epoch: number): RecordKey | undefined {
  const text = row.keys[epoch]
  return text === undefined ? undefined : keyIn(text)
}

function keyIn(text: string): RecordKey | undefined {
  return isId(text) ? undefined : asSecretKey(parseBase64url(text))
}

/** The colleague who falsified a row's key of one epoch; `undefined` where it has one. */
export function gapAt(row: RosterRow, epoch: number): PhysicianId | undefined {
  const text = row.keys[epoch]
  return isId(text) ? (text as PhysicianId) : undefined
}

/** The epochs of which a row has no key, with the colleague who falsified it. */
export function gapsOf(row: RosterRow): Map<number, PhysicianId> {
  return new Map(row.keys.flatMap((text, epoch) => (isId(text) ? [[epoch, text as PhysicianId] as const] : [])))
}

/** The head where a walk along the row's record resumes. */
export async function headOf(row: RosterRow, me: Identity): Promise<ChainHead> {
  if (row.chain !== "") return parseChainHead(row.chain)
  const commits = new Map<number, Uint8Array>()
  for (const [epoch, key] of keysOf(row).entries())
    if (key !== undefined) commits.set(epoch, await commitTo(key, row.id, epoch))
  return {
    record: row.id,
    seq: row.seq,
    hash: parseBase64url(row.hash),
    epoch: row.epoch,
    members: [{ physician: me.physician, fingerprint: me.fingerprint, role: "owner" }],
    commits,
    mustRaise: false,
    leaf: row.leaf,
    // Of its first entry a row says what was seen; of later ones it does not say which began the epoch.
    ...(row.seq === 0 ? { settled: row.seen } : {}),
    seen: new Map([[me.physician, { size: row.seen, root: null }]]),
  }
}

/** Who can read a row's record, as its newest entry that was verified says; `null` where it is the physician alone. */
export function membersOf(row: RosterRow): readonly Member[] | null {
  return row.chain === "" ? null : parseChainHead(row.chain).members
}

/** Until when the physician belongs to a row's record, milliseconds since 1970; `null` for no end. */
export function untilOf(row: RosterRow, me: PhysicianId): number | null {
  if (!row.chain.includes('"until"')) return null
  return membersOf(row)?.find(({ physician }) => physician === me)?.until ?? null
}

/** A row's head, for those who hold others against it. */
export function headThen(row: RosterRow, me: PhysicianId): HeadThen {
  return headAt(row.id, row.seq, parseBase64url(row.hash), untilOf(row, me))
}

/** @param gaps who falsified the keys that are missing. @throws CANNOT_OPEN where one is missing for no such reason */
export function rowOf(
  head: ChainHead,
  me: Identity,
  keys: EpochKeys,
  gaps: ReadonlyMap<number, PhysicianId>,
  summary: Summary,
  updated: number,
): RosterRow {
  const [only, ...others] = head.members
  const mine = only?.physician === me.physician && equal(only.fingerprint, me.fingerprint) && only.until === undefined
  const texts = Array.from({ length: head.epoch + 1 }, (_, epoch) => {
    const key = keys[epoch]
    const text = key === undefined ? gaps.get(epoch) : encodeBase64url(key)
    if (text === undefined) throw new AppError("CANNOT_OPEN")
    return text
  })
  const alone = others.length === 0 && mine && !head.mustRaise && gaps.size === 0
  return {
    id: head.record,
    seq: head.seq,
    hash: encodeBase64url(head.hash),
    epoch: head.epoch,
    leaf: head.leaf,
    keys: texts,
    updated,
    seen: head.seen.get(me.physician)?.size ?? 0,
    chain: alone ? "" : encodeChainHead(head),
    firstName: summary.firstName,
    lastName: summary.lastName,
    birthDate: summary.birthDate,
    diagnoses: summary.diagnoses,
    patient: summary.patient,
    archived: summary.archived,
  }
}
