import { limits } from "../encoding/limits.ts"
import { AppError } from "../errors.ts"

/** One JSON value and where its raw text stands: `text.slice(start, end)`. */
export interface JsonNode {
  readonly kind: "object" | "array" | "string" | "number" | "literal"
  readonly start: number
  readonly end: number
  /** Of an object, in the order they came; empty for every other kind. */
  readonly members: readonly JsonMember[]
  /** Of an array; empty for every other kind. */
  readonly items: readonly JsonNode[]
}

interface JsonMember {
  /** Decoded: without quotes and escapes. */
  readonly name: string
  /** Where the name's opening quote stands, and just behind its closing quote. */
  readonly start: number
  readonly nameEnd: number
  readonly value: JsonNode
}

const none: readonly never[] = []

/** Reads JSON strictly (RFC 8259), keeping where everything stands instead of what it means, so that any part can be
 * taken out as the very text it came in. A byte order mark at the beginning is passed over. Besides what the RFC
 * refuses, a name that appears twice in one object is refused: readers differ about which of the two counts.
 * @param maxDepth  objects and arrays inside one another.
 * @param keepDepth levels of nodes to keep; what lies deeper is checked all the same.
 * @throws BAD_INPUT_BUNDLE naming line and column, and quoting nothing. */
export function scanJson(text: string, maxDepth: number = limits.jsonDepth, keepDepth = maxDepth + 1): JsonNode {
  const scanner = new Scanner(text, maxDepth, keepDepth)
  return scanner.document()
}

/** How much of a text is looked at, and how much of it is kept. */
export interface ScanBudget {
  /** Values of all kinds, containers too. */
  readonly nodes: number
  /** Values in one item of a list that is a member of the outermost object. */
  readonly itemNodes: number
  /** Nodes that are kept. */
  readonly kept: number
}

/** The same, for texts that may be large and of bad will: it counts before it keeps, and yields after every item of the lists that are
 * members of the outermost object, each time how many characters it has read since. @returns what `scanJson` does
 * @throws BAD_INPUT_SIZE beyond the budget; BAD_INPUT_BUNDLE */
export function* scanJsonSteps(
  text: string,
  maxDepth: number,
  keepDepth: number,
  budget: ScanBudget,
): Generator<number, JsonNode> {
  return yield* new Scanner(text, maxDepth, keepDepth, budget).steps()
}

/** The value of an object's member, or null. */
export function memberOf(node: JsonNode, name: string): JsonNode | null {
  for (const member of node.members) if (member.name === name) return member.value
  return null
}

/** The decoded text of a string node; null for any other kind and for absence. */
export function stringAt(text: string, node: JsonNode | null): string | null {
  return node?.kind === "string" ? decodeString(text, node.start, node.end) : null
}

/** "line 3, column 7" of an offset; columns count UTF-16 units. */
export function placeOf(text: string, offset: number): string {
  let line = 1
  let begin = 0
  for (let at = text.indexOf("\n"); at >= 0 && at < offset; at = text.indexOf("\n", at + 1)) {
    line++
    begin = at + 1
  }
  return `line ${line}, column ${offset - begin + 1}`
}

function decodeString(text: string, start: number, end: number): string {
  const raw = text.slice(start + 1, end - 1)
  return raw.includes("\\") ? (JSON.parse(`"${raw}"`) as string) : raw
}

const boundless: ScanBudget = {
  nodes: Number.POSITIVE_INFINITY,
  itemNodes: Number.POSITIVE_INFINITY,
  kept: Number.POSITIVE_INFINITY,
}
const tooMuch = "This holds more values than can be taken at once. Split the file into smaller ones, one patient each."

const quote = 0x22
const backslash = 0x5c

class Scanner {
  private readonly text: string
  private readonly maxDepth: number
  private readonly keepDepth: number
  private readonly budget: ScanBudget
  private at: number
  private nodes = 0
  private kept = 0
  /** At so many nodes the item at hand is too large. */
  private itemEnd = Number.POSITIVE_INFINITY

  constructor(text: string, maxDepth: number, keepDepth: number, budget: ScanBudget = boundless) {
    this.budget = budget
    this.text = text
    this.maxDepth = maxDepth
    this.keepDepth = keepDepth
    this.at = text.charCodeAt(0) === 0xfeff ? 1 : 0
  }

  document(): JsonNode {
    this.space()
    const node = this.value(1)
    this.space()
    if (this.at < this.text.length) throw this.refusal("there is more text after the end of the JSON value")
    return node
  }

  /** What `document` reads, step by step. Nothing but the outermost object and the lists in it is long. */
  *steps(): Generator<number, JsonNode> {
    this.space()
    const node = this.text.charCodeAt(this.at) === 0x7b ? yield* this.outermost() : this.value(1)
    this.space()
    if (this.at < this.text.length) throw this.refusal("there is more text after the end of the JSON value")
    return node
  }

  private *outermost(): Generator<number, JsonNode> {
    this.count()
    const start = this.open(1)
    const members: JsonMember[] = []
    const names = new Names()
    this.space()
    if (!this.take(0x7d)) {
      do {
        const name = this.name(names)
        const isList = this.text.charCodeAt(this.at) === 0x5b
        this.keep(members, 1, { ...name, value: isList ? yield* this.list() : this.value(2) })
        this.space()
      } while (this.take(0x2c))
      if (!this.take(0x7d)) throw this.refusal("a comma or a closing brace is missing")
    }
    return { kind: "object", start, end: this.at, members, items: none }
  }

  private *list(): Generator<number, JsonNode> {
    this.count()
    const start = this.open(2)
    const items: JsonNode[] = []
    this.space()
    if (!this.take(0x5d)) {
      do {
        const before = this.at
        this.space()
        this.itemEnd = this.nodes + this.budget.itemNodes
        this.keep(items, 2, this.value(3))
        this.itemEnd = Number.POSITIVE_INFINITY
        this.space()
        yield this.at - before
      } while (this.take(0x2c))
      if (!this.take(0x5d)) throw this.refusal("a comma or a closing bracket is missing")
    }
    return { kind: "array", start, end: this.at, members: none, items }
  }

  private count(): void {
    if (this.nodes++ >= Math.min(this.budget.nodes, this.itemEnd)) throw new AppError("BAD_INPUT_SIZE", tooMuch)
  }

  private keep<T>(list: T[], depth: number, item: T): void {
    if (depth >= this.keepDepth) return
    if (this.kept++ >= this.budget.kept) throw new AppError("BAD_INPUT_SIZE", tooMuch)
    list.push(item)
  }

  private value(depth: number): JsonNode {
    this.count()
    const start = this.at
    const code = this.text.charCodeAt(start)
    if (code === 0x7b) return this.object(depth)
    if (code === 0x5b) return this.array(depth)
    if (code === quote) {
      this.string()
      return { kind: "string", start, end: this.at, members: none, items: none }
    }
    if (code === 0x2d || (code >= 0x30 && code <= 0x39)) {
      this.number()
      return { kind: "number", start, end: this.at, members: none, items: none }
    }
    for (const word of ["true", "false", "null"]) {
      if (this.text.startsWith(word, start)) {
        this.at += word.length
        return { kind: "literal", start, end: this.at, members: none, items: none }
      }
    }
    throw this.refusal("a JSON value is missing or misspelt")
  }

  private object(depth: number): JsonNode {
    const start = this.open(depth)
    const members: JsonMember[] = []
    const names = new Names()
    this.space()
    if (!this.take(0x7d)) {
      do {
        const name = this.name(names)
        const value = this.value(depth + 1)
        this.keep(members, depth, { ...name, value })
        this.space()
      } while (this.take(0x2c))
      if (!this.take(0x7d)) throw this.refusal("a comma or a closing brace is missing")
    }
    return { kind: "object", start, end: this.at, members, items: none }
  }

  private array(depth: number): JsonNode {
    const start = this.open(depth)
    const items: JsonNode[] = []
    this.space()
    if (!this.take(0x5d)) {
      do {
        this.space()
        this.keep(items, depth, this.value(depth + 1))
        this.space()
      } while (this.take(0x2c))
      if (!this.take(0x5d)) throw this.refusal("a comma or a closing bracket is missing")
    }
    return { kind: "array", start, end: this.at, members: none, items }
  }

  /** A member's name, its colon, and the space around them. */
  private name(names: Names): Omit<JsonMember, "value"> {
    this.space()
    const start = this.at
    if (this.text.charCodeAt(start) !== quote) throw this.refusal("a name in quotes is missing")
    this.string()
    const nameEnd = this.at
    const name = decodeString(this.text, start, nameEnd)
    if (!names.add(name)) {
      this.at = start
      throw this.refusal("a name appears twice in one object")
    }
    this.space()
    if (!this.take(0x3a)) throw this.refusal("a colon is missing")
    this.space()
    return { name, start, nameEnd }
  }

  private open(depth: number): number {
    if (depth > this.maxDepth) throw this.refusal(`objects and lists are nested deeper than ${this.maxDepth} levels`)
    return this.at++
  }

  private string(): void {
    const text = this.text
    let at = this.at + 1
    for (;;) {
      const code = text.charCodeAt(at)
      if (code === quote) break
      if (code === backslash) {
        const escaped = text.charCodeAt(at + 1)
        if (escaped === 0x75) {
          for (let i = at + 2; i < at + 6; i++) if (!isHex(text.charCodeAt(i))) this.fail(i, "an escape is not valid")
          at += 6
        } else if (Number.isNaN(escaped) || !'"\\/bfnrt'.includes(text[at + 1]!)) {
          this.fail(at + 1, "an escape is not valid")
        } else at += 2
      } else if (code >= 0x20) at++
      else this.fail(at, "a control character stands inside a text") // also NaN: the end
    }
    this.at = at + 1
  }

  private number(): void {
    this.take(0x2d)
    if (!this.take(0x30)) this.digits()
    if (this.take(0x2e)) this.digits()
    if (this.take(0x65) || this.take(0x45)) {
      if (!this.take(0x2b)) this.take(0x2d)
      this.digits()
    }
  }

  private digits(): void {
    const start = this.at
    for (let code = this.text.charCodeAt(start); code >= 0x30 && code <= 0x39; ) code = this.text.charCodeAt(++this.at)
    if (this.at === start) throw this.refusal("a digit is missing")
  }

  private space(): void {
    for (;;) {
      const code = this.text.charCodeAt(this.at)
      if (code !== 0x20 && code !== 0x0a && code !== 0x0d && code !== 0x09) return
      this.at++
    }
  }

  private take(code: number): boolean {
    if (this.text.charCodeAt(this.at) !== code) return false
    this.at++
    return true
  }

  private fail(at: number, what: string): never {
    this.at = at
    throw this.refusal(what)
  }

  private refusal(what: string): AppError {
    const cut = this.at >= this.text.length
    const place = placeOf(this.text, Math.min(this.at, this.text.length))
    const reason = cut ? "the text ends in the middle, so the file is probably cut off" : what
    return new AppError("BAD_INPUT_BUNDLE", `${place}: ${reason}. Export the file again where it came from.`)
  }
}

/** Finds repeated names: a short list is looked through, a long one gets a set. */
class Names {
  private readonly few: string[] = []
  private many: Set<string> | null = null

  add(name: string): boolean {
    if (this.many === null) {
      if (this.few.includes(name)) return false
      this.few.push(name)
      if (this.few.length > 24) this.many = new Set(this.few)
      return true
    }
    if (this.many.has(name)) return false
    this.many.add(name)
    return true
  }
}

function isHex(code: number): boolean {
  return (code >= 0x30 && code <= 0x39) || (code >= 0x41 && code <= 0x46) || (code >= 0x61 && code <= 0x66)
}
