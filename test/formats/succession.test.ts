import { createHash, createPrivateKey, sign } from "node:crypto"
import { beforeAll, describe, expect, it } from "vitest"
import { context } from "../../src/encoding/context.ts"
import { type Id, idBytes, type PracticeId } from "../../src/encoding/ids.ts"
import { logOrigin } from "../../src/proof/checkpoint.ts"
import {
  encodeSuccession,
  keyringStep,
  nextKeyring,
  type Succession,
  succeedingOrigin,
  successionCode,
  verifySuccession,
  verifySuccessions,
} from "../../src/proof/succession.ts"
import { logSigner, seedPrefix } from "../../src/server/log.ts"
import { fromHex, hex } from "./made.ts"
import { workedExample } from "./worked-example.ts"

let example: (name: string) => string
let succession: Succession
beforeAll(async () => {
  example = await workedExample("succession.md")
  const practice = example("practice") as PracticeId
  succession = {
    v: 1,
    practice,
    number: Number(example("number")),
    from: { origin: logOrigin(practice), logKey: bytes("old key") },
    kept: { size: Number(example("kept size")), root: bytes("kept root") },
    known: { size: Number(example("known size")), root: bytes("known root") },
    to: { origin: succeedingOrigin(practice, example("n") as Id), logKey: bytes("new key") },
    time: Date.parse(example("time")),
  }
})
const bytes = (name: string) => fromHex(example(name))
const old = () => logSigner(bytes("old seed"))
const signed = (changes: Partial<Succession> = {}, by = old()) => {
  const statement = encodeSuccession({ ...succession, ...changes })
  return { statement, signature: by.signSuccession(statement) }
}

describe("docs/formats/succession.md", () => {
  it("is this statement, under this signature", async () => {
    expect(hex(old().publicKey)).toBe(example("old key"))
    expect(hex(logSigner(bytes("new seed")).publicKey)).toBe(example("new key"))
    const { statement, signature } = signed()
    expect(hex(statement)).toBe(example("statement"))
    expect(hex(signature)).toBe(example("signature"))
    expect(hex((await verifySuccession({ statement, signature })).hash)).toBe(example("hash"))
  })

  it("has this code", () => {
    const { practice, known, kept, to } = succession
    const fields = [idBytes(practice), known.size, known.root, kept.size, kept.root, to.origin, to.logKey]
    expect(hex(context("succession-code", ...fields))).toBe(example("code context"))
    expect(successionCode(succession)).toBe(example("code"))
  })

  it("comes out of a second implementation, written from the page alone", () => {
    const key = createPrivateKey({
      key: Buffer.concat([seedPrefix, bytes("old seed")]),
      format: "der",
      type: "pkcs8",
    })
    expect(hex(sign(null, bytes("signed"), key))).toBe(example("signature"))
    const m = createHash("sha256").update(bytes("code context")).digest()
    expect(hex(m)).toBe(example("m"))
    let h = Buffer.concat([Buffer.alloc(2), m, Buffer.from(example("practice"), "base64url")])
    for (let round = 0; round < 5200; round++) h = createHash("sha512").update(h).update(m).digest()
    const digits = [0, 5, 10, 15, 20, 25].map((at) => String(h.readUIntBE(at, 5) % 100_000).padStart(5, "0"))
    expect(digits.join("")).toBe(example("code"))
  })

  it("is refused where another key signed, nothing changed hands, or more is kept than was known", async () => {
    const refused = expect.objectContaining({ code: "TAMPERED_LOG" })
    await expect(verifySuccession(signed({}, logSigner(bytes("new seed"))))).rejects.toEqual(refused)
    await expect(verifySuccession(signed({ to: { ...succession.to, logKey: bytes("old key") } }))).rejects.toEqual(
      refused,
    )
    await expect(verifySuccession(signed({ to: succession.from }))).rejects.toEqual(refused)
    await expect(verifySuccession(signed({ kept: { ...succession.kept, size: 10 } }))).rejects.toEqual(refused)
    await expect(
      verifySuccession(signed({ to: { ...succession.to, origin: "healthcrypt/elsewhere" } })),
    ).rejects.toEqual(refused)
    const { statement, signature } = signed()
    await expect(verifySuccession({ statement: statement.subarray(1), signature })).rejects.toEqual(refused)
    await expect(verifySuccessions([signed({ number: 2 })])).rejects.toEqual(refused)
    await expect(verifySuccessions([signed(), signed()])).rejects.toEqual(refused)
    expect(await verifySuccessions([signed()])).toHaveLength(1)
  })

  it("numbers keyrings above everything before", () => {
    expect(nextKeyring(4, 0)).toBe(5)
    expect(nextKeyring(4, 1)).toBe(keyringStep)
    expect(nextKeyring(4, 3)).toBe(3 * keyringStep)
    expect(nextKeyring(keyringStep, 1)).toBe(keyringStep + 1)
    expect(nextKeyring(keyringStep + 7, 2)).toBe(2 * keyringStep)
  })
})
