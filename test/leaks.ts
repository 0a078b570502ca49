import { wordlist } from "@scure/bip39/wordlists/english.js"

/** Something that must not be found, in every spelling that is looked for. */
export interface Needle {
  readonly name: string
  readonly forms: readonly Form[]
}

interface Form {
  readonly how: string
  readonly bytes: Buffer
}

/** What was found where. */
export interface Leak {
  readonly needle: string
  readonly how: string
  readonly offset: number
}

const shortest = 8

/** A text of 8 characters or more: as it is and in lower and upper case; as UTF-8, Latin-1, JSON escapes, UTF-16 in both
 * orders; each of these also in base64, base64url and hex, which may themselves stand in UTF-16. */
export function textNeedle(name: string, text: string): Needle {
  if (text.length < shortest) throw new Error(`${name} is too short to look for`)
  const cases = [...new Set([text, text.toLowerCase(), text.toUpperCase()])]
  return { name, forms: distinct(cases.flatMap(formsOf)) }
}

/** Bytes, such as a key: as they are, and in base64, base64url and hex, which may themselves stand in UTF-16. */
export function bytesNeedle(name: string, bytes: Uint8Array): Needle {
  if (bytes.length < 16) throw new Error(`${name} is too short to look for`)
  return { name, forms: distinct(spellings({ how: "raw", bytes: Buffer.from(bytes) })) }
}

/** A birth date as people and programs write it. @param iso YYYY-MM-DD */
export function dateNeedles(name: string, iso: string): Needle[] {
  const [year, month, day] = iso.split("-") as [string, string, string]
  const [m, d] = [String(Number(month)), String(Number(day))]
  const at = new Date(`${iso}T00:00:00Z`)
  const english = (style: "short" | "long") => at.toLocaleString("en", { month: style, timeZone: "UTC" })
  const spelt = [
    iso,
    `${year}${month}${day}`,
    `${year}/${month}/${day}`,
    `${day}.${month}.${year}`,
    `${d}.${m}.${year}`,
    `${day}/${month}/${year}`,
    `${d}/${m}/${year}`,
    `${month}/${day}/${year}`,
    `${m}/${d}/${year}`,
    `${day}-${month}-${year}`,
    ...(["short", "long"] as const).flatMap((style) => [
      `${d} ${english(style)} ${year}`,
      `${english(style)} ${d}, ${year}`,
      `${english(style)} ${d} ${year}`,
    ]),
  ]
  return [...new Set(spelt)].map((text) => textNeedle(`${name}, as ${text}`, text))
}

const separators = [" ", "\n", "\r\n", ",", ", ", "-", "_", '","', '", "', "</li><li>", ""]

/** Every two adjacent recovery words, with whatever may stand between them. Two that follow one another in the word list too
 * are left out: whoever serves the list has them. */
export function wordNeedles(name: string, words: readonly string[]): Needle[] {
  const needles: Needle[] = []
  for (let i = 0; i + 1 < words.length; i++) {
    const [a, b] = [words[i]!, words[i + 1]!]
    if (Math.abs(wordlist.indexOf(a) - wordlist.indexOf(b)) === 1) continue
    const pairs = separators.map((between) => `${a}${between}${b}`).filter((text) => text.length >= shortest)
    needles.push({
      name: `${name} ${i + 1} and ${i + 2}`,
      forms: distinct(pairs.flatMap(formsOf)),
    })
  }
  return needles
}

/** Finds needles in bytes that come in pieces. */
export class Search {
  readonly #patterns: { needle: string; how: string; bytes: Buffer }[] = []
  /** By the hash of a pattern's first eight bytes, its number plus one; 0 for none. */
  readonly #first = new Int32Array(1 << 20)
  /** The next pattern with the same hash. */
  readonly #next: Int32Array
  readonly #longest: number

  constructor(needles: readonly Needle[]) {
    for (const { name, forms } of needles)
      for (const { how, bytes } of forms) this.#patterns.push({ needle: name, how, bytes })
    this.#next = new Int32Array(this.#patterns.length + 1)
    for (const [i, { bytes }] of this.#patterns.entries()) {
      const slot = slotOf(bytes.readInt32BE(0), bytes.readInt32BE(4))
      this.#next[i + 1] = this.#first[slot]!
      this.#first[slot] = i + 1
    }
    this.#longest = Math.max(...this.#patterns.map(({ bytes }) => bytes.length))
  }

  /** How many bytes of two neighbouring pieces have to overlap, so that nothing hides between them. */
  get overlap(): number {
    return this.#longest - 1
  }

  /** Each form of each needle once, where it was found first. */
  find(bytes: Uint8Array, limit = bytes.length): Leak[] {
    const found = new Map<number, number>()
    const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, Math.min(limit, bytes.length))
    const first = this.#first
    // The eight bytes that end at i, in two halves.
    let high = 0
    let low = 0
    for (let i = 0; i < buffer.length; i++) {
      high = (high << 8) | (low >>> 24)
      low = (low << 8) | buffer[i]!
      const slot = slotOf(high, low)
      if (first[slot] === 0 || i < 7) continue
      const at = i - 7
      for (let index = first[slot]!; index !== 0; index = this.#next[index]!) {
        const pattern = this.#patterns[index - 1]!.bytes
        if (pattern[7] !== buffer[i] || at + pattern.length > buffer.length || found.has(index)) continue
        if (pattern.compare(buffer, at, at + pattern.length) === 0) found.set(index, at)
      }
    }
    return [...found].map(([index, offset]) => {
      const { needle, how } = this.#patterns[index - 1]!
      return { needle, how, offset }
    })
  }
}

function slotOf(high: number, low: number): number {
  return (Math.imul(high, 0x9e3779b1) ^ Math.imul(low, 0x85ebca6b)) >>> 12
}

function formsOf(text: string): Form[] {
  return encodings(text).flatMap(spellings)
}

function encodings(text: string): Form[] {
  const forms = [
    { how: "UTF-8", bytes: Buffer.from(text, "utf8") },
    { how: "UTF-16LE", bytes: Buffer.from(text, "utf16le") },
    { how: "UTF-16BE", bytes: Buffer.from(text, "utf16le").swap16() },
  ]
  if (/^\p{ASCII}*$/u.test(text)) return forms
  const escaped = text.replace(/\P{ASCII}/gu, (c) => `\\u${c.charCodeAt(0).toString(16).padStart(4, "0")}`)
  forms.push({ how: "JSON escapes", bytes: Buffer.from(escaped) })
  if (Buffer.from(text, "latin1").toString("latin1") === text)
    forms.push({ how: "Latin-1", bytes: Buffer.from(text, "latin1") })
  return forms
}

/** Bytes as they are, and as text made from them: base64 at each of the three places where a group of three may begin, of
 * which the characters that neighbours have a part in are cut off. */
function spellings({ how, bytes }: Form): Form[] {
  const texts = [0, 1, 2].flatMap((before) => {
    const whole = Buffer.concat([Buffer.alloc(before), bytes]).toString("base64url")
    const from = Math.ceil((before * 8) / 6)
    const text = whole.slice(from, Math.floor(((before + bytes.length) * 8) / 6))
    const standard = text.replaceAll("-", "+").replaceAll("_", "/")
    return [
      { how: `${how} in base64url, ${before} before`, text },
      { how: `${how} in base64, ${before} before`, text: standard },
    ]
  })
  const hex = bytes.toString("hex")
  texts.push({ how: `${how} in hex`, text: hex }, { how: `${how} in upper-case hex`, text: hex.toUpperCase() })
  const wide = (text: string) => Buffer.from(text, "utf16le")
  return [
    { how, bytes },
    ...texts.flatMap(({ how: as, text }) => [
      { how: as, bytes: Buffer.from(text) },
      { how: `${as}, UTF-16LE`, bytes: wide(text) },
      { how: `${as}, UTF-16BE`, bytes: wide(text).swap16() },
    ]),
  ]
}

function distinct(forms: readonly Form[]): Form[] {
  return [...new Map(forms.map((form) => [form.bytes.toString("latin1"), form])).values()]
}
