/** What Fernet needs of a platform. `engine.node.ts` and `engine.browser.ts` export exactly these functions; the `#engine`
 * import of package.json chooses. Node answers at once, a browser with promises: callers await either. */
export interface Engine {
  /** Takes in an HMAC-SHA256 key of one byte or more. */
  importMacKey(bytes: Uint8Array<ArrayBuffer>): MacKey | Promise<MacKey>
  /** Takes in an AES-128 key, 16 B. */
  importCipherKey(bytes: Uint8Array<ArrayBuffer>): CipherKey | Promise<CipherKey>
  /** HMAC-SHA256, 32 B. Source: RFC 2104 */
  mac(key: MacKey, message: Uint8Array<ArrayBuffer>): Uint8Array<ArrayBuffer> | Promise<Uint8Array<ArrayBuffer>>
  /** Whether `tag` (32 B) is the message's HMAC-SHA256, compared in constant time. */
  verifyMac(key: MacKey, message: Uint8Array<ArrayBuffer>, tag: Uint8Array<ArrayBuffer>): boolean | Promise<boolean>
  /** AES-128-CBC with PKCS#7 padding into `target`, whose length is that of the ciphertext. `iv` is 16 B. */
  encryptCbc(
    key: CipherKey,
    iv: Uint8Array<ArrayBuffer>,
    message: Uint8Array<ArrayBuffer>,
    target: Uint8Array<ArrayBuffer>,
  ): void | Promise<void>
  /** The message; rejects or throws on bad padding or length. Only for ciphertext whose HMAC has been verified. */
  decryptCbc(
    key: CipherKey,
    iv: Uint8Array<ArrayBuffer>,
    ciphertext: Uint8Array<ArrayBuffer>,
  ): Uint8Array<ArrayBuffer> | Promise<Uint8Array<ArrayBuffer>>
  /** Takes in an Ed25519 seed, 32 B, which is not kept: the key signs and cannot be read out. */
  importSigningKey(seed: Uint8Array<ArrayBuffer>): SigningKey | Promise<SigningKey>
}

/** An Ed25519 key that is ready to sign. */
export interface SigningKey {
  /** 32 B */
  readonly publicKey: Uint8Array
  /** 64 B. Source: RFC 8032 */
  sign(message: Uint8Array<ArrayBuffer>): Uint8Array<ArrayBuffer> | Promise<Uint8Array<ArrayBuffer>>
}

declare const kind: unique symbol

/** An imported HMAC key; opaque. */
export interface MacKey {
  readonly [kind]: "mac"
}

/** An imported AES key; opaque. */
export interface CipherKey {
  readonly [kind]: "cipher"
}
