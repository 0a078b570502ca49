import { ed25519 } from "@noble/curves/ed25519.js"
import { verify } from "#ed25519"
import { sha256 } from "#sha256"
import { encodeBase64url } from "../encoding/base64.ts"
import { concat, utf8 } from "../encoding/bytes.ts"
import { AppError } from "../errors.ts"

export type SignatureLabel = "identity" | "entry" | "recovery" | "account" | "succession"

/** The bytes that are signed: utf8("healthcrypt/v1/" ‖ label) ‖ 0x00 ‖ statement. A signature under one label is none under another. */
export function signedBytes(label: SignatureLabel, statement: Uint8Array): Uint8Array<ArrayBuffer> {
  return concat(utf8(`healthcrypt/v1/${label}`), Uint8Array.of(0), statement)
}

/** Ed25519 (RFC 8032), one rule on both platforms: S below L, and encode(SB - kA) equal to R byte for byte.
 * @param publicKey 32 B, taken in through {@link checkPublicKey} before.
 * @param signature 64 B. */
export async function verifyEd25519(
  publicKey: Uint8Array,
  message: Uint8Array,
  signature: Uint8Array,
): Promise<boolean> {
  if (publicKey.length !== 32 || signature.length !== 64) return false
  return verify(publicKey, message, signature)
}

/** Signatures that were verified: the hash of key, signature and what is signed, the newest last. A record's entries come by the change
 * feed, and once more when the record is opened. */
const verified = new Set<string>()
const keptVerified = 50_000

/** Verifies a statement's signature. @throws TAMPERED_SIGNATURE */
export async function verifyStatement(
  label: SignatureLabel,
  publicKey: Uint8Array,
  statement: Uint8Array,
  signature: Uint8Array,
): Promise<void> {
  const message = signedBytes(label, statement)
  // Key and signature have one length each: nothing else comes to the same bytes.
  if (publicKey.length !== 32 || signature.length !== 64) throw new AppError("TAMPERED_SIGNATURE")
  const name = encodeBase64url(sha256(publicKey, signature, message))
  if (verified.has(name)) return
  if (!(await verifyEd25519(publicKey, message, signature))) throw new AppError("TAMPERED_SIGNATURE")
  verified.add(name)
  if (verified.size > keptVerified) verified.delete(verified.values().next().value!)
}

/** A public key that is taken in for the first time must be canonical, on the curve, and free of torsion, on which verifiers differ.
 * @throws BAD_INPUT_STATEMENT */
export function checkPublicKey(publicKey: Uint8Array): void {
  try {
    const point = ed25519.Point.fromBytes(publicKey, false)
    if (point.isTorsionFree() && !point.is0()) return
  } catch {
    // falls through to the refusal
  }
  throw new AppError("BAD_INPUT_STATEMENT", "The public key is not a canonical Ed25519 key. Make a new one.")
}
