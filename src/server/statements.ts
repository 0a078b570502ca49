import { sha256 } from "#sha256"
import { equal } from "../encoding/bytes.ts"
import type { PhysicianId } from "../encoding/ids.ts"
import { AppError } from "../errors.ts"
import { type AccountKind, standsFor, type VerifiedAccount, verifyAccount } from "../proof/account-statement.ts"
import { fingerprintOf, type Identity, parseIdentity, verifyIdentity } from "../proof/identity.ts"
import { type Signed, statementHash } from "../proof/statement.ts"
import type { UnlockSeal } from "../protocol/accounts.ts"
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

/** Verifies an account statement of the session's physician, by the keys that they have now.
 * @throws BAD_INPUT_STATEMENT */
export async function demandAccount(
  store: Store,
  physician: PhysicianId,
  what: AccountKind,
  signed: Signed,
): Promise<VerifiedAccount> {
  const [newest] = (await store.newestIdentities(physician)).slice(-1)
  const signKey = newest === undefined ? null : parseIdentity(newest.statement).signKey
  const newestSeq = newest === undefined ? -1 : parseIdentity(newest.statement).seq
  // Keys stay the same from one identity to the next; who changes them has to sign with the newest.
  return refusing(verifyAccount(signed, physician, what, (seq) => (seq <= newestSeq ? signKey : null)))
}

/** Demands that an account statement stands for exactly this token. @returns what the token replaces; undefined for number 0
 * @throws BAD_INPUT_STATEMENT */
export function demandToken(
  { items }: VerifiedAccount,
  physician: PhysicianId,
  token: Uint8Array,
): { readonly number: number; readonly prev: Uint8Array | undefined } {
  const [first] = items
  if (first === undefined || !standsFor(first, physician, first.number, token))
    throw new AppError("BAD_INPUT_STATEMENT")
  return { number: first.number, prev: first.prev }
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
