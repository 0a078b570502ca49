import { concat } from "./bytes.ts"

/** The forms in which platforms take Ed25519 keys: none of them takes raw ones everywhere. Source: RFC 8410 */
const pkcs8Header = Uint8Array.of(0x30, 0x2e, 2, 1, 0, 0x30, 5, 6, 3, 0x2b, 0x65, 0x70, 4, 0x22, 4, 0x20)
const spkiHeader = Uint8Array.of(0x30, 0x2a, 0x30, 5, 6, 3, 0x2b, 0x65, 0x70, 3, 0x21, 0)

/** A seed, 32 B, as PKCS#8 (§7). The caller wipes it. */
export function encodePkcs8(seed: Uint8Array): Uint8Array<ArrayBuffer> {
  return concat(pkcs8Header, seed)
}

/** A public key, 32 B, as SubjectPublicKeyInfo (§4). */
export function encodeSpki(publicKey: Uint8Array): Uint8Array<ArrayBuffer> {
  return concat(spkiHeader, publicKey)
}
