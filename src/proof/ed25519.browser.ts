/** Whether a signature verifies, by WebCrypto. @param publicKey 32 B @param signature 64 B */
export async function verify(publicKey: Uint8Array, message: Uint8Array, signature: Uint8Array): Promise<boolean> {
  const plain = (bytes: Uint8Array) => bytes as Uint8Array<ArrayBuffer>
  try {
    const key = await crypto.subtle.importKey("raw", plain(publicKey), "Ed25519", false, ["verify"])
    return await crypto.subtle.verify("Ed25519", key, plain(signature), plain(message))
  } catch {
    return false
  }
}
