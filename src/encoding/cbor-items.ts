import { AppError } from "../errors.ts"
import { limits } from "./limits.ts"

/** So many maps and arrays may lie in each other. */
const cborDepth = 16

/** Goes over deterministic CBOR item by item and builds nothing: of a text or bytes it gives the place, of an array or map the number
 * of what follows. It counts, and stops at the first item that is one too many.
 * @throws BAD_INPUT_SIZE for too many items, BAD_INPUT_FORMAT for everything that our CBOR does not have. */
export class CborItems {
  readonly #bytes: Uint8Array
  readonly #most: number
  #count = 0
  /** Where the next item begins. */
  at = 0

  constructor(bytes: Uint8Array, most: number = limits.cborItems) {
    this.#bytes = bytes
    this.#most = most
  }

  /** How many items were read. */
  get count(): number {
    return this.#count
  }

  get ended(): boolean {
    return this.at === this.#bytes.length
  }

  /** The major type of the next item, 0 to 7. */
  get kind(): number {
    return this.#byte(this.at) >> 5
  }

  /** Reads one item's head: its value, or its length. A text's or bytes' content comes next, and `at` stands there. */
  head(kind: number): number {
    const first = this.#byte(this.at)
    if (first >> 5 !== kind) throw malformed()
    if (this.#count === this.#most) throw new AppError("BAD_INPUT_SIZE")
    this.#count++
    this.at++
    const short = first & 31
    if (short < 24) return short
    if (short > 27) throw malformed()
    const size = 1 << (short - 24)
    let value = 0
    for (let i = 0; i < size; i++) value = value * 256 + this.#byte(this.at + i)
    // The shortest of all ways to write a number, and none that JavaScript would round.
    const least = size === 1 ? 24 : 256 ** (size / 2)
    if (value < least || value > Number.MAX_SAFE_INTEGER) throw malformed()
    this.at += size
    return value
  }

  /** Reads a text (3) or bytes (2). @returns where its content begins; it ends where `at` stands then */
  span(kind: 2 | 3): number {
    const length = this.head(kind)
    const start = this.at
    if (length > this.#bytes.length - start) throw malformed()
    this.at = start + length
    return start
  }

  /** Reads a true or a false. */
  truth(): boolean {
    const value = this.head(7)
    if (value !== 20 && value !== 21) throw malformed()
    return value === 21
  }

  /** Passes over one item with all that lies in it. */
  skip(): void {
    const left = new Float64Array(cborDepth)
    let depth = 0
    for (;;) {
      const { kind } = this
      if (kind === 4 || kind === 5) {
        if (depth === cborDepth) throw malformed()
        left[depth++] = this.head(kind) * (kind - 3)
      } else if (kind === 2 || kind === 3) this.span(kind)
      else if (kind === 0) this.head(0)
      else this.truth()
      while (depth > 0 && left[depth - 1] === 0) depth--
      if (depth === 0) return
      left[depth - 1]!--
    }
  }

  #byte(at: number): number {
    const byte = this.#bytes[at]
    if (byte === undefined) throw malformed()
    return byte
  }
}

/** How many items CBOR text has, found before any of it is built.
 * @throws BAD_INPUT_SIZE above `most`, BAD_INPUT_FORMAT where it is cut, nested too deep, or of types that we do not write */
export function countCbor(bytes: Uint8Array, most: number = limits.cborItems): number {
  const items = new CborItems(bytes, most)
  items.skip()
  if (!items.ended) throw malformed()
  return items.count
}

function malformed(): AppError {
  return new AppError("BAD_INPUT_FORMAT")
}
