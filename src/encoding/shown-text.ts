/** What cannot be seen, and changes how its neighbours look: control characters, lone surrogates, line and paragraph separators, all that
 * Unicode calls format or ignorable (directions, zero widths, tags, selectors). The signs that stand before a number in Arabic, Syriac
 * and Kaithi are format characters as well, and are seen. */
const hidden =
  /[\p{Cc}\p{Cs}\p{Zl}\p{Zp}\p{Default_Ignorable_Code_Point}[\p{Cf}--[\u0600-\u0605\u06dd\u070f\u0890\u0891\u08e2\u{110bd}\u{110cd}]]]/gv

/** The same without line feeds, of which JSON that is laid out has very many. */
const hiddenInLine = new RegExp(`[${hidden.source}--\\n]`, "gv")

/** U+0085 is a line break as well. */
const breaks = /\r\n?|[\n\v\f\u0085\u2028\u2029]/g

/** Persian and Indic names need joiners, emoji too: behind a letter, a mark or a symbol. */
const joiner = /^[\u200c\u200d]$/
const joinable = /[\p{L}\p{M}\p{S}]$/u
/** Names in Japanese and Mongolian need selectors: one of them, behind what it selects a form of. */
const selector = /^[\u180b-\u180d\u180f\ufe00-\ufe0f\u{e0100}-\u{e01ef}]$/u
const selectable = /[[\p{L}\p{M}\p{N}\p{P}\p{S}]--\p{Default_Ignorable_Code_Point}]$/v

/** A text as it may be shown: nothing in it steers what stands around it. Its line breaks are line feeds; a tab is a space; what has no
 * look of its own is left out, or stays where names need it; what is no text at all is shown as U+FFFD. */
export function shownText(text: string): string {
  if (/^[ -~]*$/.test(text)) return text
  return text.replace(breaks, "\n").replace(hidden, (character, at: number, whole: string) => {
    if (character === "\n") return character
    if (character === "\t") return " "
    const before = whole.slice(Math.max(0, at - 2), at)
    if (joiner.test(character) ? joinable.test(before) : selector.test(character) && selectable.test(before))
      return character
    return /[\p{Cc}\p{Cs}]/u.test(character) ? "\ufffd" : ""
  })
}

/** JSON that says the very same, with every hidden character as \uXXXX. Its line feeds stay, which can only stand between two tokens. */
export function shownJson(json: string): string {
  return json.replace(hiddenInLine, (character) => {
    // Between tokens, where JSON has them bare.
    if (character === "\t" || character === "\r") return " "
    const units = Array.from({ length: character.length }, (_, i) => character.charCodeAt(i))
    return units.map((unit) => `\\u${unit.toString(16).padStart(4, "0")}`).join("")
  })
}
