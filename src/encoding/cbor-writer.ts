import { compare, utf8 } from "./bytes.ts"

const unsigned = 0
const byteString = 2
const textString = 3
const array = 4
const map = 5
const no = 0xf4
const yes = 0xf5
const shortText = 64

/** Writes deterministic CBOR (RFC 8949 §4.2.1): shortest heads, definite lengths, keys sorted by their encoded bytes.
 * @throws TypeError for anything but text, booleans, integers from 0 to 2^53 - 1, bytes, arrays and plain objects of these. */
export class CborWriter {
  #bytes = new Uint8Array(512)
  #at = 0

  finish(): Uint8Array<ArrayBuffer> {
    return this.#bytes.slice(0, this.#at)
  }

  write(value: unknown): void {
    if (typeof value === "string") this.#text(value)
    else if (typeof value === "number") this.#number(value)
    else if (typeof value === "boolean") this.#byte(value ? yes : no)
    else if (value instanceof Uint8Array) this.#string(byteString, value)
    else if (Array.isArray(value)) {
      this.#head(array, value.length)
      for (const item of value) this.write(item)
    } else if (typeof value === "object" && value !== null) this.#map(value as Record<string, unknown>)
    else throw new TypeError("a type that statements do not have")
  }

  #number(value: number): void {
    if (!Number.isSafeInteger(value) || value < 0 || Object.is(value, -0))
      throw new TypeError("not an unsigned integer")
    this.#head(unsigned, value)
  }

  #map(value: Record<string, unknown>): void {
    const keys = Object.keys(value)
    const sorted = keys.every(isAscii) ? keys.sort(inAsciiOrder) : keys.sort(inByteOrder)
    this.#head(map, sorted.length)
    for (const key of sorted) {
      this.#text(key)
      this.write(value[key])
    }
  }

  /** Short ASCII, which is most of it, without a call to the encoder. */
  #text(text: string): void {
    if (text.length > shortText || !isAscii(text)) this.#string(textString, utf8(text))
    else {
      this.#head(textString, text.length)
      this.#room(text.length)
      for (let i = 0; i < text.length; i++) this.#bytes[this.#at++] = text.charCodeAt(i)
    }
  }

  #string(major: number, bytes: Uint8Array): void {
    this.#head(major, bytes.length)
    this.#room(bytes.length)
    this.#bytes.set(bytes, this.#at)
    this.#at += bytes.length
  }

  #head(major: number, value: number): void {
    const type = major << 5
    this.#room(9)
    if (value < 24) {
      this.#bytes[this.#at++] = type | value
      return
    }
    const [info, size] = value < 0x100 ? [24, 1] : value < 0x10000 ? [25, 2] : value < 0x100000000 ? [26, 4] : [27, 8]
    this.#bytes[this.#at++] = type | info
    let rest = value
    for (let i = size - 1; i >= 0; i--) {
      this.#bytes[this.#at + i] = rest % 0x100
      rest = Math.floor(rest / 0x100)
    }
    this.#at += size
  }

  #byte(value: number): void {
    this.#room(1)
    this.#bytes[this.#at++] = value
  }

  #room(size: number): void {
    if (this.#at + size <= this.#bytes.length) return
    const larger = new Uint8Array(Math.max(this.#bytes.length * 2, this.#at + size))
    larger.set(this.#bytes.subarray(0, this.#at))
    this.#bytes = larger
  }
}

function isAscii(text: string): boolean {
  for (let i = 0; i < text.length; i++) if (text.charCodeAt(i) > 0x7f) return false
  return true
}

/** A key's head holds its length, so the shorter one comes first. */
function inAsciiOrder(a: string, b: string): number {
  return a.length - b.length || (a < b ? -1 : 1)
}

function inByteOrder(a: string, b: string): number {
  const [x, y] = [utf8(a), utf8(b)]
  return x.length - y.length || compare(x, y)
}
