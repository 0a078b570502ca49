import { sha256 } from "#sha256"
import { compare, equal } from "../encoding/bytes.ts"
import { idBytes, type PhysicianId, type RecordId } from "../encoding/ids.ts"
import { AppError } from "../errors.ts"
import { type EntryStatement, type Member, parseEntry, type TokenRef } from "./entry.ts"
import { fingerprintOf } from "./identity.ts"
import { verifyStatement } from "./signature.ts"
import { type Signed, statementHash } from "./statement.ts"

/** The public keys that an identity puts behind a physician. */
export interface PublicKeys {
  readonly signKey: Uint8Array
  readonly sealKey: Uint8Array
}

/** Finds keys that claim to be a physician's. They are used only if their fingerprint is the one that the member list names. */
export type FindKeys = (
  physician: PhysicianId,
  fingerprint: Uint8Array,
) => Promise<PublicKeys | null> | PublicKeys | null

/** Everything that a walk along a record's chain has to carry to check the next entry. */
export interface ChainHead {
  readonly record: RecordId
  readonly seq: number
  /** hash of the newest statement */
  readonly hash: Uint8Array
  readonly epoch: number
  /** In force after the newest entry, sorted by physician. */
  readonly members: readonly Member[]
  /** Commitments to the record keys, by epoch. */
  readonly commits: ReadonlyMap<number, Uint8Array>
  /** Somebody left: the next entry has to raise the epoch. */
  readonly mustRaise: boolean
  /** Size of the tree that the owner had seen who last decided about everybody that reads the record: who opened it, shared it while they
   * were its only member, or began an epoch. Left out where that was not noted: version 0.2. */
  readonly settled?: number
  /** Index of the newest entry's leaf in the log. */
  readonly leaf: number
  /** The newest `seen` of each author; the root is `null` where only the size was kept. */
  readonly seen: ReadonlyMap<PhysicianId, { readonly size: number; readonly root: Uint8Array | null }>
}

export interface Link {
  readonly entry: EntryStatement
  readonly head: ChainHead
}

/** Verifies one entry on top of a chain: place, author, right, epoch, members, signature, `seen`.
 * @param before the chain so far, `null` before seq 0.
 * @param leaf the index of the entry's leaf in the log.
 * @throws TAMPERED_CHAIN, TAMPERED_SIGNATURE, TAMPERED_FORK; BAD_INPUT_STATEMENT when the bytes are no statement.
 * Rules: docs/formats/entry.md */
export async function extendChain(
  before: ChainHead | null,
  record: RecordId,
  signed: Signed,
  leaf: number,
  findKeys: FindKeys,
): Promise<Link> {
  const entry = parseEntry(signed.statement)
  demand(entry.record === record)
  demand(before === null ? entry.seq === 0 : entry.seq === before.seq + 1)
  demand(before === null ? entry.prev === undefined : entry.prev !== undefined && equal(entry.prev, before.hash))
  const members = before === null ? (entry.members ?? []) : before.members
  const author = members.find((member) => member.physician === entry.author)
  if (author === undefined) throw new AppError("TAMPERED_CHAIN")
  const next = before === null ? checkOpen(entry) : checkNext(before, entry, author)
  checkSeen(before, entry, leaf)
  const keys = await findKeys(entry.author, author.fingerprint)
  if (keys === null || !equal(fingerprintOnce(entry.author, keys), author.fingerprint))
    throw new AppError("TAMPERED_IDENTITY")
  await verifyStatement("entry", keys.signKey, signed.statement, signed.signature)
  const { keyCommit } = entry
  const known = before?.commits ?? new Map<number, Uint8Array>()
  const commits = keyCommit === undefined ? known : new Map(known).set(entry.epoch, keyCommit)
  const seen = new Map(before?.seen).set(entry.author, entry.seen)
  const hash = statementHash(signed.statement)
  const settled = settledBy(before, entry)
  return {
    entry,
    head: {
      ...(settled === undefined ? {} : { settled }),
      record,
      seq: entry.seq,
      hash,
      epoch: entry.epoch,
      commits,
      leaf,
      seen,
      ...next,
    },
  }
}

/** Fingerprints, by the very keys that they were made from. An author's are asked for with each entry. */
const fingerprints = new WeakMap<PublicKeys, { readonly physician: PhysicianId; readonly fingerprint: Uint8Array }>()

function fingerprintOnce(physician: PhysicianId, keys: PublicKeys): Uint8Array {
  const known = fingerprints.get(keys)
  if (known?.physician === physician) return known.fingerprint
  const fingerprint = fingerprintOf(physician, keys.signKey, keys.sealKey)
  fingerprints.set(keys, { physician, fingerprint })
  return fingerprint
}

/** {@link ChainHead.settled} after an entry that was verified on top of `before`. */
export function settledBy(before: ChainHead | null, entry: EntryStatement): number | undefined {
  if (before === null) return entry.seen.size
  if (entry.kind !== "members") return before.settled
  const author = before.members.find(({ physician }) => physician === entry.author)
  const stays = entry.members?.some(({ physician }) => physician === entry.author) === true
  const decided = author?.role === "owner" && stays && (entry.keyCommit !== undefined || before.members.length === 1)
  return decided ? entry.seen.size : before.settled
}

/** Whether a record still goes by a key from before the log was put back. Somebody who was given it since, and removed again, has it, and is
 * in no list any more. @param restoredAt the index of the leaf that binds the restore; -1 for none */
export function hasFormerKey({ settled }: Pick<ChainHead, "settled">, restoredAt: number): boolean {
  return restoredAt >= 0 && (settled ?? -1) <= restoredAt
}

/** Whether a record had several members when the log was put back, and no owner has decided since who they are. Somebody who was removed
 * meanwhile is among them again, with their key. @param restoredAt as in {@link hasFormerKey} */
export function awaitsOwner(head: Pick<ChainHead, "members" | "settled">, restoredAt: number): boolean {
  return head.members.length > 1 && hasFormerKey(head, restoredAt)
}

/** Demands that a token is the one that a statement names. @throws TAMPERED_TOKEN */
export function checkToken(ref: TokenRef | undefined, token: Uint8Array | undefined): void {
  if (ref === undefined && token === undefined) return
  if (ref === undefined || token === undefined || ref.size !== token.length || !equal(ref.hash, sha256(token)))
    throw new AppError("TAMPERED_TOKEN")
}

interface Standing {
  readonly members: readonly Member[]
  readonly mustRaise: boolean
}

function checkOpen(entry: EntryStatement): Standing {
  const [owner, ...others] = entry.members ?? []
  demand(entry.kind === "open" && entry.epoch === 0)
  demand(
    owner?.physician === entry.author && owner.role === "owner" && owner.until === undefined && others.length === 0,
  )
  demand(entry.keyCommit !== undefined && entry.body !== undefined && entry.summary !== undefined)
  demand(entry.grants === undefined && entry.attachments === undefined)
  return { members: entry.members ?? [], mustRaise: false }
}

function checkNext(before: ChainHead, entry: EntryStatement, author: Member): Standing {
  if (entry.kind === "write") {
    demand(author.role === "owner" || author.role === "writer")
    demand(entry.epoch === before.epoch && !before.mustRaise)
    demand(entry.body !== undefined && entry.summary !== undefined)
    demand(entry.members === undefined && entry.keyCommit === undefined && entry.grants === undefined)
    return { members: before.members, mustRaise: false }
  }
  demand(entry.kind === "members" && entry.members !== undefined)
  demand(entry.body === undefined && entry.attachments === undefined)
  const list = entry.members ?? []
  demand(list.every((member, i) => i === 0 || inOrder(list[i - 1]!, member)))
  demand(list.some((member) => member.role === "owner"))
  return isLeaving(before, entry, author) ? checkLeave(before, entry) : checkMembers(before, entry, author)
}

/** One who leaves removes only themself and stays in the epoch. */
function isLeaving(before: ChainHead, entry: EntryStatement, author: Member): boolean {
  const rest = before.members.filter((member) => member !== author)
  return entry.epoch === before.epoch && sameMembers(rest, entry.members ?? [])
}

function checkLeave(before: ChainHead, entry: EntryStatement): Standing {
  demand(entry.keyCommit === undefined && entry.summary === undefined && entry.grants === undefined)
  return { members: before.members.filter((member) => member.physician !== entry.author), mustRaise: true }
}

function checkMembers(before: ChainHead, entry: EntryStatement, author: Member): Standing {
  const list = entry.members ?? []
  const raised = entry.epoch === before.epoch + 1
  const removed = before.members.some((old) => !list.some((member) => sameKeys(old, member)))
  const added = list.filter((member) => !before.members.some((old) => sameKeys(old, member)))
  demand(raised || entry.epoch === before.epoch)
  // Whoever makes a new key is one of those who may hold it.
  demand(list.some((member) => member.physician === entry.author))
  demand(author.role === "owner" || (author.role === "writer" && raised && sameMembers(before.members, list)))
  demand(raised || (!removed && !before.mustRaise))
  demand(raised === (entry.keyCommit !== undefined) && raised === (entry.summary !== undefined))
  const granted = new Set(entry.grants?.map((grant) => grant.recipient))
  demand(granted.size === (entry.grants?.length ?? 0))
  const entitled = raised ? list.filter((member) => member.physician !== entry.author) : added
  demand(granted.size === entitled.length && entitled.every((member) => granted.has(member.physician)))
  return { members: list, mustRaise: false }
}

/** `seen` has to hold the leaf of `prev` and must not fall for one author. */
function checkSeen(before: ChainHead | null, entry: EntryStatement, leaf: number): void {
  demand(entry.seen.size <= leaf)
  if (before === null) return
  demand(leaf > before.leaf && entry.seen.size > before.leaf)
  const last = before.seen.get(entry.author)
  if (last === undefined) return
  const forked = entry.seen.size === last.size && last.root !== null && !equal(entry.seen.root, last.root)
  if (entry.seen.size < last.size || forked) throw new AppError("TAMPERED_FORK")
}

function inOrder(a: Member, b: Member): boolean {
  return compare(idBytes(a.physician), idBytes(b.physician)) < 0
}

/** Whether two members are the same physician under the same keys. */
export function sameKeys(a: Member, b: Member): boolean {
  return a.physician === b.physician && equal(a.fingerprint, b.fingerprint)
}

/** Whether two lists, sorted by physician, say the same. */
export function sameMembers(a: readonly Member[], b: readonly Member[]): boolean {
  return (
    a.length === b.length &&
    a.every((member, i) => sameKeys(member, b[i]!) && member.role === b[i]!.role && member.until === b[i]!.until)
  )
}

function demand(holds: boolean): void {
  if (!holds) throw new AppError("TAMPERED_CHAIN")
}
