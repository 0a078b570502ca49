import { shownText } from "../encoding/shown-text.ts"

/** Letters that are written from right to left: Hebrew, Arabic, Syriac, Thaana, N'Ko and others. */
const rightToLeft = /[\u0590-\u08ff\ufb1d-\ufdff\ufe70-\ufefc\u{10800}-\u{10fff}\u{1e800}-\u{1efff}]/u
/** First strong isolate, pop directional isolate: what stands between them turns nothing around them. */
const [open, close] = ["\u2068", "\u2069"]

/** Text of others as the page shows it, wherever it stands, in a title or a label too: without what steers (override, zero width, control),
 * and, where it is written from right to left, as an island that keeps the order of its neighbours. */
export function shown(text: string): string {
  const plain = shownText(text)
  if (!rightToLeft.test(plain)) return plain
  return plain
    .split("\n")
    .map((line) => (line === "" ? "" : `${open}${line}${close}`))
    .join("\n")
}

/** Parts that are one text, such as first and last name: one island, so that a name from right to left is read as one. */
export function joined(parts: readonly string[], between: string): string {
  return shown(parts.filter((part) => part !== "").join(between))
}

/** A text without the marks of its islands: for a file, or for what is copied. */
export function unmarked(text: string): string {
  return text.replaceAll(open, "").replaceAll(close, "")
}

/** Copies what is selected without the marks: they belong to this page, and no form takes them. */
export function copyUnmarked(event: ClipboardEvent): void {
  const text = document.getSelection()?.toString() ?? ""
  const plain = unmarked(text)
  // What is selected in a field is not in this selection.
  if (plain === text || event.clipboardData === null) return
  event.clipboardData.setData("text/plain", plain)
  event.preventDefault()
}

/** What a form is filled with, and files: the very text. */
const verbatim = new Set(["form", "evidence"])

/** The same for every text in a view. */
export function shownView<T>(value: T): T {
  if (typeof value === "string") return shown(value) as T
  if (Array.isArray(value)) return value.map(shownView) as T
  if (typeof value !== "object" || value === null || Object.getPrototypeOf(value) !== Object.prototype) return value
  const entries = Object.entries(value).map(([name, part]) => [name, verbatim.has(name) ? part : shownView(part)])
  return Object.fromEntries(entries) as T
}
