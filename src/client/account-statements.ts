import { sha256 } from "#sha256"
import { parseUtf8, utf8 } from "../encoding/bytes.ts"
import type { PhysicianId } from "../encoding/ids.ts"
import { demandKnownVersion, unreadable } from "../encoding/sealed-version.ts"
import { AppError } from "../errors.ts"
import {
  type AccountItem,
  type AccountKind,
  encodeAccount,
  sortItems,
  standsFor,
  verifyAccount,
} from "../proof/account-statement.ts"
import { type Identity, parseIdentity } from "../proof/identity.ts"
import { type Signed, statementHash } from "../proof/statement.ts"
import type { Keyring } from "../vault/keyring.ts"
import type { PhysicianKey } from "../vault/keys.ts"
import { profilePlace } from "../vault/places.ts"
import { open } from "../vault/seal.ts"
import type { Signer } from "../vault/signer.ts"

/** Who signs an account statement, and when. */
export interface AccountSigner {
  readonly physician: PhysicianId
  readonly identity: Pick<Identity, "seq">
  readonly signer: Signer
  readonly around: { readonly now: () => number }
}

/** A keyring or a profile as the server gives it: `signed` is missing of what version 0.2 stored. */
export interface StoredToken {
  readonly number: number
  readonly token: Uint8Array
  readonly signed?: Signed | undefined
}

/** Signs for sealed things of one's account. */
export async function signAccount(
  by: AccountSigner,
  what: AccountKind,
  items: readonly AccountItem[],
): Promise<Signed> {
  const { physician, identity, signer } = by
  const time = by.around.now()
  const statement = encodeAccount({
    v: 1,
    suite: "F1",
    physician,
    identity: identity.seq,
    what,
    items: [...items],
    time,
  })
  return { statement, signature: await signer.sign("account", statement) }
}

/** The items of a keyring's statement: itself, and the segments that stay. @param prev hash of the token that it replaces */
export function keyringItems(
  physician: PhysicianId,
  number: number,
  prev: Uint8Array | undefined,
  token: Uint8Array,
  { roster }: Keyring,
): AccountItem[] {
  const stays = roster.segments.map(({ id, hash }) => ({ subject: id, number: 0, hash }))
  return [{ subject: physician, number, ...(prev && { prev }), hash: sha256(token) }, ...sortItems(stays)]
}

/** Demands that a keyring or profile is the one that its physician signed for. What has no statement is of version 0.2.
 * @param signKeyOf the public key of the physician's identity with this seq, verified; null where there is none
 * @returns what the log's leaf of a keyring holds: the hash of its statement, or of a token of version 0.2. The leaf, which is looked for
 * under its number, decides: a statement that was left out, or put there, makes another hash.
 * @throws CANNOT_OPEN for another token than was signed for; TAMPERED_IDENTITY, TAMPERED_SIGNATURE */
export async function verifyStored(
  physician: PhysicianId,
  signKeyOf: (seq: number) => Uint8Array | null,
  what: "keyring" | "profile",
  { number, token, signed }: StoredToken,
): Promise<Uint8Array> {
  if (signed === undefined) return sha256(token)
  const { items } = await verifyAccount(signed, physician, what, signKeyOf).catch((error: unknown) => {
    const unreadable = error instanceof AppError && error.is("BAD_INPUT")
    throw unreadable ? new AppError("TAMPERED_SIGNATURE", undefined, { cause: error }) : error
  })
  // Damaged, whoever did it: it is as good as one that does not open.
  if (!standsFor(items[0], physician, number, token)) throw new AppError("CANNOT_OPEN")
  return statementHash(signed.statement)
}

/** The public key of each identity of a chain that was verified, by seq. The lookup throws TAMPERED_ROLLBACK for one beyond its end: whoever
 * signed with it has a newer identity than is shown. */
export function keysOfChain(chain: readonly Signed[]): (seq: number) => Uint8Array {
  return (seq) => {
    const signed = chain[seq]
    if (signed === undefined) throw new AppError("TAMPERED_ROLLBACK")
    return parseIdentity(signed.statement).signKey
  }
}

/** The physician's own names. */
export interface ProfileNames {
  readonly firstName: string
  readonly lastName: string
}

export function encodeProfile({ firstName, lastName }: ProfileNames): Uint8Array<ArrayBuffer> {
  return utf8(JSON.stringify({ firstName, lastName }))
}

/** @throws CANNOT_OPEN, UNAVAILABLE_UPDATE */
export async function openProfile(
  key: PhysicianKey,
  physician: PhysicianId,
  { number, token }: StoredToken,
): Promise<ProfileNames> {
  const bytes = await open(key, profilePlace(physician, number), token)
  try {
    const profile: Partial<Record<keyof ProfileNames, unknown>> = JSON.parse(parseUtf8(bytes))
    demandKnownVersion(profile, 1)
    return { firstName: String(profile.firstName), lastName: String(profile.lastName) }
  } catch (cause) {
    throw unreadable(cause)
  }
}
