import { encodeHex } from "../encoding/bytes.ts"
import { AppError } from "../errors.ts"

/** Bytes of an ML-KEM-768 encapsulation key that hold coefficients; 32 more are a seed, and 32 the X25519 key (X-Wing). */
const coefficientBytes = 1152
const mlKemBytes = 1184
const modulus = 3329
const p = 2n ** 255n - 19n
const orderEight = 325606250916557431795983626356110631294008115727848805560023387167927233504n
const otherOrderEight = 39382357235489614581723060781553021112529911719440698176882885853963445705823n
/** The u-coordinates of Curve25519's points of small order: 0, 1, two of order 8, p − 1, and those of 0 and 1 beyond p = 2^255 − 19. */
const smallOrder: ReadonlySet<bigint> = new Set([0n, 1n, orderEight, otherOrderEight, p - 1n, p, p + 1n])

/** A sealing key that is taken in for the first time must be one that every engine seals to: each of the ML-KEM key's 768 coefficients,
 * two in three bytes, below 3,329 (FIPS 203 §7.2), and the X25519 key not of small order (RFC 7748 §6.1). Some engines check the first
 * and others do not; whoever had another key in a record's list would stop those that do.
 * @param sealKey 1,216 B, X-Wing.
 * @throws BAD_INPUT_STATEMENT */
export function checkSealKey(sealKey: Uint8Array): void {
  if (hasSmallCoefficients(sealKey) && hasFullOrder(sealKey.subarray(mlKemBytes))) return
  throw new AppError("BAD_INPUT_STATEMENT", "The sealing key is not one that can be sealed to. Make a new one.")
}

function hasSmallCoefficients(sealKey: Uint8Array): boolean {
  for (let i = 0; i < coefficientBytes; i += 3) {
    const [low, middle, high] = [sealKey[i]!, sealKey[i + 1]!, sealKey[i + 2]!]
    if ((low | ((middle & 0x0f) << 8)) >= modulus || ((middle >> 4) | (high << 4)) >= modulus) return false
  }
  return true
}

/** The topmost bit does not count (RFC 7748 §5). */
function hasFullOrder(publicKey: Uint8Array): boolean {
  const lowestLast = `0x${encodeHex(publicKey.toReversed())}`
  return !smallOrder.has(BigInt(lowestLast) & (2n ** 255n - 1n))
}
