import { argon2Sync, createDecipheriv } from "node:crypto"
import { beforeAll, describe, expect, it } from "vitest"
import { u64be } from "../../src/encoding/bytes.ts"
import { parseCbor } from "../../src/encoding/cbor.ts"
import type { PracticeId } from "../../src/encoding/ids.ts"
import { openSealedSecrets, sealSecrets } from "../../src/server/backup/sealed-secrets.ts"
import { fromHex, hex } from "./made.ts"
import { workedExample } from "./worked-example.ts"

let example: (name: string) => string
beforeAll(async () => {
  example = await workedExample("backup.md")
})
const bytes = (name: string) => fromHex(example(name))
const about = () => ({
  practice: example("practice") as PracticeId,
  tree: { size: Number(example("size")), root: bytes("root") },
})
const files = () => new Map(["opaque-setup", "log-key"].map((name) => [name, bytes(name) as Uint8Array] as const))

describe("docs/formats/backup.md", { timeout: 240_000 }, () => {
  it("seals to these bytes, and opens them", () => {
    const random = (size: number) => bytes(size === 16 ? "salt" : "nonce")
    expect(hex(sealSecrets(files(), example("passphrase"), about(), random))).toBe(example("sealed"))
    const opened = openSealedSecrets(bytes("sealed"), example("passphrase"), about())
    expect([...opened].map(([name, content]) => [name, hex(content)]).sort()).toEqual([
      ["log-key", example("log-key")],
      ["opaque-setup", example("opaque-setup")],
    ])
  })

  it("comes out of a second implementation, written from the page alone", () => {
    const sealed = Buffer.from(bytes("sealed"))
    const [memory, passes, parallelism] = [30, 34, 38].map((at) => sealed.readUInt32BE(at)) as [number, number, number]
    const message = Buffer.from(example("passphrase"))
    const nonce = sealed.subarray(42, 58)
    const key = argon2Sync("argon2id", { message, nonce, memory, passes, parallelism, tagLength: 32 })
    const decipher = createDecipheriv("aes-256-gcm", key, sealed.subarray(58, 70))
    decipher.setAAD(
      Buffer.concat([sealed.subarray(0, 70), Buffer.from(example("practice"), "base64url"), u64be(5), bytes("root")]),
    )
    decipher.setAuthTag(sealed.subarray(-16))
    const plain = Buffer.concat([decipher.update(sealed.subarray(70, -16)), decipher.final()])
    expect(parseCbor(new Uint8Array(plain), 4096)).toEqual({
      v: 1,
      files: [
        ["log-key", bytes("log-key")],
        ["opaque-setup", bytes("opaque-setup")],
      ],
    })
  })

  it("does not open with another passphrase, cut, changed, or as another backup's", () => {
    const refused = expect.objectContaining({ code: "CANNOT_OPEN" })
    const open = (sealed: Uint8Array, passphrase = example("passphrase"), of = about()) =>
      openSealedSecrets(sealed, passphrase, of)
    const sealed = bytes("sealed")
    expect(() => open(sealed, "another passphrase")).toThrow(refused)
    expect(() => open(new Uint8Array(0))).toThrow(refused)
    for (const at of [75]) {
      const changed = sealed.slice()
      changed[at]! ^= 1
      expect(() => open(changed), String(at)).toThrow(refused)
    }
    expect(() => open(sealed, undefined, { ...about(), tree: { ...about().tree, size: 6 } })).toThrow(refused)
    expect(() => sealSecrets(files(), "too short", about())).toThrow(
      expect.objectContaining({ code: "BAD_INPUT_PASSWORD" }),
    )
  })
})
