import { sha256 } from "#sha256"
import { parseSummary, type Summary } from "../clinical/summary.ts"
import { equal } from "../encoding/bytes.ts"
import type { PhysicianId, RecordId } from "../encoding/ids.ts"
import { demandMemory } from "../encoding/memory.ts"
import { AppError } from "../errors.ts"
import { type ChainHead, checkToken, extendChain, type Link } from "../proof/chain.ts"
import { type EntryStatement, type Member, parseEntry } from "../proof/entry.ts"
import { openGrant } from "../vault/grants.ts"
import { asSecretKey, checkCommit, type RecordKey } from "../vault/keys.ts"
import { selfGrantPlace, summaryPlace } from "../vault/places.ts"
import { open } from "../vault/seal.ts"
import { type Failure, failureOf, failuresOf, listsGrant } from "./false-keys.ts"
import { readChain, type SelfGrant, type StoredEntry } from "./read-chain.ts"
import { headOf, keysOf, type RosterRow, rowOf } from "./roster-row.ts"
import { formerSelfGrants } from "./self-grants.ts"
import type { Session } from "./session.ts"

/** A summary that was not opened yet. */
export interface SealedSummary {
  readonly entry: EntryStatement
  readonly token: Uint8Array
}

/** What a walk along one record's chain carries from entry to entry. */
export interface Walk {
  readonly record: RecordId
  readonly keys: (RecordKey | undefined)[]
  head: ChainHead | null
  summary: Summary
  /** The newest summary that came by, not opened yet: a joiner gets the key only later on the way. */
  unopened: SealedSummary | null
  updated: number
  moved: boolean
  /** The index of the first entry's leaf, where the walk began there. */
  began: number
  /** The index of the leaf since which this physician is a member, without a break; `null` while they are none. */
  memberSince: number | null
  /** Whether they opened the record themself. */
  own: boolean
  /** The number of the newest entry after which they were none, or -1. */
  outAt: number
  /** The epoch in which they became one. */
  memberEpoch: number
  /** The epochs of which the physician has a self-grant: what they took, and what was not only given to them. */
  readonly taken: Set<number>
  /** By epoch, the entries whose keys were not what was promised. They count where a key is still missing in the end: a later grant may
   * hold it, and whoever leaves needs none. */
  readonly failed: Map<number, Failure>
  /** By epoch, the hash of a self-grant that gave no key: the next one replaces it by this name. */
  readonly spoilt: Map<number, Uint8Array>
  /** Who added them last, with the keys that the member list then named. Only an owner can. */
  invitedBy: { readonly physician: PhysicianId; readonly fingerprint: Uint8Array } | null
  statement: Uint8Array
}

/** In bytes. A longer summary does not stay closed until its walk ends: opened, it is cut to what a list takes. */
const longToken = 64 * 1024

const blankSummary: Summary = {
  firstName: "",
  lastName: "",
  birthDate: "",
  diagnoses: [],
  patient: "",
  archived: false,
}

/** Begins where a roster row stands, or before the first entry. */
export async function startWalk(session: Session, record: RecordId, row: RosterRow | undefined): Promise<Walk> {
  return {
    record,
    head: row === undefined ? null : await headOf(row, session.identity),
    keys: row === undefined ? [] : keysOf(row),
    summary: row ?? blankSummary,
    unopened: null,
    updated: row?.updated ?? 0,
    moved: false,
    began: 0,
    memberSince: row === undefined ? null : 0,
    outAt: -1,
    own: false,
    memberEpoch: 0,
    taken: new Set(row === undefined ? [] : [0]),
    failed: failuresOf(row),
    spoilt: new Map(),
    invitedBy: null,
    statement: new Uint8Array(0),
  }
}

/** An entry that is not beyond the head; `null` for one that is.
 * @throws TAMPERED_CHAIN when it is another in the head's place; TAMPERED_LOG when its number has a second leaf, after the head's */
export function knownEntry(head: ChainHead | null, { statement, leaf }: StoredEntry): EntryStatement | null {
  if (head === null) return null
  const entry = parseEntry(statement)
  if (entry.seq > head.seq) return null
  const same = entry.seq === head.seq
  if (same && !equal(sha256(statement), head.hash)) throw new AppError("TAMPERED_CHAIN")
  if (same ? leaf.index !== head.leaf : leaf.index >= head.leaf) throw new AppError("TAMPERED_LOG")
  return entry
}

/** Verifies the next entry and takes it in: chain, keys, summary.
 * @param selfGrant the physician's own of this entry's epoch, if there is one.
 * @returns the entry, whose `seen` is still to be proved. */
export async function takeStep(
  session: Session,
  walk: Walk,
  stored: StoredEntry,
  selfGrant: Uint8Array | undefined,
): Promise<EntryStatement> {
  const { record } = walk
  const before = walk.head
  const link = await extendChain(before, record, stored, stored.leaf.index, (who, fingerprint) =>
    session.people.keysOf(who, fingerprint),
  )
  const { entry, head } = link
  const pin = session.pins.heads.get(record)
  if (pin?.seq === head.seq && !equal(pin.hash, head.hash)) throw new AppError("TAMPERED_CHAIN")
  const mine = memberOf(session, head)
  if (mine === null) {
    walk.memberSince = null
    walk.outAt = entry.seq
  } else if (walk.memberSince === null) {
    walk.memberSince = stored.leaf.index
    walk.memberEpoch = entry.epoch
    // Whoever joins is owed every key: what a colleague once kept from them explains nothing any more.
    for (const [epoch, { by }] of walk.failed) if (by !== null) walk.failed.delete(epoch)
    const granter = before?.members.find((member) => member.physician === entry.author)
    walk.invitedBy = granter ?? null
  }
  if (before === null) {
    walk.own = entry.author === session.physician
    walk.began = stored.leaf.index
  }
  const takes = selfGrant !== undefined && !walk.taken.has(entry.epoch)
  if (takes || (selfGrant === undefined && mine !== null && stored.grant !== undefined))
    try {
      for (const [epoch, key] of await keysFrom(session, before, link, stored, selfGrant)) walk.keys[epoch] = key
      // Only a self-grant that opens, to the key that was promised, says that the physician took it.
      if (takes) walk.taken.add(entry.epoch)
    } catch (error) {
      if (!(error instanceof AppError && (error.is("TAMPERED") || error.code === "CANNOT_OPEN"))) throw error
      if (selfGrant !== undefined) walk.spoilt.set(entry.epoch, sha256(selfGrant))
      walk.failed.set(entry.epoch, failureOf(session.physician, before, entry, stored, selfGrant, error))
    }
  if (mine !== null || stored.summary !== undefined) {
    checkToken(entry.summary, stored.summary)
    if (stored.summary !== undefined) await keepSummary(walk, entry, stored.summary)
  }
  walk.head = head
  if (entry.body !== undefined) walk.updated = entry.time
  walk.moved = true
  walk.statement = stored.statement
  return entry
}

/** This physician in a member list, under the keys that are theirs; `null` where they are no member.
 * @throws TAMPERED_IDENTITY where the list names them with other keys */
export function memberOf(session: Session, head: Pick<ChainHead, "members">): Member | null {
  const mine = head.members.find((member) => member.physician === session.physician)
  if (mine === undefined) return null
  if (!equal(mine.fingerprint, session.identity.fingerprint)) throw new AppError("TAMPERED_IDENTITY")
  return mine
}

/** Walks a whole record from its first entry, without bodies, and proves its head to be in the log. Nothing of it is taken into the
 * roster here. @throws NOT_ALLOWED, TAMPERED_* */
export async function walkRecord(session: Session, record: RecordId): Promise<Walk> {
  const walk = await startWalk(session, record, undefined)
  await walkOn(session, walk)
  return walk
}

/** Takes a walk on, without bodies, through all entries with a seq below `to`. @param each is told after every step */
export async function walkOn(
  session: Session,
  walk: Walk,
  to = Number.POSITIVE_INFINITY,
  each: () => void = () => {},
): Promise<void> {
  const from = walk.head === null ? 0 : walk.head.seq + 1
  await readChain(session, walk.record, { from, to, bodies: false }, async (stored, selfGrants) => {
    const { epoch } = parseEntry(stored.statement)
    const entry = await takeStep(session, walk, stored, grantOf(selfGrants, epoch))
    each()
    return { entry, seen: entry.seen }
  })
}

/** A walk's end as a roster row. */
export async function rowOfWalk(session: Session, walk: Walk): Promise<RosterRow> {
  const gaps = new Map<number, PhysicianId>()
  for (const [epoch, { by }] of walk.failed) if (walk.keys[epoch] === undefined && by !== null) gaps.set(epoch, by)
  return rowOf(walk.head!, session.identity, walk.keys, gaps, await summaryOfWalk(walk), walk.updated)
}

/** The newest summary that a walk's keys open. */
async function summaryOfWalk(walk: Walk): Promise<Summary> {
  const { unopened } = walk
  const key = unopened === null ? undefined : walk.keys[unopened.entry.epoch]
  if (unopened !== null && key !== undefined) walk.summary = await openSummary(unopened, key)
  walk.unopened = null
  return walk.summary
}

/** Keeps the newest summary, and of an epoch that ends the last one that opens, should the next one's never. */
async function keepSummary(walk: Walk, entry: EntryStatement, token: Uint8Array): Promise<void> {
  if (walk.unopened !== null && walk.unopened.entry.epoch !== entry.epoch) await summaryOfWalk(walk)
  walk.unopened = { entry, token }
  if (token.length > longToken && walk.keys[entry.epoch] !== undefined) await summaryOfWalk(walk)
}

/** The self-grant of an epoch. */
export function grantOf(selfGrants: readonly SelfGrant[], epoch: number): Uint8Array | undefined {
  return selfGrants.find((one) => one.epoch === epoch)?.token
}

/** The keys that an entry brings: by a self-grant, which proves that the physician took them, or by a grant to them, which counts as
 * the signed entry names it. Each is checked against the chain's commitment. */
export async function keysFrom(
  session: Session,
  before: ChainHead | null,
  { entry, head }: Link,
  { grant }: StoredEntry,
  selfGrant: Uint8Array | undefined,
): Promise<ReadonlyMap<number, RecordKey>> {
  const { epoch } = entry
  if (selfGrant !== undefined) return new Map([[epoch, await ownKey(session, { entry, head }, selfGrant)]])
  if (grant === undefined || before === null) return new Map()
  const { by, keys } = await openGranted(session, before, { entry, head }, grant)
  session.people.heard(entry.author, by)
  return keys
}

/** The key in the physician's own seal of it. One that does not open, or holds another key than was promised, gives way to the newest
 * before it that does both. @throws CANNOT_OPEN, TAMPERED_KEY, as the newest one says */
async function ownKey(session: Session, { entry, head }: Link, newest: Uint8Array): Promise<RecordKey> {
  const { record, epoch } = entry
  const place = selfGrantPlace(session.physician, record, epoch)
  const openOne = async (token: Uint8Array) => {
    const own = asSecretKey<"record">(await open(session.key, place, token, { exact: true }))
    await checkCommit(own, record, epoch, head.commits.get(epoch))
    return own
  }
  try {
    return await openOne(newest)
  } catch (error) {
    if (!(error instanceof AppError && (error.is("TAMPERED") || error.code === "CANNOT_OPEN"))) throw error
    for (const token of await formerSelfGrants(session, record, epoch).catch(() => []))
      try {
        return await openOne(token)
      } catch {
        // The next older one may.
      }
    throw error
  }
}

/** Opens the grant that an entry gave this physician.
 * @param before the head that the entry was put on: its member list says with which keys the granter granted.
 * @throws TAMPERED_GRANT, TAMPERED_KEY */
async function openGranted(session: Session, before: ChainHead, { entry, head }: Link, grant: Uint8Array) {
  const granter = before.members.find((member) => member.physician === entry.author)
  if (granter === undefined) throw new AppError("TAMPERED_GRANT")
  const granted = await openListed(session, entry, granter.fingerprint, grant)
  // A joiner's grant holds every epoch from 0 on, an epoch change's exactly the new one.
  const joins = !before.members.some((member) => member.physician === session.physician)
  const owed = joins ? Array.from({ length: entry.epoch + 1 }, (_, epoch) => epoch) : [entry.epoch]
  if (granted.keys.size !== owed.length || !owed.every((epoch) => granted.keys.has(epoch)))
    throw new AppError("TAMPERED_GRANT")
  for (const [epoch, key] of granted.keys) await checkCommit(key, entry.record, epoch, head.commits.get(epoch))
  return granted
}

/** Opens the very grant to this physician that an entry lists. HPKE does not say who sealed it: the entry's signature, which is verified
 * before or after, does.
 * @param granter the fingerprint of the entry's author, 32 B.
 * @throws TAMPERED_GRANT where the entry lists another, or none; TAMPERED_IDENTITY where it names other keys of this physician */
export async function openListed(session: Session, entry: EntryStatement, granter: Uint8Array, grant: Uint8Array) {
  const { physician, keyring } = session
  const mine = memberOf(session, { members: entry.members ?? [] })
  if (mine === null || !listsGrant(entry, physician, grant)) throw new AppError("TAMPERED_GRANT")
  const place = {
    record: entry.record,
    granter: entry.author,
    granterFingerprint: granter,
    recipient: physician,
    recipientFingerprint: mine.fingerprint,
    seq: entry.seq,
    role: mine.role,
  }
  return openGrant(keyring.sealSeed, place, grant)
}

/** The summary in a token; a blank one where there is none that can be read. @throws UNAVAILABLE_MEMORY */
export async function openSummary({ entry, token }: SealedSummary, key: RecordKey): Promise<Summary> {
  try {
    return parseSummary(await open(key, summaryPlace(entry.record, entry.epoch, entry.seq), token))
  } catch (error) {
    demandMemory(error)
    if (error instanceof AppError && error.code === "NOT_ALLOWED_SESSION") throw error
    return blankSummary
  }
}
