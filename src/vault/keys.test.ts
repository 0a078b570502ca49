import { createHmac, hkdfSync } from "node:crypto"
import fc from "fast-check"
import { describe, expect, it } from "vitest"
import { concat } from "../encoding/bytes.ts"
import { context } from "../encoding/context.ts"
import { idBytes, idFromBytes, type PhysicianId, type RecordId } from "../encoding/ids.ts"
import { asSecretKey, checkCommit, commitTo, deriveBytes, deriveUnlockKey, newSecretKey, wipe } from "./keys.ts"

const hex = (bytes: Uint8Array) => Buffer.from(bytes).toString("hex")
const bytes = (text: string) => new Uint8Array(Buffer.from(text, "hex"))
const record = idFromBytes<"record">(new Uint8Array(16).fill(1)) as RecordId
const physician = idFromBytes<"physician">(new Uint8Array(16).fill(2)) as PhysicianId

describe("key(K, context)", () => {
  // RFC 5869, appendix A: the first 32 bytes of OKM are T(1)
  it.each([
    [
      "A.1",
      "077709362c2e32df0ddc3f0dc47bba6390b6c73bb50f9c3122ec844ad7c2b3e5",
      "f0f1f2f3f4f5f6f7f8f9",
      "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf",
    ],
    [
      "A.3",
      "19ef24a32c717b167f33a91d6f648bdf96596776afdb6377ac434c1c293ccb04",
      "",
      "8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f3c738d2d",
    ],
  ])("is HKDF-Expand for 32 bytes: RFC 5869 %s", async (_, prk, info, okm) => {
    expect(hex(await deriveBytes(asSecretKey(bytes(prk)), bytes(info)))).toBe(okm)
  })

  it("is one HMAC, whatever the context", async () => {
    const property = fc.asyncProperty(
      fc.uint8Array({ minLength: 32, maxLength: 32 }),
      fc.uint8Array({ maxLength: 200 }),
      async (key, place) => {
        const expected = createHmac("sha256", key).update(place).update(Uint8Array.of(1)).digest("hex")
        expect(hex(await deriveBytes(asSecretKey(key), place))).toBe(expected)
      },
    )
    await fc.assert(property)
  })
})

describe("an unlock key", () => {
  it("is HKDF-SHA256 without salt, as Node computes it, of 32 and of 64 bytes", async () => {
    for (const secret of [new Uint8Array(32).fill(7), new Uint8Array(64).fill(7)]) {
      const info = concat(context("unlock-key", idBytes(physician), "password", 3))
      const expected = new Uint8Array(hkdfSync("sha256", secret, new Uint8Array(0), info, 32))
      expect(hex(await deriveUnlockKey(secret, physician, "password", 3))).toBe(hex(expected))
    }
  })

  it("differs by secret, physician, method and generation", async () => {
    const secret = new Uint8Array(64).fill(7)
    const other = idFromBytes<"physician">(new Uint8Array(16)) as PhysicianId
    const keys = await Promise.all([
      deriveUnlockKey(secret, physician, "password", 0),
      deriveUnlockKey(secret.with(0, 8), physician, "password", 0),
      deriveUnlockKey(secret, other, "password", 0),
      deriveUnlockKey(secret, physician, "recovery", 0),
      deriveUnlockKey(secret, physician, "password", 1),
    ])
    expect(new Set(keys.map(hex)).size).toBe(5)
  })
})

describe("a commitment", () => {
  it("is met by its own key, record and epoch alone", async () => {
    const key = newSecretKey<"record">()
    const commit = await commitTo(key, record, 2)
    await checkCommit(key, record, 2, commit)
    const other = idFromBytes<"record">(new Uint8Array(16)) as RecordId
    for (const work of [
      checkCommit(newSecretKey<"record">(), record, 2, commit),
      checkCommit(key, other, 2, commit),
      checkCommit(key, record, 1, commit),
      checkCommit(key, record, 2, undefined),
      checkCommit(key, record, 2, commit.subarray(1)),
    ])
      await expect(work).rejects.toMatchObject({ code: "TAMPERED_KEY" })
  })
})

describe("secret keys", () => {
  it("are fresh, have 32 bytes, are copied, and can be wiped", () => {
    expect(hex(newSecretKey())).not.toBe(hex(newSecretKey()))
    const given = new Uint8Array(32).fill(5)
    const key = asSecretKey(given)
    wipe(key)
    expect(hex(key)).toBe("00".repeat(32))
    expect(given[0]).toBe(5)
    for (const length of [0, 31, 33, 64])
      expect(() => asSecretKey(new Uint8Array(length))).toThrow(expect.objectContaining({ code: "CANNOT_OPEN" }))
  })
})
