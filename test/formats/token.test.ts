import { createCipheriv, createHmac } from "node:crypto"
import { beforeAll, describe, expect, it } from "vitest"
import { parseUtf8, utf8 } from "../../src/encoding/bytes.ts"
import { encodeFrame, parseFrame } from "../../src/encoding/frame.ts"
import type { PhysicianId, RecordId } from "../../src/encoding/ids.ts"
import { limits } from "../../src/encoding/limits.ts"
import { padme } from "../../src/encoding/padme.ts"
import { decrypt, encodeToken, encrypt, importKey, parseToken } from "../../src/vault/fernet.ts"
import { asSecretKey, deriveBytes, deriveKey } from "../../src/vault/keys.ts"
import { entryPlace, selfGrantPlace } from "../../src/vault/places.ts"
import { open, seal } from "../../src/vault/seal.ts"
import { workedExample } from "./worked-example.ts"

let example: (name: string) => string
beforeAll(async () => {
  example = await workedExample("token.md")
})

describe("docs/formats/token.md, an entry's body", () => {
  const place = () =>
    entryPlace(
      example("record") as RecordId,
      Number(example("epoch")),
      Number(example("seq")),
      example("author") as PhysicianId,
    )
  const key = () => asSecretKey(bytes("record key"))

  it("has this context and this key", async () => {
    expect(hex(place())).toBe(example("context"))
    expect(hex(await deriveBytes(key(), place()))).toBe(example("key"))
  })

  it("has this frame", () => {
    const frame = encodeFrame(utf8(example("body")))
    expect(frame.length).toBe(Number(example("frame length")))
    expect(hex(frame)).toBe(example("frame starts").padEnd(2 * frame.length, "0"))
    expect(parseUtf8(parseFrame(frame).body)).toBe(example("body"))
  })

  it("is this token", async () => {
    const options = { now: Date.parse(example("time")), iv: bytes("iv") }
    const token = await encrypt(await deriveKey(key(), place()), encodeFrame(utf8(example("body"))), options)
    expect(encodeToken(token)).toBe(example("token"))
    expect(parseUtf8(await open(key(), place(), parseToken(example("token"))))).toBe(example("body"))
  })

  it("comes out of a second implementation, written from the page alone", () => {
    const entryKey = createHmac("sha256", bytes("record key")).update(bytes("context")).update(Buffer.of(1)).digest()
    const frame = Buffer.alloc(Number(example("frame length")))
    Buffer.from(example("frame starts"), "hex").copy(frame)
    const cipher = createCipheriv("aes-128-cbc", entryKey.subarray(16), bytes("iv"))
    const seconds = Buffer.alloc(8)
    seconds.writeBigUInt64BE(BigInt(Date.parse(example("time")) / 1000))
    const signed = Buffer.concat([Buffer.of(0x80), seconds, bytes("iv"), cipher.update(frame), cipher.final()])
    const tag = createHmac("sha256", entryKey.subarray(0, 16)).update(signed).digest()
    expect(Buffer.concat([signed, tag]).toString("base64").replaceAll("+", "-").replaceAll("/", "_")).toBe(
      example("token"),
    )
  })

  it("opens at no other place, and under no other key", async () => {
    const record = example("record") as RecordId
    const author = example("author") as PhysicianId
    const token = parseToken(example("token"))
    for (const other of [
      entryPlace(record, 1, 3, author),
      entryPlace(record, 0, 4, author),
      entryPlace(record, 0, 3, record as unknown as PhysicianId),
      entryPlace(author as unknown as RecordId, 0, 3, author),
    ]) {
      await expect(open(key(), other, token)).rejects.toMatchObject({ code: "CANNOT_OPEN" })
    }
    await expect(open(asSecretKey(new Uint8Array(32)), place(), token)).rejects.toMatchObject({ code: "CANNOT_OPEN" })
  })
})

describe("docs/formats/token.md, a sealed key", () => {
  it("has a frame of 37 bytes and this token", async () => {
    const key = asSecretKey(bytes("physician key"))
    const place = selfGrantPlace(
      example("author") as PhysicianId,
      example("record") as RecordId,
      Number(example("epoch")),
    )
    expect(hex(place)).toBe(example("self-grant context"))
    const frame = encodeFrame(bytes("record key"), 0, true)
    expect(hex(frame)).toBe(example("self-grant frame"))
    expect(frame.length).toBe(37)
    const options = { now: Date.parse(example("time")), iv: bytes("iv") }
    expect(encodeToken(await encrypt(await deriveKey(key, place), frame, options))).toBe(example("self-grant token"))
    const opened = await open(key, place, parseToken(example("self-grant token")), { exact: true })
    expect(hex(opened)).toBe(example("record key"))
  })
})

describe("docs/formats/token.md, frames", () => {
  it.each([
    [0, 256],
    [251, 256],
    [252, 272],
    [1000, 1024],
    [10_000, 10_240],
    [1_000_000, 1_015_808],
  ])("a body of %i bytes has a frame of %i", (body, frame) => {
    expect(padme(Math.max(256, 5 + body))).toBe(frame)
    expect(encodeFrame(new Uint8Array(body)).length).toBe(frame)
  })

  it("with another coding, length, filler or size are refused, all as CANNOT_OPEN", async () => {
    const key = asSecretKey(new Uint8Array(32).fill(9))
    const place = utf8("place")
    const fernetKey = await deriveKey(key, place)
    const good = encodeFrame(utf8("Hypertension"))
    const openFrame = async (frame: Uint8Array) =>
      open(key, place, await encrypt(fernetKey, frame), { inflateTo: limits.inflatedBytes })
    expect(parseUtf8(await openFrame(good))).toBe("Hypertension")
    const frames = [
      good.with(0, 2), // no such coding
      good.with(0, 1), // not deflated
      good.with(4, 11), // the body's last byte as filler
      good.with(1, 255), // a length beyond the frame
      good.with(17, 1), // filler
      good.with(255, 1),
      ...[0, 4, 17, 255].map((length) => good.slice(0, length)),
      Uint8Array.of(...good, 0),
    ]
    for (const frame of frames) await expect(openFrame(frame)).rejects.toMatchObject({ code: "CANNOT_OPEN" })
    const exact = await encrypt(fernetKey, encodeFrame(new Uint8Array(32), 0, true))
    await expect(open(key, place, exact)).rejects.toMatchObject({ code: "CANNOT_OPEN" })
    await expect(open(key, place, await encrypt(fernetKey, good), { exact: true })).rejects.toMatchObject({
      code: "CANNOT_OPEN",
    })
  })

  it("deflated are taken only where they are allowed", async () => {
    const key = asSecretKey(new Uint8Array(32).fill(9))
    const place = utf8("place")
    const body = utf8("Hypertension ".repeat(4000))
    const token = await seal(key, place, body, { compress: true })
    expect(token.length).toBeLessThan(body.length / 10)
    expect(await open(key, place, token, { inflateTo: limits.inflatedBytes })).toEqual(body)
    await expect(open(key, place, token)).rejects.toMatchObject({ code: "CANNOT_OPEN" })
  })

  it("deflated with bytes behind the end, or cut, are refused", async () => {
    const key = asSecretKey(new Uint8Array(32).fill(9))
    const place = utf8("place")
    const token = await seal(key, place, utf8("Hypertension ".repeat(4000)), { compress: true })
    const { body: packed } = parseFrame(await decrypt(await importKey(await deriveBytes(key, place)), token))
    for (const other of [Uint8Array.of(...packed, 0), packed.subarray(0, -1), packed.subarray(0, 0)]) {
      const changed = await encrypt(await deriveKey(key, place), encodeFrame(other, 1))
      await expect(open(key, place, changed, { inflateTo: limits.inflatedBytes })).rejects.toMatchObject({
        code: "CANNOT_OPEN",
      })
    }
  })
})

function bytes(name: string): Uint8Array<ArrayBuffer> {
  return new Uint8Array(Buffer.from(example(name), "hex"))
}

function hex(value: Uint8Array): string {
  return Buffer.from(value).toString("hex")
}
