import { sha512 } from "@noble/hashes/sha2.js"
import { concat } from "../encoding/bytes.ts"

const rounds = 5200

/** Thirty digits that people compare. They are stretched, so that finding another input with the same digits is dear.
 * h = first; 5,200 times h = SHA-512(h ‖ bound); the first 30 bytes as six 5-byte big-endian numbers modulo 100,000, five digits each.
 * @param bound 32 B that go into every round. Formats: docs/formats/identity.md, docs/formats/succession.md */
export function stretchedDigits(first: Uint8Array, bound: Uint8Array): string {
  let hash = first
  for (let round = 0; round < rounds; round++) hash = new Uint8Array(sha512(concat(hash, bound)))
  let digits = ""
  for (let at = 0; at < 30; at += 5) {
    let group = 0
    for (const byte of hash.subarray(at, at + 5)) group = group * 256 + byte
    digits += String(group % 100_000).padStart(5, "0")
  }
  return digits
}
