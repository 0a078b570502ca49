import { parseBase64url } from "../encoding/base64.ts"
import { encodePkcs8 } from "../encoding/ed25519-key.ts"
import type { CipherKey, Engine, MacKey } from "./engine.ts"

const hmac = { name: "HMAC", hash: "SHA-256" } as const

export const importMacKey: Engine["importMacKey"] = async (bytes) =>
  (await crypto.subtle.importKey("raw", bytes, hmac, false, ["sign", "verify"])) as unknown as MacKey

export const importCipherKey: Engine["importCipherKey"] = async (bytes) =>
  (await crypto.subtle.importKey("raw", bytes, "AES-CBC", false, ["encrypt", "decrypt"])) as unknown as CipherKey

export const mac: Engine["mac"] = async (key, message) =>
  new Uint8Array(await crypto.subtle.sign("HMAC", native(key), message))

export const verifyMac: Engine["verifyMac"] = (key, message, tag) =>
  crypto.subtle.verify("HMAC", native(key), tag, message)

export const encryptCbc: Engine["encryptCbc"] = async (key, iv, message, target) => {
  target.set(new Uint8Array(await crypto.subtle.encrypt({ name: "AES-CBC", iv }, native(key), message)))
}

export const decryptCbc: Engine["decryptCbc"] = async (key, iv, ciphertext) =>
  new Uint8Array(await crypto.subtle.decrypt({ name: "AES-CBC", iv }, native(key), ciphertext))

export const importSigningKey: Engine["importSigningKey"] = async (seed) => {
  const pkcs8 = encodePkcs8(seed)
  const readable = await crypto.subtle.importKey("pkcs8", pkcs8, "Ed25519", true, ["sign"])
  const { x } = await crypto.subtle.exportKey("jwk", readable)
  const key = await crypto.subtle.importKey("pkcs8", pkcs8, "Ed25519", false, ["sign"])
  pkcs8.fill(0)
  return {
    publicKey: parseBase64url(x ?? ""),
    sign: async (message) => new Uint8Array(await crypto.subtle.sign("Ed25519", key, message)),
  }
}

function native(key: MacKey | CipherKey): CryptoKey {
  return key as unknown as CryptoKey
}
