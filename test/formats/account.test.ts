import { beforeAll, describe, expect, it } from "vitest"
import { sha256 } from "#sha256"
import { encodeFrame } from "../../src/encoding/frame.ts"
import type { Id, PhysicianId } from "../../src/encoding/ids.ts"
import { type AccountItem, encodeAccount, parseAccount, verifyAccount } from "../../src/proof/account-statement.ts"
import { leafData } from "../../src/proof/leaf.ts"
import { statementHash } from "../../src/proof/statement.ts"
import { encrypt } from "../../src/vault/fernet.ts"
import { asSecretKey, deriveKey } from "../../src/vault/keys.ts"
import { keyringPlace } from "../../src/vault/places.ts"
import { importSigner } from "../../src/vault/signer.ts"
import { expectOnPage, fromHex, hex } from "./made.ts"
import { workedExample } from "./worked-example.ts"

let example: (name: string) => string
let physician: PhysicianId
beforeAll(async () => {
  example = await workedExample("account.md")
  physician = example("physician") as PhysicianId
})
const bytes = (name: string) => fromHex(example(name))
const time = () => Date.parse(example("time"))
const about = (what: "keyring" | "self-grants") => ({
  v: 1 as const,
  suite: "F1" as const,
  physician,
  identity: Number(example("identity")),
  what,
  time: time(),
})

describe("docs/formats/account.md", () => {
  it("is these bytes, this signature and this leaf", async () => {
    const signer = await importSigner(asSecretKey(bytes("sign seed")))
    const number = Number(example("keyring number"))
    const key = await deriveKey(asSecretKey(bytes("physician key")), keyringPlace(physician, number))
    const frame = encodeFrame(bytes("keyring"))
    const token = await encrypt(key, frame, { now: time(), iv: bytes("iv") })
    const items: AccountItem[] = [
      { subject: physician, number, prev: bytes("prev"), hash: sha256(token) },
      { subject: example("segment") as Id, number: 0, hash: bytes("segment hash") },
    ]
    const statement = encodeAccount({ ...about("keyring"), items })
    const leaf = leafData({
      subject: physician,
      stream: "keyring",
      number,
      type: "keyring",
      time: time(),
      actor: physician,
      statementHash: statementHash(statement),
      salt: bytes("salt"),
    })
    const grants: AccountItem[] = [0, 1].map((epoch) => ({
      subject: example("record") as Id,
      number: epoch,
      hash: bytes(`self-grant ${epoch} hash`),
    }))
    const ofGrants = encodeAccount({ ...about("self-grants"), items: grants })
    expectOnPage(example, {
      "sign key": hex(signer.publicKey),
      "token hash": hex(sha256(token)),
      "keyring's statement": hex(statement),
      "statement hash": hex(statementHash(statement)),
      signature: hex(await signer.sign("account", statement)),
      "leaf data": hex(leaf),
      "self-grants' statement": hex(ofGrants),
      "self-grants' signature": hex(await signer.sign("account", ofGrants)),
    })
  })

  it("verifies, from the page's bytes alone, for its physician, kind and key", async () => {
    const signed = { statement: bytes("keyring's statement"), signature: bytes("signature") }
    const keyOf = (seq: number) => (seq === Number(example("identity")) ? bytes("sign key") : null)
    const read = await verifyAccount(signed, physician, "keyring", keyOf)
    expect(read.items[0]?.prev).toEqual(bytes("prev"))
    const other = "QEFCQ0RFRkdISUpLTE1OTw" as PhysicianId
    const refused = (code: string) => expect.objectContaining({ code })
    await expect(verifyAccount(signed, other, "keyring", keyOf)).rejects.toEqual(refused("TAMPERED_IDENTITY"))
    await expect(verifyAccount(signed, physician, "profile", keyOf)).rejects.toEqual(refused("TAMPERED_IDENTITY"))
    await expect(verifyAccount(signed, physician, "keyring", () => null)).rejects.toEqual(refused("TAMPERED_IDENTITY"))
    const spoilt = { ...signed, signature: bytes("self-grants' signature") }
    await expect(verifyAccount(spoilt, physician, "keyring", keyOf)).rejects.toEqual(refused("TAMPERED_SIGNATURE"))
    expect(() => parseAccount(signed.statement.subarray(1))).toThrow(refused("BAD_INPUT_STATEMENT"))
  })

  const hash = new Uint8Array(32)
  const [low, high] = ["AAAAAAAAAAAAAAAAAAAAAA", "_____________________w"] as Id[]
  it.each<[string, "keyring" | "profile" | "self-grants" | "segments", (me: Id) => AccountItem[]]>([
    ["nothing", "segments", () => []],
    ["another physician's keyring", "keyring", () => [{ subject: low!, number: 0, hash }]],
    ["a first keyring that replaces one", "keyring", (me) => [{ subject: me, number: 0, prev: hash, hash }]],
    ["a later keyring that replaces none", "keyring", (me) => [{ subject: me, number: 1, hash }]],
    [
      "a profile and more",
      "profile",
      (me) => [
        { subject: me, number: 0, hash },
        { subject: low!, number: 0, hash },
      ],
    ],
    ["a segment that replaces another", "segments", () => [{ subject: low!, number: 0, prev: hash, hash }]],
    ["a segment with a number", "segments", () => [{ subject: low!, number: 1, hash }]],
    [
      "segments in another order",
      "segments",
      () => [
        { subject: high!, number: 0, hash },
        { subject: low!, number: 0, hash },
      ],
    ],
    [
      "a self-grant twice",
      "self-grants",
      () => [
        { subject: low!, number: 3, hash },
        { subject: low!, number: 3, prev: hash, hash },
      ],
    ],
  ])("does not stand for %s", (_, what, items) => {
    const statement = { v: 1, suite: "F1", physician, identity: 0, what, items: items(physician), time: 0 } as const
    expect(() => encodeAccount(statement)).toThrow(expect.objectContaining({ code: "BAD_INPUT_STATEMENT" }))
  })
})
