import { equal } from "../encoding/bytes.ts"

const fewest = 128
/** Of {@link JsonNames.rest}. */
const keptAtMost = 4096

/** The names of all objects that a scan stands in, to find one that comes twice in its object. It keeps numbers in a few arrays, which
 * whoever scans uses again and again: a name costs its place and its hash. Objects end in the reverse of the order in which they began. */
export class JsonNames {
  readonly #seed = crypto.getRandomValues(new Uint32Array(1))[0]!
  /** Of each name: its object, its hash, where it lies in the text, or, as a negative number, in `#plain`. */
  #object!: Int32Array<ArrayBuffer>
  #hash!: Int32Array<ArrayBuffer>
  #start!: Int32Array<ArrayBuffer>
  #end!: Int32Array<ArrayBuffer>
  /** A name's number + 1, at the place that its hash says or behind it; 0 is free. */
  #slots!: Int32Array<ArrayBuffer>
  #count = 0
  #objects = 0
  /** Names that are written with escapes, as what they mean. */
  #plain = new Uint8Array(0)
  #plainEnd = 0

  constructor() {
    this.#begin(fewest)
  }

  /** Begins an object. @returns what ends it */
  open(): number {
    this.#objects++
    return this.#count
  }

  close(mark: number): void {
    if ((this.#count - mark) * 8 > this.#slots.length) this.#closeMany(mark)
    while (this.#count > mark) {
      const name = --this.#count
      this.#slots[this.#slotOf(name)] = 0
      if (this.#start[name]! < 0) this.#plainEnd = -1 - this.#start[name]!
    }
    this.#objects--
  }

  /** Forgets everything: a scan that failed has closed nothing. */
  clear(): void {
    this.#slots.fill(0)
    this.#count = 0
    this.#objects = 0
    this.#plainEnd = 0
  }

  /** Gives back the memory that a large text took. */
  rest(): void {
    if (this.#hash.length > keptAtMost) this.#begin(fewest)
    if (this.#plain.length > keptAtMost) this.#plain = new Uint8Array(0)
  }

  /** Takes in a name of the innermost object.
   * @param start where its characters begin in `text`, which is UTF-8; `end` is where the closing quote stands
   * @returns false for one that this object has already */
  add(text: Uint8Array, start: number, end: number, escaped: boolean): boolean {
    if (escaped) {
      const from = this.#plainEnd
      const to = this.#write(text, start, end)
      if (!this.#put(text, this.#plain, from, to, -1 - from)) return false
      this.#plainEnd = to
      return true
    }
    return this.#put(text, text, start, end, start)
  }

  #put(text: Uint8Array, where: Uint8Array, start: number, end: number, place: number): boolean {
    if (this.#count * 2 >= this.#slots.length) this.#grow()
    let hash = this.#seed ^ this.#objects
    for (let at = start; at < end; at++) {
      hash = Math.imul(hash ^ where[at]!, 0x5bd1e995)
      hash ^= hash >>> 15
    }
    const mask = this.#slots.length - 1
    let slot = hash & mask
    for (let name = this.#slots[slot]!; name !== 0; name = this.#slots[slot]!) {
      if (this.#hash[name - 1] === hash && this.#object[name - 1] === this.#objects) {
        const other = this.#start[name - 1]!
        const held = other < 0 ? this.#plain : text
        const from = other < 0 ? -1 - other : other
        if (equal(held.subarray(from, this.#end[name - 1]!), where.subarray(start, end))) return false
      }
      slot = (slot + 1) & mask
    }
    const name = this.#count++
    this.#object[name] = this.#objects
    this.#hash[name] = hash
    this.#start[name] = place
    this.#end[name] = end
    this.#slots[slot] = name + 1
    return true
  }

  /** One by one is slower where most of the places are taken. */
  #closeMany(mark: number): void {
    for (let name = this.#count - 1; name >= mark; name--)
      if (this.#start[name]! < 0) this.#plainEnd = -1 - this.#start[name]!
    this.#count = mark
    this.#slots.fill(0)
    this.#settle()
  }

  #slotOf(name: number): number {
    const mask = this.#slots.length - 1
    let slot = this.#hash[name]! & mask
    while (this.#slots[slot] !== name + 1) slot = (slot + 1) & mask
    return slot
  }

  #begin(names: number): void {
    this.#object = new Int32Array(names)
    this.#hash = new Int32Array(names)
    this.#start = new Int32Array(names)
    this.#end = new Int32Array(names)
    this.#slots = new Int32Array(names * 2)
  }

  #grow(): void {
    const longer = (old: Int32Array<ArrayBuffer>) => {
      const grown = new Int32Array(old.length * 2)
      grown.set(old)
      return grown
    }
    const size = this.#slots.length * 2
    this.#object = longer(this.#object)
    this.#hash = longer(this.#hash)
    this.#start = longer(this.#start)
    this.#end = longer(this.#end)
    this.#slots = new Int32Array(size)
    this.#settle()
  }

  /** Puts every name into places that are all free. */
  #settle(): void {
    const mask = this.#slots.length - 1
    for (let name = 0; name < this.#count; name++) {
      let slot = this.#hash[name]! & mask
      while (this.#slots[slot] !== 0) slot = (slot + 1) & mask
      this.#slots[slot] = name + 1
    }
  }

  /** Writes what an escaped name means behind the others: UTF-8, where half of a pair that stands alone has three bytes, like the rest of
   * its plane. @returns where it ends */
  #write(text: Uint8Array, start: number, end: number): number {
    let to = this.#plainEnd
    if (this.#plain.length < to + (end - start)) {
      const grown = new Uint8Array((to + (end - start)) * 2)
      grown.set(this.#plain.subarray(0, to))
      this.#plain = grown
    }
    const out = this.#plain
    for (let at = start; at < end; ) {
      if (text[at] !== 0x5c) {
        out[to++] = text[at++]!
        continue
      }
      const kind = text[at + 1]!
      at += 2
      if (kind !== 0x75) {
        out[to++] = meaning(kind)
        continue
      }
      let code = hexAt(text, at)
      at += 4
      if (code >= 0xd800 && code < 0xdc00 && text[at] === 0x5c && text[at + 1] === 0x75) {
        const low = hexAt(text, at + 2)
        if (low >= 0xdc00 && low < 0xe000) {
          code = 0x10000 + ((code - 0xd800) << 10) + (low - 0xdc00)
          at += 6
        }
      }
      if (code < 0x80) out[to++] = code
      else if (code < 0x800) {
        out[to++] = 0xc0 | (code >> 6)
        out[to++] = 0x80 | (code & 63)
      } else if (code < 0x10000) {
        out[to++] = 0xe0 | (code >> 12)
        out[to++] = 0x80 | ((code >> 6) & 63)
        out[to++] = 0x80 | (code & 63)
      } else {
        out[to++] = 0xf0 | (code >> 18)
        out[to++] = 0x80 | ((code >> 12) & 63)
        out[to++] = 0x80 | ((code >> 6) & 63)
        out[to++] = 0x80 | (code & 63)
      }
    }
    return to
  }
}

/** b, f, n, r and t mean a control character, everything else itself. */
function meaning(kind: number): number {
  if (kind === 0x62) return 8
  if (kind === 0x66) return 12
  if (kind === 0x6e) return 10
  if (kind === 0x72) return 13
  return kind === 0x74 ? 9 : kind
}

function hexAt(text: Uint8Array, at: number): number {
  let value = 0
  for (let i = at; i < at + 4; i++) value = value * 16 + hexDigit(text[i]!)
  return value
}

/** The value of a hexadecimal digit, or −1. */
export function hexDigit(code: number): number {
  if (code >= 0x30 && code <= 0x39) return code - 0x30
  const letter = code | 0x20
  return letter >= 0x61 && letter <= 0x66 ? letter - 0x57 : -1
}
