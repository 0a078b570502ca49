import { execFileSync, spawnSync } from "node:child_process"
import { describe, expect, it } from "vitest"
import { utf8 } from "../src/encoding/bytes.ts"
import {
  decrypt,
  encodeKey,
  encodeToken,
  encrypt,
  generateKey,
  importKey,
  parseKey,
  parseToken,
} from "../src/vault/fernet.ts"

const hasPython = spawnSync("python3", ["-c", "import cryptography.fernet"]).status === 0
const messages = ["", "x", "fifteen bytes !", "sixteen bytes !!", "Zoë Ångström · Hypertonie", "d".repeat(5000)]

/** Python's `cryptography` (python3-cryptography), the implementation that the 2020 paper used. */
describe.skipIf(!hasPython)("Python's cryptography", () => {
  it("opens our tokens, under our keys", async () => {
    const bytes = generateKey()
    const key = await importKey(bytes)
    const tokens = await Promise.all(messages.map(async (text) => encodeToken(await encrypt(key, utf8(text)))))
    const opened = python(
      `f = Fernet(data["key"])
print(json.dumps([f.decrypt(t.encode(), ttl=600).decode() for t in data["tokens"]]))`,
      { key: encodeKey(bytes), tokens },
    )
    expect(opened).toEqual(messages)
  })

  it("makes tokens and keys that we open", async () => {
    const made = python(
      `key = Fernet.generate_key()
print(json.dumps({"key": key.decode(), "tokens": [Fernet(key).encrypt(m.encode()).decode() for m in data]}))`,
      messages,
    ) as { key: string; tokens: string[] }
    const key = await importKey(parseKey(made.key))
    const opened = await Promise.all(made.tokens.map((token) => decrypt(key, parseToken(token), { ttlSeconds: 600 })))
    expect(opened.map((bytes) => new TextDecoder().decode(bytes))).toEqual(messages)
  })

  it("makes the very same token of the same key, time, IV and message", async () => {
    const bytes = generateKey()
    const iv = crypto.getRandomValues(new Uint8Array(16))
    const now = Date.UTC(2026, 10, 23)
    const tokens = python(
      `f = Fernet(data["key"])
print(json.dumps([f._encrypt_from_parts(m.encode(), data["seconds"], bytes(data["iv"])).decode() for m in data["messages"]]))`,
      { key: encodeKey(bytes), seconds: now / 1000, iv: [...iv], messages },
    )
    const key = await importKey(bytes)
    expect(tokens).toEqual(
      await Promise.all(messages.map(async (text) => encodeToken(await encrypt(key, utf8(text), { now, iv })))),
    )
  })
})

function python(program: string, data: unknown): unknown {
  const preamble = "import json, sys\nfrom cryptography.fernet import Fernet\ndata = json.load(sys.stdin)\n"
  return JSON.parse(
    execFileSync("python3", ["-c", preamble + program], { input: JSON.stringify(data), encoding: "utf8" }),
  )
}
