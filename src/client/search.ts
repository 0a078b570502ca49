/** Search over opened summaries: sorted, folded words, found by prefix. Nothing of it leaves the client. */

export interface Searchable {
  readonly firstName: string
  readonly lastName: string
  readonly birthDate: string
  readonly diagnoses: readonly string[]
}

/** Lower case without accents, so that "agustin" finds "Agustín". */
export function fold(text: string): string {
  return /^[\x20-\x7e]*$/.test(text) ? text.toLowerCase() : foldAccents(text)
}

/** The words of a text, folded. */
export function wordsOf(text: string): string[] {
  return fold(text)
    .split(/[^\p{L}\p{N}-]+/u)
    .filter((word) => word !== "")
}

/** What is looked for: each word in every way in which it may be written. */
export type Query = readonly (readonly string[])[]

/** The words of what somebody typed: "Müller" is muller and mueller. */
export function queryOf(text: string): Query {
  const spelled = wordsOf(spelledOut(text))
  return wordsOf(text).map((word, i) => [...new Set([word, spelled[i] ?? word])])
}

/** Every word that a row is found by. */
function wordsOfRow(row: Searchable): string[] {
  return [row.birthDate, ...[row.firstName, row.lastName, ...row.diagnoses].flatMap(everyWordOf)]
}

/** Whether every word of a query begins some word of the row: what the index does, for one row. */
export function matches(row: Searchable, query: Query): boolean {
  const words = wordsOfRow(row)
  return query.every((ways) => words.some((word) => ways.some((prefix) => word.startsWith(prefix))))
}

/** An index over a fixed list of rows. Rows are named by their place in it. */
export class SearchIndex {
  readonly #words: readonly string[]
  readonly #places: readonly Uint32Array[]
  readonly #size: number

  constructor(rows: readonly Searchable[]) {
    const places = new Map<string, number[]>()
    const folded = new Map<string, string[]>()
    rows.forEach((row, place) => {
      const add = (word: string) => {
        const list = places.get(word)
        if (list === undefined) places.set(word, [place])
        else if (list.at(-1) !== place) list.push(place)
      }
      if (row.birthDate !== "") add(row.birthDate)
      for (const text of [row.firstName, row.lastName, ...row.diagnoses]) {
        let words = folded.get(text)
        if (words === undefined) {
          words = everyWordOf(text)
          folded.set(text, words)
        }
        for (const word of words) add(word)
      }
    })
    this.#words = [...places.keys()].sort()
    this.#places = this.#words.map((word) => Uint32Array.from(places.get(word)!))
    this.#size = rows.length
  }

  /** Marks the rows in which every one of the words begins some word: 1 at their places. */
  find(query: Query): Uint8Array {
    let found = new Uint8Array(this.#size).fill(1)
    for (const ways of query) {
      const next = new Uint8Array(this.#size)
      for (const prefix of ways)
        for (let i = this.#firstAtOrAfter(prefix); this.#words[i]?.startsWith(prefix); i++)
          for (const place of this.#places[i]!) if (found[place] === 1) next[place] = 1
      found = next
    }
    return found
  }

  #firstAtOrAfter(word: string): number {
    let low = 0
    let high = this.#words.length
    while (low < high) {
      const middle = (low + high) >>> 1
      if (this.#words[middle]! < word) low = middle + 1
      else high = middle
    }
    return low
  }
}

/** Words as they are and, where that differs, with ä, ö and ü written out: "Müller" is found by "muller" and "mueller". */
function everyWordOf(text: string): string[] {
  const spelled = spelledOut(text)
  return spelled === text ? wordsOf(text) : [...wordsOf(text), ...wordsOf(spelled)]
}

function spelledOut(text: string): string {
  if (/^[\x20-\x7e]*$/.test(text)) return text
  return text.normalize("NFC").replace(/[äöü]/gi, (letter) => `${foldAccents(letter)}e`)
}

function foldAccents(text: string): string {
  return text
    .normalize("NFKD")
    .replace(/\p{M}+/gu, "")
    .toLowerCase()
    .replaceAll("ß", "ss")
    .replaceAll("ø", "o")
    .replaceAll("ł", "l")
    .replaceAll("æ", "ae")
    .replaceAll("œ", "oe")
}
