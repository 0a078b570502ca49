/** Concatenates byte strings. */
export function concat(...parts: readonly Uint8Array[]): Uint8Array<ArrayBuffer> {
  return concatAll(parts)
}

/** The same of a list, however long: a call takes about 100,000 arguments. */
export function concatAll(parts: readonly Uint8Array[]): Uint8Array<ArrayBuffer> {
  const out = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0))
  let at = 0
  for (const part of parts) {
    out.set(part, at)
    at += part.length
  }
  return out
}

/** Compares two byte strings. Not constant-time: for public values only. */
export function equal(a: Uint8Array, b: Uint8Array): boolean {
  if (a.length !== b.length) return false
  for (let i = 0; i < a.length; i++) if (a[i] !== b[i]) return false
  return true
}

/** Orders byte strings as unsigned bytes, the shorter first where one begins the other. */
export function compare(a: Uint8Array, b: Uint8Array): number {
  const shared = Math.min(a.length, b.length)
  for (let i = 0; i < shared; i++) if (a[i] !== b[i]) return a[i]! - b[i]!
  return a.length - b.length
}

/** The first six bytes as a number: orders and finds byte strings faster, most of which differ there. */
export function firstSix(bytes: Uint8Array): number {
  let number = 0
  for (let i = 0; i < 6; i++) number = number * 256 + bytes[i]!
  return number
}

const encoder = new TextEncoder()
const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true })

/** Text as UTF-8 bytes. */
export function utf8(text: string): Uint8Array<ArrayBuffer> {
  return encoder.encode(text)
}

/** UTF-8 bytes as text; throws TypeError on invalid UTF-8. */
export function parseUtf8(bytes: Uint8Array): string {
  return decoder.decode(bytes)
}

/** Two lower-case digits a byte. */
export function encodeHex(bytes: Uint8Array): string {
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("")
}

/** A whole number as 4 bytes, big-endian. */
export function u32be(value: number): Uint8Array<ArrayBuffer> {
  const out = new Uint8Array(4)
  new DataView(out.buffer).setUint32(0, value)
  return out
}

/** A whole number from 0 to 2^53 - 1 as 8 bytes, big-endian. */
export function u64be(value: number): Uint8Array<ArrayBuffer> {
  const out = new Uint8Array(8)
  putU64(new DataView(out.buffer), 0, value)
  return out
}

/** Writes a whole number from 0 to 2^53 - 1 as 8 bytes, big-endian. */
export function putU64(view: DataView, at: number, value: number): void {
  if (!Number.isSafeInteger(value) || value < 0) throw new RangeError("not an unsigned integer")
  view.setUint32(at, Math.floor(value / 2 ** 32))
  view.setUint32(at + 4, value >>> 0)
}
