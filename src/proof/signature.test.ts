import { ed25519 } from "@noble/curves/ed25519.js"
import { expect, test } from "vitest"
import { concat, utf8 } from "../encoding/bytes.ts"
import { signedBytes, verifyStatement } from "./signature.ts"

const refused = expect.objectContaining({ code: "TAMPERED_SIGNATURE" })
const secret = new Uint8Array(32).fill(7)
const key = ed25519.getPublicKey(secret)
const statement = utf8("a statement")
const signature = ed25519.sign(signedBytes("entry", statement), secret)

test("a signature that was verified before stands for exactly what it was verified of", async () => {
  for (let n = 0; n < 2; n++) await verifyStatement("entry", key, statement, signature)
  const damaged = (bytes: Uint8Array) => bytes.with(3, bytes[3]! ^ 1)
  const others: Parameters<typeof verifyStatement>[] = [
    ["identity", key, statement, signature],
    ["entry", damaged(key), statement, signature],
    ["entry", key, damaged(statement), signature],
    ["entry", key, statement, damaged(signature)],
    // The same bytes, cut elsewhere.
    ["entry", concat(key, signature.subarray(0, 1)), statement, signature.subarray(1)],
    ["entry", key.subarray(0, 31), statement, concat(key.subarray(31), signature)],
  ]
  for (const other of others) await expect(verifyStatement(...other)).rejects.toEqual(refused)
})

test("one that was refused is looked at again", async () => {
  const other = utf8("another statement")
  for (let n = 0; n < 2; n++) await expect(verifyStatement("entry", key, other, signature)).rejects.toEqual(refused)
})
