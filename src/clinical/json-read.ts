import { AppError } from "../errors.ts"

/** A resource as it is read for people. Numbers come as their digits, in text, so that 7.0 stays 7.0. */
export type Json = string | boolean | null | readonly Json[] | JsonObject
export interface JsonObject {
  readonly [name: string]: Json | undefined
}

/** So many values of a list, and members of an object, are read. */
const mostOfOne = 2000
/** So many values, in all, of each member of the outermost object. */
const mostOfMember = 50_000

/** Reads JSON text that was checked before. What lies beyond these numbers, which is more than any view shows, is passed over: whoever
 * may write in a record could else keep everybody busy who looks at it. @throws BAD_INPUT_BUNDLE */
export function readJson(text: string): Json {
  return new Reader(text).document()
}

const quote = 0x22
const backslash = 0x5c
const comma = 0x2c
const [openList, closeList, openObject, closeObject] = [0x5b, 0x5d, 0x7b, 0x7d]

class Reader {
  readonly #text: string
  #at = 0
  #depth = 0
  #left = mostOfMember
  /** Where the next backslash stands. */
  #slash = -1

  constructor(text: string) {
    this.#text = text
  }

  document(): Json {
    if (this.#text.charCodeAt(0) === 0xfeff) this.#at = 1
    const value = this.#value()
    this.#space()
    if (this.#at < this.#text.length) throw malformed()
    return value
  }

  #value(): Json {
    this.#left--
    const code = this.#space()
    if (code === quote) return this.#string()
    if (code === openObject) return this.#object()
    if (code === openList) return this.#list()
    const word = this.#word()
    return word === "null" ? null : word === "true" ? true : word === "false" ? false : word
  }

  #list(): Json[] {
    const items: Json[] = []
    this.#at++
    if (this.#space() === closeList) {
      this.#at++
      return items
    }
    this.#depth++
    while (items.length < mostOfOne && this.#left > 0) {
      items.push(this.#value())
      if (!this.#goesOn(closeList)) return items
    }
    this.#leave()
    return items
  }

  #object(): JsonObject {
    const members: Record<string, Json> = {}
    this.#at++
    if (this.#space() === closeObject) {
      this.#at++
      return members
    }
    this.#depth++
    for (let count = 0; count < mostOfOne && this.#left > 0; count++) {
      if (this.#depth === 1) this.#left = mostOfMember
      if (this.#space() !== quote) throw malformed()
      const name = this.#string()
      if (this.#space() !== 0x3a) throw malformed()
      this.#at++
      const value = this.#value()
      if (name === "__proto__") Object.defineProperty(members, name, { value, enumerable: true })
      else members[name] = value
      if (!this.#goesOn(closeObject)) return members
      if (this.#depth === 1) this.#left = mostOfMember
    }
    this.#leave()
    return members
  }

  /** Behind a value: whether another one comes, or what it lies in has ended. */
  #goesOn(close: number): boolean {
    const code = this.#space()
    this.#at++
    if (code === comma) return true
    if (code !== close) throw malformed()
    this.#depth--
    return false
  }

  /** Passes over the rest of the innermost list or object. */
  #leave(): void {
    const text = this.#text
    let at = this.#at
    for (let inner = 1; inner > 0; at++) {
      if (at >= text.length) throw malformed()
      const code = text.charCodeAt(at)
      if (code === quote) {
        this.#at = at
        this.#pass()
        at = this.#at - 1
      } else if (code === openList || code === openObject) inner++
      else if (code === closeList || code === closeObject) inner--
    }
    this.#at = at
    this.#depth--
  }

  #string(): string {
    const start = this.#at + 1
    const escaped = this.#pass()
    const end = this.#at - 1
    const raw = this.#text.slice(start, end)
    return escaped ? (JSON.parse(`"${raw}"`) as string) : raw
  }

  /** Passes over a text. @returns whether something in it is escaped */
  #pass(): boolean {
    const text = this.#text
    const start = this.#at + 1
    for (let end = text.indexOf('"', start); end >= 0; end = text.indexOf('"', end + 1)) {
      let slashes = 0
      while (text.charCodeAt(end - 1 - slashes) === backslash) slashes++
      if (slashes % 2 === 1) continue
      this.#at = end + 1
      if (this.#slash < start) {
        const next = text.indexOf("\\", start)
        this.#slash = next < 0 ? text.length : next
      }
      return this.#slash < end
    }
    throw malformed()
  }

  #word(): string {
    const start = this.#at
    for (let code = this.#code(); isWord(code); code = this.#code()) this.#at++
    if (this.#at === start) throw malformed()
    return this.#text.slice(start, this.#at)
  }

  /** Passes over white space. @returns what stands behind it */
  #space(): number {
    let code = this.#code()
    while (code === 0x20 || code === 0x0a || code === 0x0d || code === 0x09) {
      this.#at++
      code = this.#code()
    }
    return code
  }

  #code(): number {
    return this.#at < this.#text.length ? this.#text.charCodeAt(this.#at) : 0
  }
}

/** Digits, letters, and what else stands in a number. */
function isWord(code: number): boolean {
  const isDigit = code >= 0x30 && code <= 0x39
  const isLetter = (code >= 0x61 && code <= 0x7a) || code === 0x45
  return isDigit || isLetter || code === 0x2b || code === 0x2d || code === 0x2e
}

function malformed(): AppError {
  return new AppError("BAD_INPUT_BUNDLE")
}
