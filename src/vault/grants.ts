import { AEAD_AES_256_GCM, CipherSuite, KDF_HKDF_SHA256, type Key } from "hpke"
import { xwing } from "#xwing"
import { concat } from "../encoding/bytes.ts"
import { encodeCbor, parseCbor } from "../encoding/cbor.ts"
import { context } from "../encoding/context.ts"
import { idBytes, type PhysicianId, type RecordId } from "../encoding/ids.ts"
import { AppError } from "../errors.ts"
import type { Role } from "../proof/entry.ts"
import { asSecretKey, type RecordKey } from "./keys.ts"

/** Who grants what to whom, in which entry: all of it enters the key schedule, so a grant is good for one place alone. */
export interface GrantPlace {
  readonly record: RecordId
  readonly granter: PhysicianId
  /** 32 B, as the member list before the entry names it. */
  readonly granterFingerprint: Uint8Array
  readonly recipient: PhysicianId
  /** 32 B, as the entry's own member list names it. */
  readonly recipientFingerprint: Uint8Array
  /** Of the `members` entry that carries the grant. */
  readonly seq: number
  /** The recipient's, in that entry. */
  readonly role: Role
}

/** What a grant holds. */
export interface Granted {
  /** The granter's own name, as they give it: a claim, and "" where they gave none. */
  readonly by: string
  /** By epoch. */
  readonly keys: ReadonlyMap<number, RecordKey>
}

/** X-Wing's encapsulation: ML-KEM-768's ciphertext and an X25519 key. */
const encBytes = 1120
const maxPlainBytes = 60_000
const maxNameLength = 500

const suite = new CipherSuite(xwing, KDF_HKDF_SHA256, AEAD_AES_256_GCM)

/** Somebody's X-Wing public key, ready to seal to. */
export type RecipientKey = Key

/** @param sealKey 1,216 B, held against a fingerprint before. @throws TAMPERED_IDENTITY for another length */
export async function importRecipient(sealKey: Uint8Array): Promise<RecipientKey> {
  try {
    return await suite.DeserializePublicKey(sealKey)
  } catch (cause) {
    throw new AppError("TAMPERED_IDENTITY", undefined, { cause })
  }
}

/** Seals record keys to one member: HPKE base mode with X-Wing (0x647a), HKDF-SHA256, AES-256-GCM; one encapsulation a grant.
 * HPKE does not say who sealed: the hash of what comes out stands in the granter's signed entry.
 * @throws BAD_INPUT_SIZE for more than about 1,500 epochs; TAMPERED_IDENTITY for a key to which nothing can be sealed
 * @returns enc (1,120 B) ‖ ct. Format: docs/formats/grant.md · HPKE: RFC 9180 · X-Wing: draft-connolly-cfrg-xwing-kem */
export async function sealGrant(
  recipient: RecipientKey,
  place: GrantPlace,
  { by, keys }: Granted,
): Promise<Uint8Array<ArrayBuffer>> {
  const plain = encodeCbor([by.slice(0, maxNameLength), [...keys].sort(([a], [b]) => a - b)])
  if (plain.length > maxPlainBytes)
    throw new AppError("BAD_INPUT_SIZE", "This record has had too many keys to be given to anybody new.")
  try {
    const { encapsulatedSecret, ciphertext } = await suite.Seal(recipient, plain, bound(place))
    return concat(encapsulatedSecret, ciphertext)
  } catch (cause) {
    throw new AppError("TAMPERED_IDENTITY", undefined, { cause })
  } finally {
    plain.fill(0)
  }
}

/** Opens a grant with one's own keys. The keys in it are checked against their commitments by the caller, before use.
 * @param seed 32 B, secret. @throws TAMPERED_GRANT, one error whatever is wrong */
export async function openGrant(seed: Uint8Array, place: GrantPlace, grant: Uint8Array): Promise<Granted> {
  try {
    const key = await suite.DeserializePrivateKey(seed, false)
    const plain = await suite.Open(key, grant.slice(0, encBytes), grant.slice(encBytes), bound(place))
    return parsePlain(plain)
  } catch (cause) {
    throw new AppError("TAMPERED_GRANT", undefined, { cause })
  }
}

function bound(place: GrantPlace): { info: Uint8Array; aad: Uint8Array } {
  const { record, granter, granterFingerprint, recipient, recipientFingerprint, seq, role } = place
  return {
    info: context(
      "grant-info",
      idBytes(record),
      idBytes(granter),
      granterFingerprint,
      idBytes(recipient),
      recipientFingerprint,
    ),
    aad: context("grant-aad", seq, role),
  }
}

function parsePlain(plain: Uint8Array): Granted {
  const value = parseCbor(plain, maxPlainBytes)
  if (!Array.isArray(value) || value.length !== 2) throw new Error("not a grant")
  const [by, list] = value
  if (typeof by !== "string" || by.length > maxNameLength || !Array.isArray(list) || list.length === 0)
    throw new Error("not a grant")
  const keys = new Map<number, RecordKey>()
  let last = -1
  for (const pair of list) {
    const [epoch, key] = Array.isArray(pair) && pair.length === 2 ? pair : []
    if (typeof epoch !== "number" || epoch <= last || !(key instanceof Uint8Array)) throw new Error("not a grant")
    // A key of zeros stands for one that was wiped; nobody makes one in earnest.
    if (key.every((byte) => byte === 0)) throw new Error("not a grant")
    keys.set(epoch, asSecretKey<"record">(key))
    last = epoch
  }
  return { by, keys }
}
