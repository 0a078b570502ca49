import { importSigningKey } from "#engine"
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

/** Takes in an Ed25519 seed (RFC 8032 §5.1.5), 32 B. */
export async function importSigner(seed: SecretKey): Promise<Signer> {
  const key = await importSigningKey(seed)
  return {
    publicKey: key.publicKey,
    sign: async (label, bytes) => key.sign(signedBytes(label, bytes)),
  }
}
