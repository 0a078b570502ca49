import {
  createCipheriv,
  createDecipheriv,
  createHmac,
  createPrivateKey,
  createPublicKey,
  createSecretKey,
  type KeyObject,
  sign,
  timingSafeEqual,
} from "node:crypto"
import { encodePkcs8 } from "../encoding/ed25519-key.ts"
import type { CipherKey, Engine, MacKey } from "./engine.ts"

export const importMacKey: Engine["importMacKey"] = (bytes) => createSecretKey(bytes) as unknown as MacKey

export const importCipherKey: Engine["importCipherKey"] = (bytes) => createSecretKey(bytes) as unknown as CipherKey

export const mac: Engine["mac"] = (key, message) => plain(digest(key, message))

export const verifyMac: Engine["verifyMac"] = (key, message, tag) =>
  tag.length === 32 && timingSafeEqual(digest(key, message), tag)

export const encryptCbc: Engine["encryptCbc"] = (key, iv, message, target) => {
  const cipher = createCipheriv("aes-128-cbc", native(key), iv)
  const whole = cipher.update(message)
  target.set(whole)
  target.set(cipher.final(), whole.length)
}

/** Unpads by itself: that saves a copy, and behind a verified HMAC padding is no oracle. */
export const decryptCbc: Engine["decryptCbc"] = (key, iv, ciphertext) => {
  if (ciphertext.length === 0 || ciphertext.length % 16 !== 0) throw new RangeError("length")
  const padded = createDecipheriv("aes-128-cbc", native(key), iv).setAutoPadding(false).update(ciphertext)
  const padding = padded[padded.length - 1]!
  if (padding < 1 || padding > 16) throw new RangeError("padding")
  for (let i = padded.length - padding; i < padded.length; i++) {
    if (padded[i] !== padding) throw new RangeError("padding")
  }
  return plain(padded, padded.length - padding)
}

export const importSigningKey: Engine["importSigningKey"] = (seed) => {
  const pkcs8 = encodePkcs8(seed)
  const key = createPrivateKey({ key: Buffer.from(pkcs8.buffer), format: "der", type: "pkcs8" })
  pkcs8.fill(0)
  const spki = createPublicKey(key).export({ format: "der", type: "spki" })
  return { publicKey: new Uint8Array(spki.subarray(-32)), sign: (message) => plain(sign(null, message, key)) }
}

function digest(key: MacKey, message: Uint8Array): Buffer {
  return createHmac("sha256", native(key)).update(message).digest()
}

function native(key: MacKey | CipherKey): KeyObject {
  return key as unknown as KeyObject
}

function plain(buffer: Buffer, length = buffer.length): Uint8Array<ArrayBuffer> {
  return new Uint8Array(buffer.buffer as ArrayBuffer, buffer.byteOffset, length)
}
