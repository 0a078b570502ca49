/** Public keys as this platform takes them in, by the very bytes that they were given as. */
const keys = new WeakMap<Uint8Array, CryptoKey>()

/** Whether a signature verifies, by WebCrypto. @param publicKey 32 B, not written to afterwards @param signature 64 B */
export async function verify(publicKey: Uint8Array, message: Uint8Array, signature: Uint8Array): Promise<boolean> {
  const plain = (bytes: Uint8Array) => bytes as Uint8Array<ArrayBuffer>
  try {
    const key =
      keys.get(publicKey) ?? (await crypto.subtle.importKey("raw", plain(publicKey), "Ed25519", false, ["verify"]))
    keys.set(publicKey, key)
    return await crypto.subtle.verify("Ed25519", key, plain(signature), plain(message))
  } catch {
    return false
  }
}
