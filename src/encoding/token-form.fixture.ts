import { randomBytes } from "node:crypto"
import { padme } from "./padme.ts"

/** Random bytes in a token's form that hold at least `bytes`, as far as anybody without a key can tell. For tests. */
export function paddedToken(bytes = 0): Uint8Array<ArrayBuffer> {
  return tokenOf(padme(Math.max(256, 5 + bytes)) + 16)
}

/** The same of a sealed 32-byte key. */
export function keyToken(): Uint8Array<ArrayBuffer> {
  return tokenOf(48)
}

function tokenOf(cipherBytes: number): Uint8Array<ArrayBuffer> {
  const token = new Uint8Array(randomBytes(57 + cipherBytes))
  token[0] = 0x80
  return token
}
