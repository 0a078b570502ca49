import { parseUtf8, utf8 } from "../encoding/bytes.ts"

/** What all texts of one view may come to, in UTF-16 units, and what one of them has in any case, and at most. */
const allTexts = 16 * 1024 * 1024
const leastText = 60
const mostText = 1000

/** Cuts the texts of a view: whoever may write in a record could else fill the page of everybody who opens it.
 * @param texts how many there will be: of few, each may be long. The cut text holds nothing of what it was cut from. */
export function clipper(texts: number): (text: string) => string {
  const most = Math.max(leastText, Math.min(mostText, Math.floor(allTexts / Math.max(1, texts))))
  return (text) => own(text.length > most ? `${text.slice(0, most - 1).toWellFormed()}…` : text)
}

/** A text of its own: what engines cut out of a larger one keeps all of that in memory. */
export function own(text: string): string {
  return text.length < 13 ? text : parseUtf8(utf8(text))
}
