import { KEM_MLKEM768_X25519 } from "@panva/hpke-noble"
import * as fc from "fast-check"
import { AEAD_AES_256_GCM, CipherSuite, KDF_HKDF_SHA256 } from "hpke"
import { describe, expect, it } from "vitest"
import { encodeCbor } from "../encoding/cbor.ts"
import { context } from "../encoding/context.ts"
import { idBytes, idFromBytes, type PhysicianId, type RecordId } from "../encoding/ids.ts"
import { limits } from "../encoding/limits.ts"
import { AppError } from "../errors.ts"
import { type GrantPlace, importRecipient, openGrant, sealGrant } from "./grants.ts"
import { newSecretKey } from "./keys.ts"
import { newSealingKeys } from "./sealing-keys.ts"

const id = <Kind extends string>(n: number) => idFromBytes<Kind>(new Uint8Array(16).fill(n))
const place: GrantPlace = {
  record: id<"record">(1) as RecordId,
  granter: id<"physician">(2) as PhysicianId,
  granterFingerprint: new Uint8Array(32).fill(3),
  recipient: id<"physician">(4) as PhysicianId,
  recipientFingerprint: new Uint8Array(32).fill(5),
  seq: 7,
  role: "writer",
}
const keys = new Map([
  [0, newSecretKey<"record">()],
  [3, newSecretKey<"record">()],
])
const mine = await newSealingKeys()
const recipient = await importRecipient(mine.publicKey)
const refused = expect.objectContaining({ code: "TAMPERED_GRANT" })

describe("grants", () => {
  it("come back with name, epochs and keys", async () => {
    const grant = await sealGrant(recipient, place, { by: "Dr Åse Beta", keys })
    const opened = await openGrant(mine.seed, place, grant)
    expect(opened.by).toBe("Dr Åse Beta")
    expect([...opened.keys]).toEqual([...keys])
  })

  it.each<[string, Partial<GrantPlace>]>([
    ["record", { record: id<"record">(9) as RecordId }],
    ["granter", { granter: id<"physician">(9) as PhysicianId }],
    ["granter's keys", { granterFingerprint: new Uint8Array(32).fill(9) }],
    ["recipient", { recipient: id<"physician">(9) as PhysicianId }],
    ["recipient's keys", { recipientFingerprint: new Uint8Array(32).fill(9) }],
    ["entry", { seq: 8 }],
    ["role", { role: "owner" }],
  ])("open for no other %s", async (_, change) => {
    const grant = await sealGrant(recipient, place, { by: "", keys })
    await expect(openGrant(mine.seed, { ...place, ...change }, grant)).rejects.toEqual(refused)
  })

  it("open with no other key, and not when a byte is changed, added or missing", async () => {
    const grant = await sealGrant(recipient, place, { by: "", keys })
    await expect(openGrant((await newSealingKeys()).seed, place, grant)).rejects.toEqual(refused)
    for (const at of [0, 600, 1087, 1088, 1119, 1120, grant.length - 1]) {
      const changed = grant.slice()
      changed[at]! ^= 1
      await expect(openGrant(mine.seed, place, changed), `byte ${at}`).rejects.toEqual(refused)
    }
    await expect(openGrant(mine.seed, place, grant.subarray(0, -1))).rejects.toEqual(refused)
    await expect(openGrant(mine.seed, place, Uint8Array.of(...grant, 0))).rejects.toEqual(refused)
    await expect(openGrant(mine.seed, place, new Uint8Array(0))).rejects.toEqual(refused)
  })

  it("are made of no more keys than open again", async () => {
    const epochs = (count: number) =>
      new Map(Array.from({ length: count }, (_, epoch) => [epoch, newSecretKey<"record">()] as const))
    const full = await sealGrant(recipient, place, { by: "", keys: epochs(1500) })
    expect((await openGrant(mine.seed, place, full)).keys.size).toBe(1500)
    await expect(sealGrant(recipient, place, { by: "", keys: epochs(1800) })).rejects.toMatchObject({
      code: "BAD_INPUT_SIZE",
    })
  })

  it("hold every key of a record that an owner and five others changed as often as a server lets them", async () => {
    const count = limits.storedOwnerEntries + 5 * limits.storedMemberEntries
    const all = new Map(Array.from({ length: count + 1 }, (_, epoch) => [epoch, newSecretKey<"record">()]))
    const by = "Å".repeat(500)
    const grant = await sealGrant(recipient, place, { by, keys: all })
    expect((await openGrant(mine.seed, place, grant)).keys.size).toBe(count + 1)
  })

  it("refuse a seal key of another length", async () => {
    const wrong = expect.objectContaining({ code: "TAMPERED_IDENTITY" })
    await expect(importRecipient(new Uint8Array(10))).rejects.toEqual(wrong)
    await expect(importRecipient(new Uint8Array(1217))).rejects.toEqual(wrong)
  })

  it("refuse content that another program sealed and that is no grant", async () => {
    const other = new CipherSuite(KEM_MLKEM768_X25519, KDF_HKDF_SHA256, AEAD_AES_256_GCM)
    const info = context(
      "grant-info",
      idBytes(place.record),
      idBytes(place.granter),
      place.granterFingerprint,
      idBytes(place.recipient),
      place.recipientFingerprint,
    )
    const aad = context("grant-aad", 7, "writer")
    const sealed = async (value: unknown) => {
      const { encapsulatedSecret, ciphertext } = await other.Seal(
        await other.DeserializePublicKey(mine.publicKey),
        encodeCbor(value),
        { info, aad },
      )
      return Uint8Array.of(...encapsulatedSecret, ...ciphertext)
    }
    const key = new Uint8Array(32).fill(1)
    const opened = await openGrant(mine.seed, place, await sealed(["A", [[0, key]]]))
    expect([...opened.keys.values()][0]).toEqual(key)
    for (const value of [
      [],
      ["A"],
      ["A", []],
      ["A", [[0]]],
      [
        "A",
        [
          [1, key],
          [0, key],
        ],
      ],
      [
        "A",
        [
          [0, key],
          [0, key],
        ],
      ],
      [1, [[0, key]]],
      ["A", [[0, key.subarray(1)]]],
      ["A", [["0", key]]],
    ])
      await expect(openGrant(mine.seed, place, await sealed(value))).rejects.toEqual(refused)
  })

  it("are read by the X-Wing that browsers run", async () => {
    const other = new CipherSuite(KEM_MLKEM768_X25519, KDF_HKDF_SHA256, AEAD_AES_256_GCM)
    const grant = await sealGrant(recipient, place, { by: "B", keys })
    const info = context(
      "grant-info",
      idBytes(place.record),
      idBytes(place.granter),
      place.granterFingerprint,
      idBytes(place.recipient),
      place.recipientFingerprint,
    )
    const plain = await other.Open(
      await other.DeserializePrivateKey(mine.seed, false),
      grant.subarray(0, 1120),
      grant.subarray(1120),
      { info, aad: context("grant-aad", 7, "writer") },
    )
    expect(plain).toEqual(encodeCbor(["B", [...keys]]))
  })

  it("never throw anything else, whatever the bytes", async () => {
    await fc.assert(
      fc.asyncProperty(fc.uint8Array({ maxLength: 1400 }), async (bytes) => {
        await expect(openGrant(mine.seed, place, bytes)).rejects.toBeInstanceOf(AppError)
      }),
      { numRuns: 20 },
    )
  })
})
