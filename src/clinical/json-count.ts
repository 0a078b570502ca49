import { parseUtf8 } from "../encoding/bytes.ts"
import { limits } from "../encoding/limits.ts"
import { AppError } from "../errors.ts"
import { hexDigit, JsonNames } from "./json-names.ts"

const none = new Uint8Array(0)
const quote = 0x22
const backslash = 0x5c
const typeName = "resourceType"
const longestType = 1000

/** Bytes that stand for themselves in a text: neither quote nor backslash nor control character, and ASCII. */
const plain = Uint8Array.from({ length: 256 }, (_, c) =>
  Number(c >= 0x20 && c < 0x80 && c !== quote && c !== backslash),
)
const space = Uint8Array.from({ length: 256 }, (_, c) => Number(c === 0x20 || c === 0x0a || c === 0x0d || c === 0x09))

/** What may follow a number of one digit, which is most of them where there are many. */
const isAfter = Uint8Array.from({ length: 256 }, (_, c) => Number(c === 0x2c || c === 0x5d || c === 0x7d))

/** Counts the nodes of JSON text, which lies as UTF-8 in bytes[start, end), and checks it as strictly as `scanJson` does (RFC 8259, no name
 * twice in one object), without building anything of it. A node is every value: object, array, text, number, true, false, null. A member's
 * name is none. Depth counts the objects and arrays that a value lies in.
 * @param mostNodes nodes, `maxDepth` containers in each other
 * @returns nodes, and the text's `resourceType`: `null` where there is none, or the text is no object
 * @throws BAD_INPUT_SIZE at the first node that is one too many; BAD_INPUT_FORMAT for what is no JSON, or nested too deep */
export function countJson(
  bytes: Uint8Array,
  start: number,
  end: number,
  mostNodes: number = limits.resourceNodes,
  maxDepth: number = limits.jsonDepth,
): Counted {
  return counter.count(bytes, start, end, mostNodes, maxDepth)
}

interface Counted {
  readonly nodes: number
  readonly type: string | null
}

class JsonCounter {
  readonly #names = new JsonNames()
  /** Of each container that is open: −1 for an array, else what ends the object's names. */
  readonly #open = new Int32Array(256)
  #bytes: Uint8Array = none
  #at = 0
  #end = 0
  #nodes = 0
  #escaped = false
  #typeStart = 0
  #typeEnd = 0

  count(bytes: Uint8Array, start: number, end: number, mostNodes: number, maxDepth: number): Counted {
    this.#bytes = bytes
    this.#at = start
    this.#end = end
    this.#nodes = 0
    this.#typeStart = 0
    this.#typeEnd = 0
    if (bytes[start] === 0xef && bytes[start + 1] === 0xbb && bytes[start + 2] === 0xbf && start + 3 <= end)
      this.#at += 3
    try {
      this.#document(mostNodes, Math.min(maxDepth, this.#open.length))
      return { nodes: this.#nodes, type: this.#type() }
    } catch (error) {
      this.#names.clear()
      throw error
    } finally {
      this.#bytes = none
      this.#names.rest()
    }
  }

  #document(mostNodes: number, maxDepth: number): void {
    const open = this.#open
    const bytes = this.#bytes
    const end = this.#end
    let depth = 0
    let nodes = 0
    this.#space()
    value: for (;;) {
      // A value begins here.
      if (nodes === mostNodes) throw new AppError("BAD_INPUT_SIZE")
      nodes++
      const code = this.#next()
      if (code >= 0x30 && code <= 0x39 && this.#at + 1 < end && isAfter[bytes[this.#at + 1]!] === 1) this.#at++
      else if (code === quote) this.#string()
      else if (code === 0x7b || code === 0x5b) {
        if (depth === maxDepth) throw malformed()
        this.#at++
        this.#space()
        if (this.#next() === code + 2) this.#at++
        else {
          open[depth++] = code === 0x7b ? this.#names.open() : -1
          if (code === 0x7b) this.#name(depth)
          continue
        }
      } else if (code === 0x2d || (code >= 0x30 && code <= 0x39)) this.#number()
      else this.#word(code)
      // And ended: what follows belongs to what it lies in.
      for (;;) {
        if (this.#at < end && space[bytes[this.#at]!] === 1) this.#space()
        if (depth === 0) {
          if (this.#at < end) throw malformed()
          this.#nodes = nodes
          return
        }
        const mark = open[depth - 1]!
        const next = this.#next()
        this.#at++
        if (next === 0x2c) {
          if (this.#at < end && space[bytes[this.#at]!] === 1) this.#space()
          if (mark >= 0) this.#name(depth)
          continue value
        }
        if (next !== (mark < 0 ? 0x5d : 0x7d)) throw malformed()
        if (mark >= 0) this.#names.close(mark)
        depth--
      }
    }
  }

  /** A name, its colon, and what stands before the value. */
  #name(depth: number): void {
    if (this.#next() !== quote) throw malformed()
    const start = this.#at + 1
    this.#string()
    const end = this.#at - 1
    if (!this.#names.add(this.#bytes, start, end, this.#escaped)) throw malformed()
    const names = depth === 1 && (this.#escaped || end - start === typeName.length)
    const isType = names && decode(this.#bytes, start, end, this.#escaped) === typeName
    this.#space()
    if (this.#next() !== 0x3a) throw malformed()
    this.#at++
    this.#space()
    if (!isType || this.#next() !== quote) return
    // The value is read once more as what it is, by who counts it.
    const value = this.#at
    this.#string()
    this.#typeStart = value + 1
    this.#typeEnd = this.#at - 1
    this.#at = value
  }

  #type(): string | null {
    const [start, end] = [this.#typeStart, this.#typeEnd]
    return start === 0 || end - start > longestType ? null : decode(this.#bytes, start, end, true)
  }

  #string(): void {
    const bytes = this.#bytes
    const end = this.#end
    let at = this.#at + 1
    this.#escaped = false
    for (;;) {
      while (at < end && plain[bytes[at]!] === 1) at++
      if (at >= end) throw malformed()
      const code = bytes[at]!
      if (code === quote) break
      if (code === backslash) {
        this.#escaped = true
        const kind = at + 1 < end ? bytes[at + 1]! : 0
        if (kind === 0x75) {
          if (at + 6 > end) throw malformed()
          for (let i = at + 2; i < at + 6; i++) if (hexDigit(bytes[i]!) < 0) throw malformed()
          at += 6
        } else if (escapes[kind] === 1) at += 2
        else throw malformed()
      } else if (code < 0x20) throw malformed()
      else at += utf8Length(bytes, at, end)
    }
    this.#at = at + 1
  }

  #number(): void {
    if (this.#next() === 0x2d) this.#at++
    if (this.#next() === 0x30) this.#at++
    else this.#digits()
    if (this.#next() === 0x2e) {
      this.#at++
      this.#digits()
    }
    if ((this.#next() | 0x20) !== 0x65) return
    this.#at++
    const sign = this.#next()
    if (sign === 0x2b || sign === 0x2d) this.#at++
    this.#digits()
  }

  #digits(): void {
    const start = this.#at
    for (let code = this.#next(); code >= 0x30 && code <= 0x39; code = this.#next()) this.#at++
    if (this.#at === start) throw malformed()
  }

  #word(first: number): void {
    const word = first === 0x74 ? words.true : first === 0x66 ? words.false : words.null
    for (const code of word) {
      if (this.#next() !== code) throw malformed()
      this.#at++
    }
  }

  #space(): void {
    while (this.#at < this.#end && space[this.#bytes[this.#at]!] === 1) this.#at++
  }

  /** The byte that stands here, or 0 behind the end. */
  #next(): number {
    return this.#at < this.#end ? this.#bytes[this.#at]! : 0
  }
}

/** One at a time is counted, and nothing is asked meanwhile: making it costs more than most texts. */
const counter = new JsonCounter()

const escapes = new Uint8Array(256)
for (const one of '"\\/bfnrt') escapes[one.charCodeAt(0)] = 1

const words = {
  true: [0x74, 0x72, 0x75, 0x65],
  false: [0x66, 0x61, 0x6c, 0x73, 0x65],
  null: [0x6e, 0x75, 0x6c, 0x6c],
} as const

/** How many bytes a character beyond ASCII has. @throws BAD_INPUT_FORMAT for what is no UTF-8 (RFC 3629) */
function utf8Length(bytes: Uint8Array, at: number, end: number): number {
  const first = bytes[at]!
  const length = first < 0xe0 ? 2 : first < 0xf0 ? 3 : 4
  if (first < 0xc2 || first > 0xf4 || at + length > end) throw malformed()
  const second = bytes[at + 1]!
  const least = first === 0xe0 ? 0xa0 : first === 0xf0 ? 0x90 : 0x80
  const most = first === 0xed ? 0x9f : first === 0xf4 ? 0x8f : 0xbf
  if (second < least || second > most) throw malformed()
  for (let i = at + 2; i < at + length; i++) if ((bytes[i]! & 0xc0) !== 0x80) throw malformed()
  return length
}

function decode(bytes: Uint8Array, start: number, end: number, escaped: boolean): string {
  const raw = parseUtf8(bytes.subarray(start, end))
  return escaped ? (JSON.parse(`"${raw}"`) as string) : raw
}

function malformed(): AppError {
  return new AppError("BAD_INPUT_FORMAT")
}
