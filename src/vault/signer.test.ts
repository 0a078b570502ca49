import { createPublicKey, verify } from "node:crypto"
import { describe, expect, it } from "vitest"
import { utf8 } from "../encoding/bytes.ts"
import { verifyStatement } from "../proof/signature.ts"
import { asSecretKey } from "./keys.ts"
import { importSigner } from "./signer.ts"

const bytes = (text: string) => new Uint8Array(Buffer.from(text, "hex"))
const hex = (value: Uint8Array) => Buffer.from(value).toString("hex")

// RFC 8032 §7.1, tests 1 to 3: seed and public key
const published = [
  [
    "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60",
    "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
  ],
  [
    "4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb",
    "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
  ],
  [
    "c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7",
    "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025",
  ],
] as const

describe("a signer", () => {
  it.each(published)("has the public key of its seed: %s", async (seed, publicKey) => {
    expect(hex((await importSigner(asSecretKey(bytes(seed)))).publicKey)).toBe(publicKey)
  })

  it("signs label, zero byte and statement, and not one label for another", async () => {
    const signer = await importSigner(asSecretKey(bytes(published[0][0])))
    const statement = utf8("statement")
    const signature = await signer.sign("entry", statement)
    expect(signature).toHaveLength(64)
    expect(await signer.sign("entry", statement)).toEqual(signature)
    await verifyStatement("entry", signer.publicKey, statement, signature)
    const der = Buffer.concat([Buffer.from("302a300506032b6570032100", "hex"), signer.publicKey])
    const key = createPublicKey({ key: der, format: "der", type: "spki" })
    expect(verify(null, Buffer.from("healthcrypt/v1/entry\0statement"), key, signature)).toBe(true)
    for (const label of ["identity", "recovery"] as const)
      await expect(verifyStatement(label, signer.publicKey, statement, signature)).rejects.toMatchObject({
        code: "TAMPERED_SIGNATURE",
      })
  })
})
