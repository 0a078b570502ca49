import { createPublicKey, type KeyObject, verify as verifySignature } from "node:crypto"
import { encodeSpki } from "../encoding/ed25519-key.ts"

/** Public keys as this platform takes them in, by the very bytes that they were given as. */
const keys = new WeakMap<Uint8Array, KeyObject>()

/** Whether a signature verifies: by the code that Node's WebCrypto runs, on the spot. Handing so little work to another thread costs
 * more than doing it. @param publicKey 32 B, not written to afterwards @param signature 64 B */
export function verify(publicKey: Uint8Array, message: Uint8Array, signature: Uint8Array): boolean {
  try {
    const key = keys.get(publicKey) ?? takeIn(publicKey)
    keys.set(publicKey, key)
    return verifySignature(null, message, key, signature)
  } catch {
    return false
  }
}

function takeIn(publicKey: Uint8Array): KeyObject {
  return createPublicKey({ key: Buffer.from(encodeSpki(publicKey).buffer), format: "der", type: "spki" })
}
