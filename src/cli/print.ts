import type { Writable } from "node:stream"
import { styleText } from "node:util"

/** Control characters, and those that turn the direction of what follows. */
const steering = /[\p{Cc}\u2028\u2029\u202a-\u202e\u2066-\u2069]/gu

/** Writes text, and waits until it is taken. */
export function print(to: Writable, text: string): Promise<void> {
  return new Promise((resolve, reject) => {
    to.write(text, (error) => (error ? reject(error) : resolve()))
  })
}

export function printLine(to: Writable, text = ""): Promise<void> {
  return print(to, `${text}\n`)
}

export function printJson(to: Writable, value: unknown): Promise<void> {
  const text = JSON.stringify(value, null, 2).replace(steering, (character) =>
    character === "\n" ? character : `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`,
  )
  return print(to, `${text}\n`)
}

/** A table with aligned columns; the last one is not cut. */
export function table(head: readonly string[], rows: readonly (readonly string[])[], colour: boolean): string {
  const widths = head.map((title, i) =>
    Math.min(40, Math.max(title.length, ...rows.map((row) => clean(row[i] ?? "").length))),
  )
  const line = (cells: readonly string[]) =>
    cells
      .map((cell, i) => (i === cells.length - 1 ? clean(cell) : cut(clean(cell), widths[i]!)))
      .join("  ")
      .trimEnd()
  const title = line(head)
  return [colour ? styleText("dim", title) : title, ...rows.map(line)].join("\n")
}

/** What came from a record must not steer a terminal. */
export function clean(text: string): string {
  return text.replace(steering, " ")
}

function cut(text: string, width: number): string {
  return text.length > width ? `${text.slice(0, width - 1)}…` : text.padEnd(width)
}
