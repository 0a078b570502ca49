import { parseBase64url } from "../encoding/base64.ts"
import { concat } from "../encoding/bytes.ts"
import { type SignatureLabel, signedBytes } from "../proof/signature.ts"
import type { SecretKey } from "./keys.ts"

export type SigningSeed = SecretKey<"signing">

/** An Ed25519 key that is ready to sign; the private part cannot be read out of it. */
export interface Signer {
  /** 32 B */
  readonly publicKey: Uint8Array
  /** 64 B over utf8("healthcrypt/v1/" ‖ label) ‖ 0x00 ‖ bytes. */
  sign(label: SignatureLabel, bytes: Uint8Array): Promise<Uint8Array<ArrayBuffer>>
}

/** What stands before a seed in PKCS#8 (RFC 8410 §7): WebCrypto takes no raw seed. */
const pkcs8Header = Uint8Array.of(0x30, 0x2e, 2, 1, 0, 0x30, 5, 6, 3, 0x2b, 0x65, 0x70, 4, 0x22, 4, 0x20)

/** Takes in an Ed25519 seed (RFC 8032 §5.1.5), 32 B. */
export async function importSigner(seed: SecretKey): Promise<Signer> {
  const pkcs8 = concat(pkcs8Header, seed)
  const readable = await crypto.subtle.importKey("pkcs8", pkcs8, "Ed25519", true, ["sign"])
  const { x } = await crypto.subtle.exportKey("jwk", readable)
  const key = await crypto.subtle.importKey("pkcs8", pkcs8, "Ed25519", false, ["sign"])
  pkcs8.fill(0)
  return {
    publicKey: parseBase64url(x ?? ""),
    sign: async (label, bytes) => new Uint8Array(await crypto.subtle.sign("Ed25519", key, signedBytes(label, bytes))),
  }
}
