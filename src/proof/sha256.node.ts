import { createHash, hash } from "node:crypto"

/** SHA-256 over the parts, as if they were one byte string; 32 B. Source: FIPS 180-4 */
export function sha256(...parts: readonly Uint8Array[]): Uint8Array<ArrayBuffer> {
  const [only] = parts
  if (parts.length === 1) return plain(hash("sha256", only!, "buffer"))
  const running = createHash("sha256")
  for (const part of parts) running.update(part)
  return plain(running.digest())
}

function plain(buffer: Buffer): Uint8Array<ArrayBuffer> {
  return new Uint8Array(buffer.buffer as ArrayBuffer, buffer.byteOffset, buffer.length)
}
