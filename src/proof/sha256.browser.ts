import { sha256 as nobleSha256 } from "@noble/hashes/sha2.js"

/** SHA-256 over the parts, as if they were one byte string; 32 B. Source: FIPS 180-4 */
export function sha256(...parts: readonly Uint8Array[]): Uint8Array<ArrayBuffer> {
  const running = nobleSha256.create()
  for (const part of parts) running.update(part)
  return running.digest() as Uint8Array<ArrayBuffer>
}
