import { shownText } from "../encoding/shown-text.ts"

/** One line of text that steers nothing: a line break becomes a space. */
export function clean(text: string): string {
  return shownText(text).replaceAll("\n", " ")
}

/** What a line begins with that goes on with the one before. Nothing else begins so. */
const goesOn = "↳ "

/** One line for a terminal, in pieces that fit: where the terminal broke it, the rest would look like a line of its own.
 * @param columns of the terminal */
export function wrap(line: string, columns: number): string[] {
  if (columns < 20) return [line]
  const pieces: string[] = []
  let piece = ""
  let room = columns
  const go = () => {
    pieces.push(piece.trimEnd())
    piece = goesOn
    room = columns - 2
  }
  for (const word of line.match(/[\p{Zs}\u2800]+|[^\p{Zs}\u2800]+/gu) ?? []) {
    const width = widthOf(word)
    const isBlank = /^[\p{Zs}\u2800]/u.test(word)
    if (width > room && (isBlank || width <= columns - 2)) go()
    if (isBlank && (width > room || piece === goesOn)) continue
    for (const character of width > room ? word : [word]) {
      const wide = widthOf(character)
      if (wide > room) go()
      piece += character
      room -= wide
    }
  }
  return piece === goesOn ? pieces : [...pieces, piece.trimEnd()]
}

/** How many columns a text takes, at most. */
function widthOf(text: string): number {
  let width = 0
  for (const character of text) {
    // Some terminals give what U+FE0F stands behind a second column.
    if (character === "\ufe0f") width += 1
    // Spacing marks take one column on some terminals and two on others; all other marks take none.
    else if (/\p{Mc}/u.test(character)) width += 2
    else if (!/[\p{M}\u200c\u200d]/u.test(character))
      width += /[\0-\u10ff\u1e00-\u22ff\u2500-\u259f\ufffd]/.test(character) ? 1 : 2
  }
  return width
}

/** Rows with aligned columns, the title first; the last column is not cut. */
export function layTable(head: readonly string[], rows: readonly (readonly string[])[]): string[] {
  const cells = rows.map((row) => row.map(clean))
  const widths = head.map((title, i) =>
    cells.reduce((width, row) => Math.min(40, Math.max(width, row[i]?.length ?? 0)), title.length),
  )
  return [head, ...cells].map((row) =>
    row
      .map((cell, i) => (i === row.length - 1 ? cell : cut(cell, widths[i]!)))
      .join("  ")
      .trimEnd(),
  )
}

function cut(text: string, width: number): string {
  return text.length > width ? `${text.slice(0, width - 1)}…` : text.padEnd(width)
}
