/** Search over opened summaries: sorted, folded words, found by prefix. Nothing of it leaves the client. */

import { own } from "../clinical/clip.ts"

export interface Searchable {
  readonly firstName: string
  readonly lastName: string
  readonly birthDate: string
  readonly diagnoses: readonly string[]
}

/** So much of a word tells it from others, in UTF-16 units. */
const longestWord = 64
/** So many words of each name are looked at. */
const nameWords = 20
/** What all rows' diagnoses may cost in an index, and for each row more: rows of ordinary patients cost some hundreds, one with a hundred
 * diagnoses about 10,000. */
const costOfAll = 8_000_000
const costOfRow = 2000
/** A text costs its length in UTF-16 units, and each of its words so much beside that. */
const costOfWord = 8
/** A word that no row had before costs its length once more, and so much beside that. */
const costOfNewWord = 50

/** Lower case without accents, so that "agustin" finds "Agustín". */
export function fold(text: string): string {
  return /^[\x20-\x7e]*$/.test(text) ? text.toLowerCase() : foldAccents(text)
}

/** The words of a text, folded. */
export function wordsOf(text: string): string[] {
  return fold(text)
    .split(/[^\p{L}\p{N}-]+/u)
    .filter((word) => word !== "")
    .map((word) => word.slice(0, longestWord))
}

/** What is looked for: each word in every way in which it may be written. */
export type Query = readonly (readonly string[])[]

/** The words of what somebody typed: "Müller" is muller and mueller. */
export function queryOf(text: string): Query {
  const spelled = wordsOf(spelledOut(text))
  return wordsOf(text).map((word, i) => [...new Set([word, spelled[i] ?? word])])
}

/** Every word that a row is found by, whatever its diagnoses are. */
function namesOf({ firstName, lastName, birthDate }: Searchable): string[] {
  const names = [firstName, lastName].flatMap((name) => everyWordOf(name).slice(0, nameWords))
  return birthDate === "" ? names : [birthDate.slice(0, longestWord), ...names]
}

/** Whether every word of a query begins some word of the row: what the index does, for one row. */
export function matches(row: Searchable, query: Query): boolean {
  const words = [...namesOf(row), ...row.diagnoses.flatMap(everyWordOf)]
  return query.every((ways) => words.some((word) => ways.some((prefix) => word.startsWith(prefix))))
}

/** An index over a fixed list of rows. Rows are named by their place in it. Whoever may write in records could else fill the memory of
 * everybody who lists them: when there is too much in all diagnoses together, those of later rows are left out. */
export class SearchIndex {
  readonly #words: readonly string[]
  readonly #places: readonly (readonly number[])[]
  readonly #size: number
  /** The places of the rows that are not found by all of their diagnoses. */
  readonly cut: ReadonlySet<number>

  constructor(rows: readonly Searchable[]) {
    const index = new Map<string, number[]>()
    const kept = new Map<string, readonly string[]>()
    const cut = new Set<number>()
    let left = costOfAll + costOfRow * rows.length
    const add = (word: string, place: number): number => {
      const list = index.get(word)
      if (list === undefined) index.set(own(word), [place])
      else if (list.at(-1) !== place) list.push(place)
      return costOfWord + (list === undefined ? costOfNewWord + word.length : 0)
    }
    const wordsOnce = (text: string) => {
      const known = kept.get(text)
      if (known !== undefined) return known
      const words = everyWordOf(text)
      kept.set(text, words)
      return words
    }
    for (const [place, row] of rows.entries()) {
      for (const word of namesOf(row)) add(word, place)
      for (const text of row.diagnoses) {
        if (left <= 0) {
          cut.add(place)
          break
        }
        left -= text.length
        for (const word of wordsOnce(text)) left -= add(word, place)
      }
    }
    this.#words = [...index.keys()].sort()
    this.#places = this.#words.map((word) => index.get(word)!)
    this.#size = rows.length
    this.cut = cut
  }

  /** About what it takes of memory. */
  get sizeBytes(): number {
    const words = this.#words.reduce((sum, word) => sum + 100 + 2 * word.length, 0)
    return this.#places.reduce((sum, places) => sum + 8 * places.length, words)
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
