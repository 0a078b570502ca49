import { createHash, hkdfSync } from "node:crypto"
import { beforeAll, describe, expect, it } from "vitest"
import { sha256 } from "#sha256"
import { concat } from "../../src/encoding/bytes.ts"
import { encodeFrame } from "../../src/encoding/frame.ts"
import type { PhysicianId } from "../../src/encoding/ids.ts"
import { encodeIdentity, fingerprintOf, verifyIdentity } from "../../src/proof/identity.ts"
import { safetyNumber } from "../../src/proof/safety-number.ts"
import { statementHash } from "../../src/proof/statement.ts"
import { encodeToken, encrypt, parseToken } from "../../src/vault/fernet.ts"
import { asSecretKey, deriveKey, deriveUnlockKey } from "../../src/vault/keys.ts"
import { unlockPlace } from "../../src/vault/places.ts"
import { open } from "../../src/vault/seal.ts"
import { importSigner } from "../../src/vault/signer.ts"
import { parseWords, recoverySeed } from "../../src/vault/words.ts"
import { expectOnPage, fromHex, hex } from "./made.ts"
import { workedExample } from "./worked-example.ts"

let example: (name: string) => string
let physician: PhysicianId
let sealKey: Uint8Array<ArrayBuffer>
beforeAll(async () => {
  example = await workedExample("identity.md")
  physician = example("physician") as PhysicianId
  sealKey = new Uint8Array(1216).fill(bytes("seal key byte")[0]!)
})
const bytes = (name: string) => fromHex(example(name))

/** The physician key, sealed by one method at the example's time and with its IV. */
async function sealed(method: string, secret: Uint8Array) {
  const unlockKey = await deriveUnlockKey(secret, physician, method, 0)
  const key = await deriveKey(unlockKey, unlockPlace(physician, method, 0))
  const options = { now: Date.parse(example("time")), iv: bytes("iv") }
  const token = await encrypt(key, encodeFrame(bytes("physician key"), 0, true), options)
  return { unlockKey, token, unlock: { method, generation: 0, hash: sha256(token) } }
}

describe("docs/formats/identity.md", () => {
  it("is these keys, seals and bytes", async () => {
    const signer = await importSigner(asSecretKey(bytes("sign seed")))
    const entropy = parseWords(example("words"))
    const password = await sealed("password", bytes("export key"))
    const recovery = await sealed("recovery", entropy)
    const seed = await recoverySeed(entropy)
    const statement = encodeIdentity({
      v: 1,
      suite: "F1",
      physician,
      seq: 0,
      username: example("username"),
      signKey: signer.publicKey,
      sealKey,
      unlocks: [password.unlock, recovery.unlock],
      time: Date.parse(example("time")),
    })
    const at = Buffer.from(statement).indexOf(sealKey)
    expectOnPage(example, {
      "sign key": hex(signer.publicKey),
      fingerprint: hex(fingerprintOf(physician, signer.publicKey, sealKey)),
      "password unlock key": hex(password.unlockKey),
      "password token": encodeToken(password.token),
      "password token hash": hex(sha256(password.token)),
      entropy: hex(entropy),
      "recovery unlock key": hex(recovery.unlockKey),
      "recovery token": encodeToken(recovery.token),
      "recovery token hash": hex(sha256(recovery.token)),
      "recovery seed": hex(seed),
      "recovery key": hex((await importSigner(seed)).publicKey),
      "statement, to seal key": hex(statement.subarray(0, at)),
      "statement, from there": hex(statement.subarray(at + sealKey.length)),
      "statement length": statement.length,
      "statement hash": hex(statementHash(statement)),
      signature: hex(await signer.sign("identity", statement)),
    })
  })

  it("verifies, from the page's bytes alone, and lists both seals", async () => {
    const statement = concat(bytes("statement, to seal key"), sealKey, bytes("statement, from there"))
    const identity = await verifyIdentity(null, { statement, signature: bytes("signature") })
    expect(hex(identity.fingerprint)).toBe(example("fingerprint"))
    expect(identity.unlocks.map(({ method, hash }) => [method, hex(hash)])).toEqual([
      ["password", example("password token hash")],
      ["recovery", example("recovery token hash")],
    ])
  })

  it.each(["password", "recovery"])("gives the physician key back by %s", async (method) => {
    const key = asSecretKey(bytes(`${method} unlock key`))
    const token = parseToken(example(`${method} token`))
    expect(hex(await open(key, unlockPlace(physician, method, 0), token, { exact: true }))).toBe(
      example("physician key"),
    )
  })

  it("has unlock keys that a second implementation finds", () => {
    const field = (value: Buffer) => {
      const length = Buffer.alloc(4)
      length.writeUInt32BE(value.length)
      return Buffer.concat([length, value])
    }
    const id = field(Buffer.from(example("physician"), "base64url"))
    const info = (method: string) =>
      Buffer.concat([
        Buffer.from("healthcrypt/v1/unlock-key\0"),
        id,
        field(Buffer.from(method)),
        field(Buffer.alloc(8)),
      ])
    for (const [method, secret] of [
      ["password", "export key"],
      ["recovery", "entropy"],
    ] as const)
      expect(hex(new Uint8Array(hkdfSync("sha256", bytes(secret), "", info(method), 32)))).toBe(
        example(`${method} unlock key`),
      )
    const keys = Buffer.concat([field(Buffer.from(bytes("sign key"))), field(Buffer.from(sealKey))])
    const print = Buffer.concat([Buffer.from("healthcrypt/v1/fingerprint\0"), id, keys])
    expect(createHash("sha256").update(print).digest("hex")).toBe(example("fingerprint"))
  })
})

describe("docs/formats/identity.md, a safety number", () => {
  it("is this one, whichever of the two computes it", () => {
    const mine = { physician, fingerprint: bytes("fingerprint") }
    const theirs = { physician: example("colleague") as PhysicianId, fingerprint: bytes("colleague's print") }
    expect(safetyNumber(mine, theirs)).toBe(safetyNumber(theirs, mine))
    expectOnPage(example, { "safety number": safetyNumber(mine, theirs) })
  })

  it("comes out of a second implementation, written from the page alone", () => {
    const digits = (id: string, print: string) => {
      const fingerprint = bytes(print)
      let hash = Buffer.concat([Buffer.alloc(2), fingerprint, Buffer.from(example(id), "base64url")])
      for (let i = 0; i < 5200; i++) hash = createHash("sha512").update(hash).update(fingerprint).digest()
      const groups = [0, 5, 10, 15, 20, 25].map((at) => hash.readUIntBE(at, 5) % 100_000)
      return groups.map((group) => String(group).padStart(5, "0")).join("")
    }
    const [mine, theirs] = [digits("physician", "fingerprint"), digits("colleague", "colleague's print")]
    expectOnPage(example, { digits: mine, "colleague's digits": theirs })
    expect(BigInt(mine) < BigInt(theirs) ? mine + theirs : theirs + mine).toBe(example("safety number"))
  })
})
