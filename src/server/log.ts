import { createPrivateKey, createPublicKey, sign } from "node:crypto"
import { concat, utf8 } from "../encoding/bytes.ts"
import { encodeCheckpoint, encodeNote } from "../proof/checkpoint.ts"
import { signedBytes } from "../proof/signature.ts"
import type { SignCheckpoint } from "./deps.ts"

export interface LogSigner {
  /** Ed25519 public key that clients pin, 32 B. */
  readonly publicKey: Uint8Array
  readonly sign: SignCheckpoint
  /** Signs a succession statement: Ed25519 over `signedBytes("succession", statement)`, 64 B. */
  signSuccession(statement: Uint8Array): Uint8Array
}

/** The log's own key. @param seed Ed25519 seed from the secrets folder, 32 B. Format: docs/formats/log.md */
export function logSigner(seed: Uint8Array): LogSigner {
  if (seed.length !== 32) throw new RangeError("the log's seed has 32 bytes")
  const key = createPrivateKey({ key: Buffer.from(concat(seedPrefix, seed)), format: "der", type: "pkcs8" })
  const spki = createPublicKey(key).export({ format: "der", type: "spki" })
  const publicKey = new Uint8Array(spki.subarray(-32))
  return {
    publicKey,
    sign: (checkpoint) => encodeNote(checkpoint, publicKey, sign(null, utf8(encodeCheckpoint(checkpoint)), key)),
    signSuccession: (statement) => new Uint8Array(sign(null, signedBytes("succession", statement), key)),
  }
}

/** What stands before the seed in PKCS#8. Source: RFC 8410 §7 */
export const seedPrefix = Uint8Array.from([48, 46, 2, 1, 0, 48, 5, 6, 3, 43, 101, 112, 4, 34, 4, 32])
