import { createPrivateKey, createPublicKey, sign } from "node:crypto"
import { beforeAll, describe, expect, it } from "vitest"
import { parseCbor } from "../../src/encoding/cbor.ts"
import { idBytes, type PracticeId } from "../../src/encoding/ids.ts"
import { encodeRecovery } from "../../src/proof/recovery.ts"
import { signedBytes, verifyStatement } from "../../src/proof/signature.ts"
import { statementHash } from "../../src/proof/statement.ts"
import { asSecretKey } from "../../src/vault/keys.ts"
import { importSigner } from "../../src/vault/signer.ts"
import { expectOnPage, fromHex, hex } from "./made.ts"
import { workedExample } from "./worked-example.ts"

let example: (name: string) => string
beforeAll(async () => {
  example = await workedExample("statement.md")
})
const bytes = (name: string) => fromHex(example(name))

describe("docs/formats/statement.md", () => {
  it("is these bytes, this hash and this signature", async () => {
    const statement = encodeRecovery(example("practice") as PracticeId, example("username"), bytes("nonce"))
    const signer = await importSigner(asSecretKey(bytes("seed")))
    expectOnPage(example, {
      statement: hex(statement),
      hash: hex(statementHash(statement)),
      signed: hex(signedBytes("recovery", statement)),
      "public key": hex(signer.publicKey),
      signature: hex(await signer.sign("recovery", statement)),
    })
    await verifyStatement("recovery", bytes("public key"), bytes("statement"), bytes("signature"))
  })

  it("reads back to what it says", () => {
    expect(parseCbor(bytes("statement"), 65_536)).toEqual({
      practice: idBytes(example("practice") as PracticeId),
      username: example("username"),
      nonce: bytes("nonce"),
    })
  })

  it("comes out of a second implementation, written from the page alone", () => {
    const text = (value: string) => Buffer.concat([Buffer.of(0x60 + value.length), Buffer.from(value)])
    const statement = Buffer.concat([
      Buffer.of(0xa3),
      ...[text("nonce"), Buffer.of(0x58, 32), bytes("nonce")],
      ...[text("practice"), Buffer.of(0x50), Buffer.from(example("practice"), "base64url")],
      ...[text("username"), text(example("username"))],
    ])
    expect(hex(statement)).toBe(example("statement"))
    const signed = Buffer.concat([Buffer.from("healthcrypt/v1/recovery\0"), statement])
    const der = Buffer.concat([Buffer.from("302e020100300506032b657004220420", "hex"), bytes("seed")])
    const key = createPrivateKey({ key: der, format: "der", type: "pkcs8" })
    expect(hex(sign(null, signed, key))).toBe(example("signature"))
    const spki = createPublicKey(key).export({ type: "spki", format: "der" })
    expect(hex(spki.subarray(-32))).toBe(example("public key"))
  })
})
