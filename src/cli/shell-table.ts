import { inspect, types } from "node:util"
import { clean } from "./clean.ts"
import { momentOf } from "./times.ts"

const shownRows = 50
const shownCharacters = 20

/** Stored bytes, a token most often: printed short, with their length. */
export class Bytes {
  readonly sizeBytes: number
  readonly #start: Uint8Array

  /** @param start the bytes, or as many of them as were read */
  constructor(start: Uint8Array, sizeBytes = start.length) {
    this.#start = start
    this.sizeBytes = sizeBytes
  }

  /** As much as was read, as padded base64url: a Fernet token as other programs write it. `get` reads everything. */
  toString(): string {
    return tokenText(this.#start)
  }

  toJSON(): string {
    return this.toString()
  }

  [inspect.custom](): string {
    const text = this.toString()
    const short = text.length > shownCharacters ? `${text.slice(0, shownCharacters)}…` : text
    return `${short} (${this.sizeBytes} B)`
  }
}

/** Rows that print as a table. */
export class Rows extends Array<Readonly<Record<string, unknown>>> {
  /** Whatever is made from rows, such as by `map`, is an ordinary array. */
  static override get [Symbol.species](): ArrayConstructor {
    return Array
  }

  [inspect.custom](): string {
    return this.lines().join("\n")
  }

  lines(): string[] {
    const [first] = this
    if (first === undefined) return ["no rows"]
    const names = Object.keys(first)
    const shown = this.slice(0, shownRows).map((row) => names.map((name) => cell(row[name])))
    const numeric = names.map((name) => this.every((row) => typeof row[name] === "number"))
    const widths = names.map((name, i) => Math.max(name.length, ...shown.map((cells) => cells[i]!.length)))
    const line = (cells: readonly string[]): string =>
      cells
        .map((text, i) => (numeric[i] ? text.padStart(widths[i]!) : text.padEnd(widths[i]!)))
        .join("  ")
        .trimEnd()
    const lines = [line(names), line(widths.map((width) => "─".repeat(width))), ...shown.map(line)]
    if (this.length > shownRows) lines.push(`… and ${this.length - shownRows} more`)
    return lines
  }
}

function cell(value: unknown): string {
  if (value === null || value === undefined) return ""
  if (value instanceof Date) return momentOf(value.getTime())
  return clean(typeof value === "string" ? value : inspect(value))
}

/** A value as a prompt shows it, in lines. An error is one line: its message may quote anything. */
export function showValue(value: unknown): string[] {
  if (value instanceof Rows) return value.lines()
  if (types.isNativeError(value)) return [String(value)]
  return inspect(value, { depth: 4 }).split("\n")
}

/** Padded base64url, as Fernet tokens are written. */
function tokenText(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString("base64").replaceAll("+", "-").replaceAll("/", "_")
}
