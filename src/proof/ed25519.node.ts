import { createPublicKey, verify as verifySignature } from "node:crypto"
import { encodeSpki } from "../encoding/ed25519-key.ts"

/** Whether a signature verifies: by the code that Node's WebCrypto runs, on the spot. Handing so little work to another thread costs
 * more than doing it. @param publicKey 32 B @param signature 64 B */
export function verify(publicKey: Uint8Array, message: Uint8Array, signature: Uint8Array): boolean {
  const spki = Buffer.from(encodeSpki(publicKey).buffer)
  try {
    return verifySignature(null, message, createPublicKey({ key: spki, format: "der", type: "spki" }), signature)
  } catch {
    return false
  }
}
