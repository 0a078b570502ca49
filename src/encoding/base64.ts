import { AppError } from "../errors.ts"

const alphabets = {
  base64: "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/",
  base64url: "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_",
} as const
const chunk = 0x8000

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
  let binary = ""
  for (let i = 0; i < bytes.length; i += chunk) binary += String.fromCharCode(...bytes.subarray(i, i + chunk))
  return btoa(binary)
}

/** base64url without padding (RFC 4648 §5): ids and everything that travels in JSON. */
export function encodeBase64url(bytes: Uint8Array): string {
  return encodePaddedBase64url(bytes).replace(/=+$/, "")
}

/** base64url with padding: a Fernet token or key for people and for other programs. */
export function encodePaddedBase64url(bytes: Uint8Array): string {
  return encodeBase64(bytes).replaceAll("+", "-").replaceAll("/", "_")
}

/** Reads standard, padded base64. @throws BAD_INPUT_FORMAT unless it is the one canonical spelling. */
export function parseBase64(text: string): Uint8Array<ArrayBuffer> {
  return parse(text, "base64")
}

/** Reads unpadded base64url. @throws BAD_INPUT_FORMAT unless it is the one canonical spelling. */
export function parseBase64url(text: string): Uint8Array<ArrayBuffer> {
  if (text.length % 4 === 1 || text.includes("=")) throw malformed()
  return parse(text + "=".repeat((4 - (text.length % 4)) % 4), "base64url")
}

/** Reads padded base64url. @throws BAD_INPUT_FORMAT unless it is the one canonical spelling. */
export function parsePaddedBase64url(text: string): Uint8Array<ArrayBuffer> {
  return parse(text, "base64url")
}

function parse(text: string, alphabet: "base64" | "base64url"): Uint8Array<ArrayBuffer> {
  if (text.length % 4 !== 0 || /\s/.test(text)) throw malformed()
  const native = Uint8Array as unknown as Partial<NativeFromBase64>
  if (native.fromBase64) {
    try {
      return native.fromBase64(text, { alphabet, lastChunkHandling: "strict" })
    } catch {
      throw malformed()
    }
  }
  const padding = text.endsWith("==") ? 2 : text.endsWith("=") ? 1 : 0
  const out = new Uint8Array((text.length / 4) * 3 - padding)
  let bits = 0
  let held = 0
  let at = 0
  for (let i = 0; i < text.length - padding; i++) {
    const value = alphabets[alphabet].indexOf(text[i]!)
    if (value < 0) throw malformed()
    bits = (bits << 6) | value
    held += 6
    if (held >= 8) {
      held -= 8
      out[at++] = (bits >> held) & 0xff
    }
  }
  if ((bits & ((1 << held) - 1)) !== 0) throw malformed()
  return out
}

function malformed(): AppError {
  return new AppError("BAD_INPUT_FORMAT", "This is not valid base64. Copy it again, whole.")
}
