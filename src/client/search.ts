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
/** A row costs so much at each of its texts. A text that no row had before costs its length in UTF-16 units, and each of its words so much
 * beside that. */
const costOfPlace = 16
const costOfWord = 8
/** A word that no text had before costs its length once more, and so much beside that. */
const costOfNewWord = 50

/** Lower case without accents, so that "agustin" finds "Agustín". */
export function fold(text: string): string {
  return isAscii(text) ? text.toLowerCase() : foldAccents(text)
}

/** The words of a text, folded. */
export function wordsOf(text: string): string[] {
  // The same words, found in less time.
  const words = isAscii(text) ? text.toLowerCase().match(/[a-z0-9-]+/g) : foldAccents(text).match(/[\p{L}\p{N}-]+/gu)
  return (words ?? []).map((word) => (word.length > longestWord ? word.slice(0, longestWord) : word))
}

function isAscii(text: string): boolean {
  return /^[\x20-\x7e]*$/.test(text)
}

/** What is looked for: each word in every way in which it may be written. */
export type Query = readonly (readonly string[])[]

/** The words of what somebody typed: "Müller" is muller and mueller. */
export function queryOf(text: string): Query {
  const spelled = wordsOf(spelledOut(text))
  return wordsOf(text).map((word, i) => [...new Set([word, spelled[i] ?? word])])
}

/** The words that a row is found by at each of its texts. */
const wordsAt = {
  name: (text: string) => everyWordOf(text).slice(0, nameWords),
  birthDate: (text: string) => (text === "" ? [] : [text.slice(0, longestWord)]),
  diagnosis: everyWordOf,
} as const
type Kind = keyof typeof wordsAt

/** Whether every word of a query begins some word of the row: what the index does, for one row. */
export function matches({ firstName, lastName, birthDate, diagnoses }: Searchable, query: Query): boolean {
  const names = [...wordsAt.name(firstName), ...wordsAt.name(lastName), ...wordsAt.birthDate(birthDate)]
  const words = [...names, ...diagnoses.flatMap(wordsAt.diagnosis)]
  return query.every((ways) => words.some((word) => ways.some((prefix) => word.startsWith(prefix))))
}

/** An index over a fixed list of rows: words lead to the texts that have them, and texts to their rows, which are named by their place in
 * the list. Many rows have the same texts. Whoever may write in records could else fill the memory of everybody who lists them: when there
 * is too much in all diagnoses together, those of later rows are left out. */
export class SearchIndex {
  readonly #words: readonly string[]
  /** The numbers of the texts, by word. */
  readonly #texts: readonly (readonly number[])[]
  /** The places of the rows, by text. */
  readonly #places: readonly (readonly number[])[]
  readonly #size: number
  /** The places of the rows that are not found by all of their diagnoses. */
  readonly cut: ReadonlySet<number>

  constructor(rows: readonly Searchable[]) {
    const words = new Map<string, number[]>()
    const places: number[][] = []
    const known = { name: new Map(), birthDate: new Map(), diagnosis: new Map() } as Record<Kind, Map<string, number>>
    /** @returns what that costs */
    const put = (kind: Kind, text: string, place: number): number => {
      const number = known[kind].get(text)
      if (number !== undefined) {
        places[number]!.push(place)
        return costOfPlace
      }
      const added = places.push([place]) - 1
      known[kind].set(text, added)
      let cost = costOfPlace + text.length
      for (const word of wordsAt[kind](text)) {
        const texts = words.get(word)
        if (texts === undefined) words.set(own(word), [added])
        else if (texts[texts.length - 1] !== added) texts.push(added)
        cost += costOfWord + (texts === undefined ? costOfNewWord + word.length : 0)
      }
      return cost
    }
    const cut = new Set<number>()
    let left = costOfAll + costOfRow * rows.length
    for (const [place, { firstName, lastName, birthDate, diagnoses }] of rows.entries()) {
      put("name", firstName, place)
      put("name", lastName, place)
      put("birthDate", birthDate, place)
      for (const text of diagnoses) {
        if (left <= 0) {
          cut.add(place)
          break
        }
        left -= put("diagnosis", text, place)
      }
    }
    this.#words = [...words.keys()].sort()
    this.#texts = this.#words.map((word) => words.get(word)!)
    this.#places = places
    this.#size = rows.length
    this.cut = cut
  }

  /** About what it takes of memory. */
  get sizeBytes(): number {
    const numbers = (lists: readonly (readonly number[])[]) =>
      lists.reduce((sum, list) => sum + 50 + 8 * list.length, 0)
    const words = this.#words.reduce((sum, word) => sum + 50 + 2 * word.length, 0)
    return words + numbers(this.#texts) + numbers(this.#places)
  }

  /** Marks the rows in which every one of the words begins some word: 1 at their places. */
  find(query: Query): Uint8Array {
    let found = new Uint8Array(this.#size).fill(1)
    for (const ways of query) {
      const next = new Uint8Array(this.#size)
      const seen = new Uint8Array(this.#places.length)
      for (const prefix of ways)
        for (let i = this.#firstAtOrAfter(prefix); this.#words[i]?.startsWith(prefix); i++)
          for (const text of this.#texts[i]!) {
            if (seen[text] === 1) continue
            seen[text] = 1
            for (const place of this.#places[text]!) if (found[place] === 1) next[place] = 1
          }
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
  if (isAscii(text)) return text
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
