import { AEAD_AES_256_GCM, CipherSuite, KDF_HKDF_SHA256 } from "hpke"
import { xwing } from "#xwing"

/** An X-Wing key pair: what others will seal grants to. Both parts are kept: no call leads from the seed to the public key. */
export interface SealingKeys {
  /** 32 B, secret */
  readonly seed: Uint8Array
  /** 1,216 B: ML-KEM-768 and X25519 */
  readonly publicKey: Uint8Array
}

/** Fresh X-Wing keys (KEM 0x647a). Source: draft-connolly-cfrg-xwing-kem */
export async function newSealingKeys(): Promise<SealingKeys> {
  const suite = new CipherSuite(xwing, KDF_HKDF_SHA256, AEAD_AES_256_GCM)
  const pair = await suite.GenerateKeyPair(true)
  return {
    seed: await suite.SerializePrivateKey(pair.privateKey),
    publicKey: await suite.SerializePublicKey(pair.publicKey),
  }
}
