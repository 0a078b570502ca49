import { sha512 } from "@noble/hashes/sha2.js"
import { concat } from "../encoding/bytes.ts"
import { idBytes, type PhysicianId } from "../encoding/ids.ts"

/** One side of a safety number. */
export interface Party {
  readonly physician: PhysicianId
  /** 32 B */
  readonly fingerprint: Uint8Array
}

const rounds = 5200

/** What two physicians compare: 60 digits, the same whichever of them computes it. Each side gives 30 digits, the lower ones first.
 * Format: docs/formats/identity.md */
export function safetyNumber(a: Party, b: Party): string {
  return [digitsOf(a), digitsOf(b)].sort().join("")
}

/** h = u16be 0 ‖ fingerprint ‖ physician; 5,200 times h = SHA-512(h ‖ fingerprint); the first 30 bytes as six 5-byte big-endian
 * numbers modulo 100,000, five digits each. */
function digitsOf({ physician, fingerprint }: Party): string {
  let hash = concat(new Uint8Array(2), fingerprint, idBytes(physician))
  for (let round = 0; round < rounds; round++) hash = new Uint8Array(sha512(concat(hash, fingerprint)))
  let digits = ""
  for (let at = 0; at < 30; at += 5) {
    let group = 0
    for (const byte of hash.subarray(at, at + 5)) group = group * 256 + byte
    digits += String(group % 100_000).padStart(5, "0")
  }
  return digits
}
