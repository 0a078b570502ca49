import { importMacKey, mac } from "#engine"
import { concat, equal } from "../encoding/bytes.ts"
import { context } from "../encoding/context.ts"
import { idBytes, type PhysicianId, type RecordId } from "../encoding/ids.ts"
import { AppError } from "../errors.ts"
import { type FernetKey, importKey } from "./fernet.ts"

/** 32 uniform secret bytes, branded so that one kind cannot be passed where another belongs. */
export type SecretKey<Kind extends string = string> = Uint8Array<ArrayBuffer> & { readonly secret: Kind }
export type PhysicianKey = SecretKey<"physician">
export type RecordKey = SecretKey<"record">
/** Opens the physician key; made from a password's export key or from recovery words. */
export type UnlockKey = SecretKey<"unlock">
/** The half of a remembered session that the server keeps. */
export type SessionHalf = SecretKey<"session">

/** A fresh key from the platform's cryptographic randomness. */
export function newSecretKey<Kind extends string>(): SecretKey<Kind> {
  return crypto.getRandomValues(new Uint8Array(32)) as SecretKey<Kind>
}

/** Takes 32 bytes as a key of the kind that the caller knows them to be. @throws CANNOT_OPEN for another length */
export function asSecretKey<Kind extends string>(bytes: Uint8Array): SecretKey<Kind> {
  if (bytes.length !== 32) throw new AppError("CANNOT_OPEN")
  return new Uint8Array(bytes) as SecretKey<Kind>
}

/** Overwrites a key that is no longer needed. */
export function wipe(key: Uint8Array): void {
  key.fill(0)
}

const one = Uint8Array.of(1)

/** key(K, context) = HKDF-Expand-SHA256(K, context, 32) = HMAC-SHA256(K, context ‖ 0x01), 32 B.
 * Format: docs/formats/token.md · HKDF: RFC 5869 §2.3 */
export async function deriveBytes(key: SecretKey, place: Uint8Array): Promise<Uint8Array<ArrayBuffer>> {
  demandUnwiped(key)
  return mac(await importMacKey(key), concat(place, one))
}

/** A key of zeros is one that was wiped: nothing may be sealed under it. @throws NOT_ALLOWED_SESSION */
function demandUnwiped(key: SecretKey): void {
  if (key.every((byte) => byte === 0)) throw new AppError("NOT_ALLOWED_SESSION")
}

/** key(K, context) as a Fernet key. */
export async function deriveKey(key: SecretKey, place: Uint8Array): Promise<FernetKey> {
  return importKey(await deriveBytes(key, place))
}

/** The public commitment to a record key: key(K, CTX(key-commit, record, epoch)), 32 B. Nothing is sealed under it. */
export function commitTo(key: RecordKey, record: RecordId, epoch: number): Promise<Uint8Array<ArrayBuffer>> {
  return deriveBytes(key, context("key-commit", idBytes(record), epoch))
}

/** Demands that a record key, from wherever it came, is the one its chain commits to. @throws TAMPERED_KEY */
export async function checkCommit(
  key: RecordKey,
  record: RecordId,
  epoch: number,
  commit: Uint8Array | undefined,
): Promise<void> {
  if (commit === undefined || !equal(await commitTo(key, record, epoch), commit)) throw new AppError("TAMPERED_KEY")
}

/** unlock key = HKDF-SHA256(secret, no salt, CTX(unlock-key, physician, method, generation)), 32 B.
 * @param secret OPAQUE's export key (64 B) or the entropy of the recovery words (32 B). Source: RFC 5869 */
export async function deriveUnlockKey(
  secret: Uint8Array,
  physician: PhysicianId,
  method: string,
  generation: number,
): Promise<UnlockKey> {
  const material = await crypto.subtle.importKey("raw", new Uint8Array(secret), "HKDF", false, ["deriveBits"])
  const info = context("unlock-key", idBytes(physician), method, generation)
  const bits = await crypto.subtle.deriveBits(
    { name: "HKDF", hash: "SHA-256", salt: new Uint8Array(0), info },
    material,
    256,
  )
  return asSecretKey(new Uint8Array(bits))
}
