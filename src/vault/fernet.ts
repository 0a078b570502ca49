import { decryptCbc, encryptCbc, importCipherKey, importMacKey, mac, verifyMac } from "#engine"
import { encodePaddedBase64url, parsePaddedBase64url } from "../encoding/base64.ts"
import { demandMemory } from "../encoding/memory.ts"
import { AppError } from "../errors.ts"
import type { CipherKey, MacKey } from "./engine.ts"

/** A Fernet key, taken in: ready for any number of tokens. Opaque, and not to be written out again. */
export interface FernetKey {
  readonly signing: MacKey
  readonly encryption: CipherKey
}

const version = 0x80
const headerBytes = 25
const tagBytes = 32
const clockSkewSeconds = 60

/** A fresh Fernet key: 32 bytes of the platform's cryptographic randomness. */
export function generateKey(): Uint8Array<ArrayBuffer> {
  return crypto.getRandomValues(new Uint8Array(32))
}

/** Takes in a Fernet key.
 * @param bytes 32 B: 16 B that sign, then 16 B that encrypt; not wiped here.
 * @throws      BAD_INPUT_FORMAT unless there are 32 bytes. */
export async function importKey(bytes: Uint8Array): Promise<FernetKey> {
  if (bytes.length !== 32) throw new AppError("BAD_INPUT_FORMAT", "A Fernet key has 32 bytes. Copy it again, whole.")
  const own = bytes as Uint8Array<ArrayBuffer>
  const signing = importMacKey(own.subarray(0, 16))
  const encryption = importCipherKey(own.subarray(16))
  return { signing: await signing, encryption: await encryption }
}

/** Encrypts a message.
 * @param message     any number of bytes.
 * @param options.now milliseconds since 1970, whose whole seconds the token carries in plain; the clock, if left out.
 * @param options.iv  16 B, for published vectors alone; fresh randomness, if left out.
 * @returns           a token: version 0x80, u64be seconds, 16 B IV, ciphertext, 32 B HMAC over all before it.
 * @throws            BAD_INPUT_FORMAT for a time before 1970 or another length of IV.
 * Format: docs/formats/token.md · Source: github.com/fernet/spec */
export async function encrypt(
  key: FernetKey,
  message: Uint8Array,
  options: { readonly now?: number; readonly iv?: Uint8Array } = {},
): Promise<Uint8Array<ArrayBuffer>> {
  const seconds = Math.floor((options.now ?? Date.now()) / 1000)
  if (!Number.isSafeInteger(seconds) || seconds < 0) throw new AppError("BAD_INPUT_FORMAT")
  if (options.iv && options.iv.length !== 16) throw new AppError("BAD_INPUT_FORMAT")
  const end = headerBytes + message.length - (message.length % 16) + 16
  const token = new Uint8Array(end + tagBytes)
  token[0] = version
  const view = new DataView(token.buffer)
  view.setUint32(1, Math.floor(seconds / 2 ** 32))
  view.setUint32(5, seconds >>> 0)
  const iv = token.subarray(9, headerBytes)
  if (options.iv) iv.set(options.iv)
  else crypto.getRandomValues(iv)
  await encryptCbc(key.encryption, iv, message as Uint8Array<ArrayBuffer>, token.subarray(headerBytes, end))
  token.set(await mac(key.signing, token.subarray(0, end)), end)
  return token
}

/** Decrypts a token. The HMAC is checked first, in constant time, over whatever the token claims to be.
 * @param options.ttlSeconds how long a token is good for; left out, for ever. With it, a token of more than 60 s in the future
 *                           is refused too.
 * @param options.now        milliseconds since 1970; the clock, if left out.
 * @returns                  the message.
 * @throws                   CANNOT_OPEN, and nothing more is said, for every failure.
 * Format: docs/formats/token.md · Source: github.com/fernet/spec */
export async function decrypt(
  key: FernetKey,
  token: Uint8Array,
  options: { readonly ttlSeconds?: number; readonly now?: number } = {},
): Promise<Uint8Array<ArrayBuffer>> {
  const own = token as Uint8Array<ArrayBuffer>
  const end = own.length - tagBytes
  if (end < headerBytes + 16) throw new AppError("CANNOT_OPEN")
  if (!(await verifyMac(key.signing, own.subarray(0, end), own.subarray(end)))) throw new AppError("CANNOT_OPEN")
  if (own[0] !== version || (end - headerBytes) % 16 !== 0) throw new AppError("CANNOT_OPEN")
  if (options.ttlSeconds !== undefined) checkTime(own, options.ttlSeconds, options.now ?? Date.now())
  try {
    return await decryptCbc(key.encryption, own.subarray(9, headerBytes), own.subarray(headerBytes, end))
  } catch (cause) {
    demandMemory(cause)
    throw new AppError("CANNOT_OPEN")
  }
}

function checkTime(token: Uint8Array<ArrayBuffer>, ttlSeconds: number, now: number): void {
  const made = new DataView(token.buffer, token.byteOffset).getBigUint64(1)
  const nowSeconds = Math.floor(now / 1000)
  const ageSeconds = nowSeconds - Number(made)
  if (!(ageSeconds <= ttlSeconds && ageSeconds >= -clockSkewSeconds)) throw new AppError("CANNOT_OPEN")
}

/** A token as padded base64url text, as people and other programs exchange it. */
export function encodeToken(token: Uint8Array): string {
  return encodePaddedBase64url(token)
}

/** Reads a token's text; what it holds is not checked. @throws BAD_INPUT_FORMAT unless it is padded, canonical base64url. */
export function parseToken(text: string): Uint8Array<ArrayBuffer> {
  return parsePaddedBase64url(text)
}

/** A key's 32 bytes as padded base64url text, 44 characters. */
export function encodeKey(bytes: Uint8Array): string {
  return encodePaddedBase64url(bytes)
}

/** Reads a key's text. @throws BAD_INPUT_FORMAT unless it is padded, canonical base64url of 32 bytes. */
export function parseKey(text: string): Uint8Array<ArrayBuffer> {
  const bytes = parsePaddedBase64url(text)
  if (bytes.length !== 32)
    throw new AppError("BAD_INPUT_FORMAT", "A Fernet key has 44 characters. Copy it again, whole.")
  return bytes
}
