import { createHash } from "node:crypto"
import * as javascript from "@panva/hpke-noble"
import * as platform from "hpke"
import { beforeAll, describe, expect, it } from "vitest"
import { sha256 } from "#sha256"
import { encodeCbor } from "../../src/encoding/cbor.ts"
import { context } from "../../src/encoding/context.ts"
import { idBytes, type PhysicianId, type RecordId } from "../../src/encoding/ids.ts"
import type { Role } from "../../src/proof/entry.ts"
import { fingerprintOf } from "../../src/proof/identity.ts"
import { type GrantPlace, importRecipient, openGrant, sealGrant } from "../../src/vault/grants.ts"
import { asSecretKey, checkCommit } from "../../src/vault/keys.ts"
import { importSigner } from "../../src/vault/signer.ts"
import { expectOnPage, fromHex, hex } from "./made.ts"
import { workedExample } from "./worked-example.ts"

let example: (name: string) => string
let ofEntry: (name: string) => string
beforeAll(async () => {
  example = await workedExample("grant.md")
  ofEntry = await workedExample("entry.md")
})
const bytes = (name: string) => fromHex(example(name))

const place = (): GrantPlace => ({
  record: example("record") as RecordId,
  granter: example("granter") as PhysicianId,
  granterFingerprint: bytes("granter's print"),
  recipient: example("recipient") as PhysicianId,
  recipientFingerprint: bytes("recipient's print"),
  seq: Number(example("seq")),
  role: example("role") as Role,
})

describe("docs/formats/grant.md", () => {
  it("is bound by these contexts and holds this plaintext", async () => {
    const { record, granter, granterFingerprint, recipient, recipientFingerprint, seq, role } = place()
    const signer = await importSigner(asSecretKey(bytes("sign seed")))
    expectOnPage(example, {
      "sign key": hex(signer.publicKey),
      "recipient's print": hex(fingerprintOf(recipient, signer.publicKey, bytes("seal key"))),
      plaintext: hex(encodeCbor([example("by"), [[0, bytes("record key")]]])),
      info: hex(
        context(
          "grant-info",
          ...[idBytes(record), idBytes(granter), granterFingerprint, idBytes(recipient), recipientFingerprint],
        ),
      ),
      aad: hex(context("grant-aad", seq, role)),
      "grant size": bytes("grant").length,
      "grant hash": hex(sha256(bytes("grant"))),
    })
    expect(bytes("grant").length).toBe(1120 + bytes("plaintext").length + 16)
  })

  it("opens with our code, to a key that meets the record's commitment", async () => {
    const { by, keys } = await openGrant(bytes("seal seed"), place(), bytes("grant"))
    expect(by).toBe(example("by"))
    expect([...keys]).toEqual([[0, bytes("record key")]])
    await checkCommit(keys.get(0)!, place().record, 0, fromHex(ofEntry("key commitment")))
  })

  it.each([
    ["the platform's", platform.KEM_MLKEM768_X25519],
    ["a JavaScript", javascript.KEM_MLKEM768_X25519],
  ])("opens with %s X-Wing, and with the page's own info and aad", async (_, kem) => {
    const suite = new platform.CipherSuite(kem, platform.KDF_HKDF_SHA256, platform.AEAD_AES_256_GCM)
    const key = await suite.DeserializePrivateKey(bytes("seal seed"), false)
    const grant = bytes("grant")
    const bound = { info: bytes("info"), aad: bytes("aad") }
    const plain = await suite.Open(key, grant.subarray(0, 1120), grant.subarray(1120), bound)
    expect(hex(new Uint8Array(plain))).toBe(example("plaintext"))
  })

  it("has a public key that belongs to its seed: what is sealed to it opens", async () => {
    const content = { by: example("by"), keys: new Map([[0, asSecretKey<"record">(bytes("record key"))]]) }
    const fresh = await sealGrant(await importRecipient(bytes("seal key")), place(), content)
    expect(fresh.length).toBe(Number(example("grant size")))
    expect(hex(fresh)).not.toBe(example("grant"))
    expect(await openGrant(bytes("seal seed"), place(), fresh)).toEqual(content)
  })

  it("has contexts that a second implementation finds, written from the page alone", () => {
    const field = (value: Buffer) => {
      const length = Buffer.alloc(4)
      length.writeUInt32BE(value.length)
      return Buffer.concat([length, value])
    }
    const id = (name: string) => field(Buffer.from(example(name), "base64url"))
    const print = (name: string) => field(Buffer.from(bytes(name)))
    const fields = [id("record"), id("granter"), print("granter's print"), id("recipient"), print("recipient's print")]
    const info = Buffer.concat([Buffer.from("healthcrypt/v1/grant-info\0"), ...fields])
    expect(hex(info)).toBe(example("info"))
    const seq = Buffer.alloc(8)
    seq.writeBigUInt64BE(BigInt(example("seq")))
    const aad = [Buffer.from("healthcrypt/v1/grant-aad\0"), field(seq), field(Buffer.from(example("role")))]
    expect(hex(Buffer.concat(aad))).toBe(example("aad"))
    const plain = [
      Buffer.of(0x82, 0x60 + example("by").length),
      Buffer.from(example("by")),
      Buffer.of(0x81, 0x82, 0x00, 0x58, 32),
      bytes("record key"),
    ]
    expect(hex(Buffer.concat(plain))).toBe(example("plaintext"))
    expect(createHash("sha256").update(bytes("grant")).digest("hex")).toBe(example("grant hash"))
  })

  it("is the grant that the third entry's statement names", () => {
    expect(ofEntry("3 grant hash")).toBe(example("grant hash"))
    expect(ofEntry("recipient print")).toBe(example("recipient's print"))
    expect(ofEntry("record key")).toBe(example("record key"))
  })
})
