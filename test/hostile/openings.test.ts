import { createCipheriv, createHmac } from "node:crypto"
import { deflateRawSync } from "node:zlib"
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import { signIn } from "../../src/client/account.ts"
import type { Session } from "../../src/client/session.ts"
import { encodeBase64url } from "../../src/encoding/base64.ts"
import { concat, parseUtf8, u32be, utf8 } from "../../src/encoding/bytes.ts"
import { encodeFrame } from "../../src/encoding/frame.ts"
import { newId, type PhysicianId, type RecordId } from "../../src/encoding/ids.ts"
import { AppError } from "../../src/errors.ts"
import { newSecretKey, type SecretKey } from "../../src/vault/keys.ts"
import { entryPlace, keyringPlace, profilePlace } from "../../src/vault/places.ts"
import { open, seal } from "../../src/vault/seal.ts"
import { type Practice, password, startPractice } from "../practice.ts"

/** Tokens that are wrong in every way that there is, made without the program's own Fernet. A server that could tell the ways apart, by
 * what a client says or by what it does next, could open tokens byte by byte. */

/** The 32 bytes under which a place's tokens are made. RFC 5869 §2.3 */
function keyBytes(key: SecretKey, place: Uint8Array): Buffer {
  return createHmac("sha256", key).update(place).update(Uint8Array.of(1)).digest()
}

/** A token over exactly these padded bytes, with a true HMAC. */
function token(bytes: Buffer, padded: Uint8Array, version = 0x80): Uint8Array<ArrayBuffer> {
  const cipher = createCipheriv("aes-128-cbc", bytes.subarray(16), new Uint8Array(16)).setAutoPadding(false)
  return authentic(bytes, concat(Uint8Array.of(version), new Uint8Array(24), cipher.update(padded), cipher.final()))
}

function authentic(bytes: Buffer, said: Uint8Array): Uint8Array<ArrayBuffer> {
  return concat(said, createHmac("sha256", bytes.subarray(0, 16)).update(said).digest())
}

/** PKCS#7. @param last what the last byte says, where it is not the truth */
function padded(message: Uint8Array, last?: number): Uint8Array {
  const count = 16 - (message.length % 16)
  const out = concat(message, new Uint8Array(count).fill(count))
  return last === undefined ? out : out.with(out.length - 1, last)
}

/** @param good a token that opens */
function wrongTokens(bytes: Buffer, good: Uint8Array): Record<string, Uint8Array> {
  const frame = encodeFrame(utf8("[]"))
  const bit = (at: number) => good.with(at, good[at]! ^ 1)
  const said = good.subarray(0, -32)
  const packed = deflateRawSync(Buffer.from("[]"))
  return {
    "nothing at all": new Uint8Array(0),
    "shorter than any token": good.slice(0, 40),
    "a byte short": good.slice(0, -1),
    "a byte long": concat(good, new Uint8Array(1)),
    "a block short": concat(good.subarray(0, -48), good.subarray(-32)),
    "another version": bit(0),
    "another time": bit(8),
    "another IV": bit(24),
    "another first block": bit(25),
    "another last block": bit(good.length - 33),
    "another HMAC, first byte": bit(good.length - 32),
    "another HMAC, last byte": bit(good.length - 1),
    "no HMAC": concat(said, new Uint8Array(32)),
    "a true HMAC over another version": token(bytes, padded(frame), 0x81),
    "a true HMAC over half a block": authentic(bytes, said.subarray(0, -8)),
    "a true HMAC over no block": authentic(bytes, said.subarray(0, 25)),
    "a true HMAC over padding of 0": token(bytes, padded(frame, 0)),
    "a true HMAC over padding of 17": token(bytes, padded(frame, 17)),
    "a true HMAC over padding of 255": token(bytes, padded(frame, 255)),
    "a true HMAC over padding that does not agree": token(bytes, padded(frame).with(frame.length, 9)),
    "a true HMAC over an empty frame": token(bytes, padded(new Uint8Array(0))),
    "a frame of another coding": token(bytes, padded(frame.with(0, 2))),
    "a frame that says too much": token(bytes, padded(concat(Uint8Array.of(0), u32be(4000), frame.subarray(5)))),
    "a frame that says too little": token(bytes, padded(concat(Uint8Array.of(0), u32be(1), frame.subarray(5)))),
    "a frame with something behind it": token(bytes, padded(frame.with(200, 1))),
    "a frame without padding": token(bytes, padded(encodeFrame(utf8("[]"), 0, true))),
    "a frame that is packed": token(bytes, padded(encodeFrame(packed, 1))),
    "a frame that is packed, and more": token(bytes, padded(encodeFrame(concat(packed, packed), 1))),
    "a frame that says it is packed": token(bytes, padded(encodeFrame(utf8("[]"), 1))),
  }
}

/** Everything that an error says. */
function everything(error: unknown): unknown {
  if (!(error instanceof AppError)) return error
  const { name, code, message, cause, fields, status } = error
  return { name, code, message, cause, fields, status, own: Object.keys(error) }
}

describe("the vault", () => {
  it("says one and the same thing of every token that is wrong", async () => {
    const key = newSecretKey()
    const place = entryPlace(newId<"record">() as RecordId, 0, 0, newId<"physician">() as PhysicianId)
    const good = await seal(key, place, utf8("[]"))
    const bytes = keyBytes(key, place)
    expect(await open(key, place, token(bytes, padded(encodeFrame(utf8("[]")))))).toEqual(utf8("[]"))
    const said = new Map<string, unknown>()
    for (const [way, wrong] of Object.entries(wrongTokens(bytes, good)))
      said.set(
        way,
        everything(
          await open(key, place, wrong).then(
            () => "opened",
            (error: unknown) => error,
          ),
        ),
      )
    said.set("another key", everything(await open(newSecretKey(), place, good).catch((error: unknown) => error)))
    const one = { name: "AppError", code: "CANNOT_OPEN", cause: undefined, fields: undefined, status: 422 }
    expect(said.get("another key")).toMatchObject(one)
    for (const [way, what] of said) expect(what, way).toEqual(said.get("another key"))
  })
})

describe("a client", () => {
  let practice: Practice
  let session: Session
  beforeAll(async () => {
    practice = await startPractice()
    session = await practice.register("ada")
  })
  afterAll(() => practice.close())

  /** What a server hears of a client that is given this in the place of a sealed thing, and what the client says. */
  async function given(what: "keyring" | "profile", wrong: Uint8Array) {
    const heard: unknown[] = []
    const around = practice.device(`shown ${what}`, async (request, send) => {
      const { authorization: _, ...headers } = request.headers
      const body = request.body === undefined ? null : Object.keys(JSON.parse(parseUtf8(request.body)))
      heard.push([request.method, request.path, headers, body])
      const response = await send(request)
      if (request.path !== "/api/login/finish") return response
      const answer = JSON.parse(parseUtf8(response.body))
      answer[what].token = encodeBase64url(wrong)
      // As of version 0.2, which nobody signed for: the token is all there is to go by.
      delete answer[what].signed
      return { status: response.status, body: utf8(JSON.stringify(answer)) }
    })
    const error: unknown = await signIn(around, "ada", password).then(
      () => "signed in",
      (thrown: unknown) => thrown,
    )
    const said = error instanceof AppError ? [error.code, error.message] : error
    return { said, heard }
  }

  for (const what of ["keyring", "profile"] as const)
    it(`says and asks the same, in whatever way its ${what} is wrong`, async () => {
      const { key, physician, keyringNumber } = session
      const place = what === "keyring" ? keyringPlace(physician, keyringNumber) : profilePlace(physician, 0)
      const bytes = keyBytes(key, place)
      const good = token(bytes, padded(encodeFrame(utf8("[]"))))
      const ways = wrongTokens(bytes, good)
      const first = await given(what, ways["another HMAC, last byte"]!)
      expect(first.said).toMatchObject(["CANNOT_OPEN", expect.stringContaining("cannot be opened")])
      for (const way of [
        "nothing at all",
        "another last block",
        "a true HMAC over padding of 0",
        "a true HMAC over padding that does not agree",
        "a true HMAC over half a block",
        "a frame of another coding",
        "a frame that says too much",
        "a frame that is packed",
      ])
        expect(await given(what, ways[way]!), way).toEqual(first)
    })
})
