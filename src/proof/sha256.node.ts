import { createHash, hash } from "node:crypto"
import { concat } from "../encoding/bytes.ts"

/** Up to here, putting the parts together is cheaper than a running hash. */
const smallBytes = 1024

/** SHA-256 over the parts, as if they were one byte string; 32 B. Source: FIPS 180-4 */
export function sha256(...parts: readonly Uint8Array[]): Uint8Array<ArrayBuffer> {
  const [only] = parts
  if (parts.length === 1) return plain(hash("sha256", only!, "buffer"))
  const size = parts.reduce((sum, part) => sum + part.length, 0)
  if (size <= smallBytes) return plain(hash("sha256", concat(...parts), "buffer"))
  const running = createHash("sha256")
  for (const part of parts) running.update(part)
  return plain(running.digest())
}

function plain(buffer: Buffer): Uint8Array<ArrayBuffer> {
  return new Uint8Array(buffer.buffer as ArrayBuffer, buffer.byteOffset, buffer.length)
}
