import { execFile } from "node:child_process"
import { join } from "node:path"
import { promisify } from "node:util"
import fc from "fast-check"
import { createBuilder } from "vite"
import { describe, expect, it } from "vitest"
import { equal, utf8 } from "../encoding/bytes.ts"
import { AppError } from "../errors.ts"
import * as fernet from "./fernet.ts"

const root = join(import.meta.dirname, "../..")
const now = Date.UTC(2026, 10, 23, 9, 14)
const message = utf8("Hypertension")

describe("a token", () => {
  it("opens to the message it was made of", async () => {
    const property = fc.asyncProperty(
      fc.uint8Array({ minLength: 32, maxLength: 32 }),
      fc.uint8Array({ maxLength: 600 }),
      async (keyBytes, body) => {
        const key = await fernet.importKey(keyBytes)
        const token = await fernet.encrypt(key, body)
        expect(token.length).toBe(57 + body.length + 16 - (body.length % 16))
        const opened = await fernet.decrypt(key, fernet.parseToken(fernet.encodeToken(token)))
        expect(equal(opened, body)).toBe(true)
      },
    )
    await fc.assert(property, { numRuns: 500 })
  })

  it("takes messages and tokens that are views into something larger, and leaves them as they were", async () => {
    const key = await freshKey()
    const large = Uint8Array.from({ length: 100 }, (_, i) => i)
    const token = await fernet.encrypt(key, large.subarray(7, 60))
    const around = new Uint8Array(token.length + 20)
    around.set(token, 11)
    const before = around.slice()
    const opened = await fernet.decrypt(key, around.subarray(11, 11 + token.length), { ttlSeconds: 60 })
    expect(opened).toEqual(large.slice(7, 60))
    expect(around).toEqual(before)
  })

  it("opens at 16 MiB", async () => {
    const key = await freshKey()
    const body = new Uint8Array(16 * 2 ** 20).fill(7)
    expect(equal(await fernet.decrypt(key, await fernet.encrypt(key, body)), body)).toBe(true)
  })

  it("is different every time, and starts with version and time", async () => {
    const key = await freshKey()
    const tokens = await Promise.all(Array.from({ length: 200 }, () => fernet.encrypt(key, message, { now })))
    expect(new Set(tokens.map((token) => fernet.encodeToken(token.subarray(9, 25)))).size).toBe(200)
    expect(tokens[0]![0]).toBe(0x80)
    expect(new DataView(tokens[0]!.buffer).getBigUint64(1)).toBe(BigInt(now / 1000))
  })

  it("keeps a time beyond 2^32 seconds", async () => {
    const key = await freshKey()
    const far = (2 ** 33 + 5) * 1000
    const token = await fernet.encrypt(key, message, { now: far })
    expect(new DataView(token.buffer).getBigUint64(1)).toBe(2n ** 33n + 5n)
    expect(await fernet.decrypt(key, token, { now: far, ttlSeconds: 0 })).toEqual(message)
  })
})

describe("a token is refused, always with the same error,", () => {
  it("when any single bit of it is flipped", async () => {
    const key = await freshKey()
    const token = await fernet.encrypt(key, utf8("a".repeat(60)))
    for (let bit = 0; bit < token.length * 8; bit++) {
      const flipped = token.slice()
      flipped[bit >> 3]! ^= 1 << (bit & 7)
      await refused(fernet.decrypt(key, flipped))
    }
  })

  it("when it is cut anywhere, or lengthened", async () => {
    const key = await freshKey()
    const token = await fernet.encrypt(key, message)
    for (let length = 0; length < token.length; length++) {
      await refused(fernet.decrypt(key, token.subarray(0, length)))
      await refused(fernet.decrypt(key, token.subarray(token.length - length)))
    }
    await refused(fernet.decrypt(key, Uint8Array.of(...token, 0)))
  })

  it("under a key that differs in one bit, in either half", async () => {
    const bytes = fernet.generateKey()
    const token = await fernet.encrypt(await fernet.importKey(bytes), message)
    for (let bit = 0; bit < 128; bit++) {
      const other = bytes.slice()
      other[bit >> 3]! ^= 1 << (bit & 7)
      await refused(fernet.decrypt(await fernet.importKey(other), token))
    }
    for (let bit = 128; bit < 256; bit++) {
      const other = bytes.slice()
      other[bit >> 3]! ^= 1 << (bit & 7)
      const opened = await fernet.decrypt(await fernet.importKey(other), token).catch((error: unknown) => error)
      if (opened instanceof Uint8Array) expect(opened).not.toEqual(message)
      else expect(opened).toMatchObject({ code: "CANNOT_OPEN" })
    }
  })

  it("with a good HMAC over a wrong version, a broken length or a bad padding", async () => {
    const { mac, importMacKey, importCipherKey, encryptCbc } = await import("#engine")
    const bytes = fernet.generateKey()
    const key = await fernet.importKey(bytes)
    const signing = await importMacKey(bytes.slice(0, 16))
    const resign = async (body: Uint8Array<ArrayBuffer>) => Uint8Array.of(...body, ...(await mac(signing, body)))
    const whole = (await fernet.encrypt(key, message)).slice(0, -32)
    expect(await fernet.decrypt(key, await resign(whole))).toEqual(message)
    await refused(fernet.decrypt(key, await resign(Uint8Array.of(0x81, ...whole.subarray(1)))))
    await refused(fernet.decrypt(key, await resign(whole.slice(0, -1))))
    await refused(fernet.decrypt(key, await resign(whole.slice(0, 25))))
    const cipher = await importCipherKey(bytes.slice(16))
    for (const last of [0, 17, 255, 2]) {
      const block = new Uint8Array(32)
      await encryptCbc(cipher, whole.slice(9, 25), new Uint8Array(16).fill(last, 15), block)
      await refused(
        fernet.decrypt(key, await resign(Uint8Array.of(...whole.subarray(0, 25), ...block.subarray(0, 16)))),
      )
    }
  })

  it("when it is too old, or from more than a minute in the future; without a TTL it is good for ever", async () => {
    const key = await freshKey()
    const token = await fernet.encrypt(key, message, { now })
    const at = (seconds: number, ttlSeconds?: number) =>
      fernet.decrypt(key, token, { now: now + seconds * 1000, ...(ttlSeconds === undefined ? {} : { ttlSeconds }) })
    for (const seconds of [-60, 0, 59, 60]) expect(await at(seconds, 60)).toEqual(message)
    for (const seconds of [-61, 61, 1e6]) await refused(at(seconds, 60))
    for (const seconds of [-1e6, 1e9]) expect(await at(seconds)).toEqual(message)
    await refused(at(0, Number.NaN))
  })
})

describe("a key", () => {
  it("goes through text as 44 characters", () => {
    const bytes = fernet.generateKey()
    expect(fernet.encodeKey(bytes)).toMatch(/^[A-Za-z0-9_-]{43}=$/)
    expect(fernet.parseKey(fernet.encodeKey(bytes))).toEqual(bytes)
  })

  it("of another length, or in another spelling, is refused", async () => {
    for (const length of [0, 16, 31, 33, 64]) {
      await expect(fernet.importKey(new Uint8Array(length))).rejects.toMatchObject({ code: "BAD_INPUT_FORMAT" })
    }
    const text = fernet.encodeKey(fernet.generateKey())
    for (const other of [
      text.slice(0, -1),
      ` ${text}`,
      `${text}\n`,
      `+${text.slice(1)}`,
      "",
      fernet.encodeKey(new Uint8Array(31)),
    ]) {
      expect(() => fernet.parseKey(other)).toThrow(AppError)
    }
  })

  it("is taken in as it is at that moment, and may be wiped afterwards", async () => {
    const bytes = fernet.generateKey()
    const copy = bytes.slice()
    const importing = fernet.importKey(bytes)
    bytes.fill(0)
    const token = await fernet.encrypt(await importing, message)
    expect(await fernet.decrypt(await fernet.importKey(copy), token)).toEqual(message)
  })
})

describe("both engines", () => {
  it("export the same functions", async () => {
    const names = async (path: string) => Object.keys(await import(path)).sort()
    expect(await names("./engine.browser.ts")).toEqual(await names("./engine.node.ts"))
  })

  it("open what the other sealed", async () => {
    const node = await import("./engine.node.ts")
    const browser = await import("./engine.browser.ts")
    const body = utf8("a".repeat(77))
    const iv = new Uint8Array(16).fill(3)
    for (const [one, other] of [
      [node, browser],
      [browser, node],
    ] as const) {
      const ciphertext = new Uint8Array(80)
      await one.encryptCbc(await one.importCipherKey(iv), iv, body, ciphertext)
      expect(await other.decryptCbc(await other.importCipherKey(iv), iv, ciphertext)).toEqual(body)
      const tag = await one.mac(await one.importMacKey(iv), body)
      expect(await other.verifyMac(await other.importMacKey(iv), body, tag)).toBe(true)
      for (const bad of [new Uint8Array(0), tag.slice(0, 31), Uint8Array.of(...tag, 0)]) {
        expect(await other.verifyMac(await other.importMacKey(iv), body, bad)).toBe(false)
      }
      for (const bad of [new Uint8Array(0), ciphertext.slice(0, 79), ciphertext.slice(0, 64)]) {
        await expect(async () => other.decryptCbc(await other.importCipherKey(iv), iv, bad)).rejects.toThrow()
      }
    }
  })
})

describe("healthcrypt/fernet", () => {
  it("works alone, by its name", async () => {
    await (await createBuilder({ configFile: join(root, "vite.fernet.config.ts"), logLevel: "error" })).buildApp()
    const program = `import { decrypt, encrypt, generateKey, importKey } from "healthcrypt/fernet"
      const key = await importKey(generateKey())
      const token = await encrypt(key, new TextEncoder().encode("Hypertension"))
      console.log(new TextDecoder().decode(await decrypt(key, token)))`
    for (const conditions of [[], ["--conditions=browser"]]) {
      const args = [...conditions, "--input-type=module", "--eval", program]
      const { stdout } = await promisify(execFile)(process.execPath, args, { cwd: root })
      expect(stdout).toBe("Hypertension\n")
    }
  })
})

async function freshKey(): Promise<fernet.FernetKey> {
  return fernet.importKey(fernet.generateKey())
}

/** One error for every failure: nothing tells a caller which check it was. */
async function refused(opening: Promise<unknown>): Promise<void> {
  const error = await opening.then(
    () => null,
    (error: unknown) => error,
  )
  if (!(error instanceof AppError)) throw new Error("opened, or failed in another way")
  if (error.code !== "CANNOT_OPEN" || error.cause !== undefined || error.fields !== undefined) throw error
  if (error.message !== new AppError("CANNOT_OPEN").message) throw error
}
