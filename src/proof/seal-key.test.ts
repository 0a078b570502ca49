import { randomBytes } from "node:crypto"
import { x25519 } from "@noble/curves/ed25519.js"
import { describe, expect, it } from "vitest"
import { asSealKey } from "./seal-key.fixture.ts"
import { checkSealKey } from "./seal-key.ts"

const good = () => asSealKey(randomBytes(1216))
const refused = expect.objectContaining({ code: "BAD_INPUT_STATEMENT" })

/** Writes one of the 768 coefficients, 12 bits, the lower byte first (FIPS 203 §4.2.1). */
function withCoefficient(key: Uint8Array, n: number, value: number): Uint8Array {
  const spoilt = Uint8Array.from(key)
  const i = Math.floor(n / 2) * 3
  if (n % 2 === 0) {
    spoilt[i] = value & 0xff
    spoilt[i + 1] = (spoilt[i + 1]! & 0xf0) | (value >> 8)
  } else {
    spoilt[i + 1] = (spoilt[i + 1]! & 0x0f) | ((value & 0x0f) << 4)
    spoilt[i + 2] = value >> 4
  }
  return spoilt
}

function withX25519(key: Uint8Array, u: bigint): Uint8Array {
  const spoilt = Uint8Array.from(key)
  for (let i = 0; i < 32; i++) spoilt[1184 + i] = Number((u >> BigInt(8 * i)) & 0xffn)
  return spoilt
}

describe("a sealing key", () => {
  it.each([0, 1, 2, 383, 766, 767])("has coefficient %i below 3,329", (n) => {
    for (const value of [0, 3328]) expect(() => checkSealKey(withCoefficient(good(), n, value))).not.toThrow()
    for (const value of [3329, 4095]) expect(() => checkSealKey(withCoefficient(good(), n, value))).toThrow(refused)
  })

  const p = 2n ** 255n - 19n
  const orderEight = 325606250916557431795983626356110631294008115727848805560023387167927233504n
  it.each([0n, 1n, p - 1n, p, p + 1n, orderEight, orderEight + 2n ** 255n])(
    "has no X25519 key of small order: %i",
    (u) => {
      expect(() => checkSealKey(withX25519(good(), u))).toThrow(refused)
    },
  )

  it("is taken in with every other X25519 key", () => {
    const publicKey = x25519.getPublicKey(randomBytes(32))
    const key = good()
    key.set(publicKey, 1184)
    expect(() => checkSealKey(key)).not.toThrow()
    expect(() => checkSealKey(withX25519(good(), 9n))).not.toThrow()
  })
})
