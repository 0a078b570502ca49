import { AppError } from "../errors.ts"

const alphabets = {
  base64: "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/",
  base64url: "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_",
} as const
const inAlphabet = { base64: /^[A-Za-z0-9+/]*$/, base64url: /^[A-Za-z0-9_-]*$/ } as const
/** What each character stands for, by its code; -1 for none. */
const valuesOf = { base64: valuesIn(alphabets.base64), base64url: valuesIn(alphabets.base64url) } as const
/** Up to here a loop is faster than the platform's own: ids, hashes and keys are short, and there are many. */
const shortText = 128
const chunk = 0x8000
const hasNative = "fromBase64" in Uint8Array

interface NativeBase64 {
  toBase64(options: { alphabet: "base64" | "base64url"; omitPadding: boolean }): string
}
interface NativeFromBase64 {
  fromBase64(
    text: string,
    options: { alphabet: "base64" | "base64url"; lastChunkHandling: "strict" },
  ): Uint8Array<ArrayBuffer>
}

/** Standard base64 with padding (RFC 4648 §4). */
export function encodeBase64(bytes: Uint8Array): string {
  const native = bytes as unknown as Partial<NativeBase64>
  if (native.toBase64) return native.toBase64({ alphabet: "base64", omitPadding: false })
  if (typeof Buffer === "function") return inNode(bytes).toString("base64")
  let binary = ""
  for (let i = 0; i < bytes.length; i += chunk) binary += String.fromCharCode(...bytes.subarray(i, i + chunk))
  return btoa(binary)
}

/** base64url without padding (RFC 4648 §5): ids and everything that travels in JSON. */
export function encodeBase64url(bytes: Uint8Array): string {
  const native = bytes as unknown as Partial<NativeBase64>
  if (native.toBase64) return native.toBase64({ alphabet: "base64url", omitPadding: true })
  if (typeof Buffer === "function") return inNode(bytes).toString("base64url")
  return encodePaddedBase64url(bytes).replace(/=+$/, "")
}

/** base64url with padding: a Fernet token or key for people and for other programs. */
export function encodePaddedBase64url(bytes: Uint8Array): string {
  return encodeBase64(bytes).replaceAll("+", "-").replaceAll("/", "_")
}

/** Reads standard, padded base64. @throws BAD_INPUT_FORMAT unless it is the one canonical spelling. */
export function parseBase64(text: string): Uint8Array<ArrayBuffer> {
  return parse(withoutPadding(text), "base64")
}

/** Reads unpadded base64url. @throws BAD_INPUT_FORMAT unless it is the one canonical spelling. */
export function parseBase64url(text: string): Uint8Array<ArrayBuffer> {
  return parse(text, "base64url")
}

/** Reads padded base64url. @throws BAD_INPUT_FORMAT unless it is the one canonical spelling. */
export function parsePaddedBase64url(text: string): Uint8Array<ArrayBuffer> {
  return parse(withoutPadding(text), "base64url")
}

function withoutPadding(text: string): string {
  if (text.length % 4 !== 0) throw malformed()
  return text.slice(0, text.length - (text.endsWith("==") ? 2 : text.endsWith("=") ? 1 : 0))
}

/** @param text without padding */
function parse(text: string, alphabet: "base64" | "base64url"): Uint8Array<ArrayBuffer> {
  if (text.length % 4 === 1) throw malformed()
  const out = new Uint8Array((text.length * 3) >> 2)
  if (text.length > shortText && (hasNative || typeof Buffer === "function")) return parseLong(text, alphabet, out)
  const values = valuesOf[alphabet]
  let bits = 0
  let held = 0
  let at = 0
  for (let i = 0; i < text.length; i++) {
    const value = values[text.charCodeAt(i)]
    if (value === undefined || value < 0) throw malformed()
    bits = ((bits << 6) | value) & 0xffff
    held += 6
    if (held >= 8) {
      held -= 8
      out[at++] = (bits >> held) & 0xff
    }
  }
  if ((bits & ((1 << held) - 1)) !== 0) throw malformed()
  return out
}

/** The same by the platform's own, which forgives more: the text is looked at first. Node 24 has none on Uint8Array yet; its Buffer is as
 * fast, and does not see whether a bit is set behind the last byte. */
function parseLong(text: string, alphabet: "base64" | "base64url", out: Uint8Array<ArrayBuffer>): typeof out {
  if (!inAlphabet[alphabet].test(text)) throw malformed()
  if (hasNative)
    try {
      const native = Uint8Array as unknown as NativeFromBase64
      const padded = text + "=".repeat((4 - (text.length % 4)) % 4)
      return native.fromBase64(padded, { alphabet, lastChunkHandling: "strict" })
    } catch {
      throw malformed()
    }
  const spare = (text.length * 6) % 8
  const last = valuesOf[alphabet][text.charCodeAt(text.length - 1)]!
  if ((last & ((1 << spare) - 1)) !== 0 || inNode(out).write(text, alphabet) !== out.length) throw malformed()
  return out
}

function valuesIn(alphabet: string): Int8Array {
  const values = new Int8Array(128).fill(-1)
  for (const [value, letter] of [...alphabet].entries()) values[letter.charCodeAt(0)] = value
  return values
}

function inNode(bytes: Uint8Array): Buffer {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length)
}

function malformed(): AppError {
  return new AppError("BAD_INPUT_FORMAT", "This is not valid base64. Copy it again, whole.")
}
