import { sha256 } from "#sha256"
import { equal } from "../encoding/bytes.ts"
import type { PhysicianId, RecordId } from "../encoding/ids.ts"
import { AppError } from "../errors.ts"
import { type ChainHead, checkToken, extendChain, type Link } from "../proof/chain.ts"
import { parseEntry } from "../proof/entry.ts"
import { fingerprintOf, type Identity, parseIdentity, verifyIdentity } from "../proof/identity.ts"
import { type Signed, statementHash } from "../proof/statement.ts"
import type { UnlockSeal } from "../protocol/accounts.ts"
import { roleOf } from "./access.ts"
import type { Store } from "./store/store.ts"

/** What a client sends is not tampered with but wrong. @throws BAD_INPUT_STATEMENT for TAMPERED_*, anything else as it is */
export async function refusing<T>(verified: Promise<T>): Promise<T> {
  try {
    return await verified
  } catch (cause) {
    if (cause instanceof AppError && cause.is("TAMPERED"))
      throw new AppError("BAD_INPUT_STATEMENT", undefined, { cause })
    throw cause
  }
}

/** Demands that an identity lists exactly these ways to unlock. @throws BAD_INPUT_STATEMENT */
export function demandListed(identity: Identity, seals: readonly UnlockSeal[]): void {
  const listed = (seal: UnlockSeal) =>
    identity.unlocks.some(
      ({ method, generation, hash }) =>
        method === seal.method && generation === seal.generation && equal(hash, sha256(seal.token)),
    )
  const methods = new Set(seals.map((seal) => seal.method))
  if (methods.size !== identity.unlocks.length || methods.size !== seals.length || !seals.every(listed))
    throw new AppError("BAD_INPUT_STATEMENT", "The identity does not list the ways to unlock that came with it.")
}

/** Verifies an identity that replaces ways to unlock: the next of its chain, with the same keys.
 * @param newest the stored one, verified when it was stored.
 * @throws CONFLICT_IDENTITY, BAD_INPUT_STATEMENT */
export async function verifyNextIdentity(newest: Signed, next: Signed): Promise<Identity> {
  const stored = parseIdentity(newest.statement)
  const before = {
    ...stored,
    hash: statementHash(newest.statement),
    fingerprint: fingerprintOf(stored.physician, stored.signKey, stored.sealKey),
  }
  const { seq, prev } = parseIdentity(next.statement)
  if (seq !== before.seq + 1 || prev === undefined || !equal(prev, before.hash)) throw new AppError("CONFLICT_IDENTITY")
  const identity = await refusing(verifyIdentity(before, next))
  if (!equal(identity.fingerprint, before.fingerprint)) throw new AppError("BAD_INPUT_STATEMENT")
  return identity
}

export interface GivenEntry {
  readonly signed: Signed
  readonly body: Uint8Array | undefined
  readonly summary: Uint8Array | undefined
  readonly selfGrant: Uint8Array | undefined
}

/** Verifies an entry on top of its record's head, with all that comes with it.
 * @param before the head; null where there is no such record.
 * @param author the session's physician, a member where there is a record.
 * @throws CONFLICT_HEAD, NOT_ALLOWED, BAD_INPUT_STATEMENT */
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
  if (entry.author !== author) throw new AppError("NOT_ALLOWED")
  // Members and attachments come with sharing and with files; until then nothing of them is stored.
  if (entry.kind === "members" || entry.attachments !== undefined) throw new AppError("BAD_INPUT_STATEMENT")
  if ((given.selfGrant !== undefined) !== (entry.kind === "open")) throw new AppError("BAD_INPUT_STATEMENT")
  const root = await store.rootAt(entry.seen.size)
  if (root === null || !equal(root, entry.seen.root)) throw new AppError("BAD_INPUT_STATEMENT")
  await refusing(
    (async () => {
      checkToken(entry.body, given.body)
      checkToken(entry.summary, given.summary)
    })(),
  )
  return link
}

/** Says which it was: somebody else was faster, no right, or no valid entry. */
function refusalOf(cause: unknown, before: ChainHead | null, author: PhysicianId, signed: Signed): unknown {
  if (!(cause instanceof AppError && cause.is("TAMPERED"))) return cause
  const { seq, prev } = parseEntry(signed.statement)
  if (before === null) return new AppError(seq > 0 ? "NOT_ALLOWED" : "BAD_INPUT_STATEMENT", undefined, { cause })
  const follows = seq === before.seq + 1 && prev !== undefined && equal(prev, before.hash)
  if (!follows) return new AppError("CONFLICT_HEAD", undefined, { cause })
  const mayWrite = roleOf(before, author, 0) !== "reader"
  return new AppError(mayWrite ? "BAD_INPUT_STATEMENT" : "NOT_ALLOWED", undefined, { cause })
}
