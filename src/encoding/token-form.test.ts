import { expect, test } from "vitest"
import { newSecretKey } from "../vault/keys.ts"
import { keyringPlace, selfGrantPlace } from "../vault/places.ts"
import { seal } from "../vault/seal.ts"
import { newId, type PhysicianId, type RecordId } from "./ids.ts"
import { keyToken, paddedToken } from "./token-form.fixture.ts"
import { demandTokenForm, isTokenForm } from "./token-form.ts"

const physician = newId() as PhysicianId
const record = newId() as RecordId
const refused = expect.objectContaining({ code: "BAD_INPUT_FORMAT" })

test("whatever the vault seals has the form, at every length", async () => {
  const key = newSecretKey()
  const lengths = [0, 1, 250, 251, 252, 267, 268, 4000, 65_536, 1_000_003]
  for (const length of lengths) {
    const token = await seal(key, keyringPlace(physician, 0), new Uint8Array(length))
    expect({ length, padded: isTokenForm(token, "padded") }).toEqual({ length, padded: true })
    expect(isTokenForm(token, "key")).toBe(false)
  }
  const sealed = await seal(key, selfGrantPlace(physician, record, 0), newSecretKey(), { exact: true })
  expect(sealed).toHaveLength(105)
  expect(isTokenForm(sealed, "key")).toBe(true)
  expect(isTokenForm(sealed, "padded")).toBe(false)
})

test("what no client could have sealed has not", () => {
  for (const junk of [
    new Uint8Array(0),
    new Uint8Array(3),
    Uint8Array.of(0x80),
    new Uint8Array(105),
    new Uint8Array(329),
  ])
    for (const form of ["key", "padded"] as const) expect(() => demandTokenForm(junk, form)).toThrow(refused)
  const good = paddedToken(300)
  for (const cut of [1, 15, 17]) expect(isTokenForm(good.subarray(0, good.length - cut), "padded")).toBe(false)
  // A frame of 528 bytes is a multiple of 16, and no Padmé size.
  expect(isTokenForm(Uint8Array.of(0x80, ...new Uint8Array(56 + 528 + 16)), "padded")).toBe(false)
  for (const at of [0, 104]) expect(isTokenForm(keyToken().subarray(at), "key")).toBe(at === 0)
})
