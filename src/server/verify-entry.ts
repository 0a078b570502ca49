import { sha256 } from "#sha256"
import { equal } from "../encoding/bytes.ts"
import type { PhysicianId, RecordId } from "../encoding/ids.ts"
import { AppError } from "../errors.ts"
import { awaitsOwner, type ChainHead, checkToken, extendChain, type Link, sameMembers } from "../proof/chain.ts"
import { type EntryStatement, type Member, parseEntry } from "../proof/entry.ts"
import type { Signed } from "../proof/statement.ts"
import { roleOf } from "./access.ts"
import { refusing } from "./statements.ts"
import type { Grant, Store } from "./store/store.ts"

export interface GivenEntry {
  readonly signed: Signed
  readonly body: Uint8Array | undefined
  readonly summary: Uint8Array | undefined
  readonly selfGrant: Uint8Array | undefined
  readonly grants: readonly Grant[]
}

/** X-Wing's encapsulation and the tag of an empty AES-GCM ciphertext: no grant is shorter. */
const smallestGrant = 1120 + 16

/** Verifies an entry on top of its record's head, with all that comes with it.
 * @param before the head; null where there is no such record.
 * @param author the session's physician, a member where there is a record.
 * @throws CONFLICT_HEAD, NOT_ALLOWED, NOT_ALLOWED_ROLE, NOT_ALLOWED_LAST_OWNER, BAD_INPUT_STATEMENT */
export async function verifyEntry(
  store: Store,
  before: ChainHead | null,
  record: RecordId,
  author: PhysicianId,
  given: GivenEntry,
): Promise<Link> {
  const { size } = store.treeHead()
  const findKeys = (physician: PhysicianId, fingerprint: Uint8Array) => store.findKeys(physician, fingerprint)
  const link = await extendChain(before, record, given.signed, size, findKeys).catch((cause: unknown) => {
    throw refusalOf(cause, before, author, given.signed)
  })
  const { entry } = link
  if (before !== null && awaitsOwner(before, store.restoredAt) && !decides(entry, link.head, store.restoredAt))
    throw new AppError("NOT_ALLOWED_RESTORED")
  if (entry.author !== author) throw new AppError("NOT_ALLOWED")
  // Attachments come with files; until then none is stored.
  if (entry.attachments !== undefined) throw new AppError("BAD_INPUT_STATEMENT")
  if ((given.selfGrant !== undefined) !== (entry.keyCommit !== undefined)) throw new AppError("BAD_INPUT_STATEMENT")
  demandGrants(entry, given.grants)
  const root = await store.rootAt(entry.seen.size)
  if (root === null || !equal(root, entry.seen.root)) throw new AppError("BAD_INPUT_STATEMENT")
  await refusing(
    (async () => {
      checkToken(entry.body, given.body)
      checkToken(entry.summary, given.summary)
    })(),
  )
  if (entry.kind === "members") {
    await demandKnown(store, before?.members ?? [], entry.members ?? [])
    await demandOwner(store, record, before?.members ?? [], entry.members ?? [])
  }
  return link
}

/** Whether an entry may stand on a record that an owner has to decide about first: that decision, or somebody leaving. */
function decides(entry: EntryStatement, after: ChainHead, restoredAt: number): boolean {
  const leaves = entry.members?.every(({ physician }) => physician !== entry.author) === true
  return leaves || (entry.keyCommit !== undefined && (after.settled ?? -1) > restoredAt)
}

/** Demands the very grants that the statement lists. @throws BAD_INPUT_STATEMENT */
function demandGrants({ grants: listed = [] }: EntryStatement, grants: readonly Grant[]): void {
  const given = new Map(grants.map(({ recipient, grant }) => [recipient, grant]))
  if (given.size !== grants.length || grants.length !== listed.length) throw new AppError("BAD_INPUT_STATEMENT")
  for (const { recipient, hash } of listed) {
    const grant = given.get(recipient)
    if (grant === undefined || grant.length < smallestGrant || !equal(sha256(grant), hash))
      throw new AppError("BAD_INPUT_STATEMENT")
  }
}

/** Demands that whoever is named for the first time, or with other keys than before, is a physician here, under their newest keys.
 * @throws BAD_INPUT_STATEMENT */
async function demandKnown(store: Store, before: readonly Member[], members: readonly Member[]): Promise<void> {
  for (const { physician, fingerprint } of members) {
    if (before.some((old) => old.physician === physician && equal(old.fingerprint, fingerprint))) continue
    const newest = await store.newestFingerprint(physician)
    if (newest === null || !equal(newest, fingerprint)) throw new AppError("BAD_INPUT_STATEMENT")
  }
}

/** Demands that a record is not left to owners who may still decline it, or whose time will be over. @throws NOT_ALLOWED_LAST_OWNER */
async function demandOwner(store: Store, record: RecordId, before: readonly Member[], members: readonly Member[]) {
  const isLasting = ({ role, until }: Member) => role === "owner" && until === undefined
  const lasting = members.filter(isLasting).map(({ physician }) => physician)
  if (before.every((old) => !isLasting(old) || lasting.includes(old.physician))) return
  const accepted = await store.whoAccepted(record)
  if (!lasting.some((physician) => accepted.has(physician))) throw new AppError("NOT_ALLOWED_LAST_OWNER")
}

/** Says which it was: somebody else was faster, no right, or no valid entry. */
function refusalOf(cause: unknown, before: ChainHead | null, author: PhysicianId, signed: Signed): unknown {
  if (!(cause instanceof AppError && cause.is("TAMPERED"))) return cause
  const entry = parseEntry(signed.statement)
  if (before === null) return new AppError(entry.seq > 0 ? "NOT_ALLOWED" : "BAD_INPUT_STATEMENT", undefined, { cause })
  const follows = entry.seq === before.seq + 1 && entry.prev !== undefined && equal(entry.prev, before.hash)
  if (!follows) return new AppError("CONFLICT_HEAD", undefined, { cause })
  if (!mayDo(before, author, entry)) return new AppError("NOT_ALLOWED_ROLE", undefined, { cause })
  const ownerless = entry.members?.every((member) => member.role !== "owner") ?? false
  return new AppError(ownerless ? "NOT_ALLOWED_LAST_OWNER" : "BAD_INPUT_STATEMENT", undefined, { cause })
}

/** Whether a member's role allows such an entry, be it valid or not. */
function mayDo(before: ChainHead, author: PhysicianId, entry: EntryStatement): boolean {
  const role = roleOf(before, author, 0)
  if (role === "owner") return true
  if (entry.kind === "write") return role === "writer"
  const rest = before.members.filter((member) => member.physician !== author)
  const list = entry.members ?? []
  if (sameMembers(rest, list)) return true
  return role === "writer" && entry.epoch > before.epoch && sameMembers(before.members, list)
}
