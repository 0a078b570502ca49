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

/** The words by which a row is found whatever its diagnoses are, of its names and its birth date. */
const wordsOfName = (name: string) => everyWordOf(name).slice(0, nameWords)
const wordOfDate = (date: string) => date.slice(0, longestWord)

/** Whether every word of a query begins some word of the row: what the index does, for one row. */
export function matches({ firstName, lastName, birthDate, diagnoses }: Searchable, query: Query): boolean {
  const names = [...wordsOfName(firstName), ...wordsOfName(lastName), wordOfDate(birthDate)]
  const words = [...names, ...diagnoses.flatMap(everyWordOf)]
  return query.every((ways) => words.some((word) => ways.some((prefix) => word.startsWith(prefix))))
}

/** An index over a fixed list of rows, which are named by their place in it. Words of names lead to rows; words of diagnoses lead to texts,
 * and those to rows: many have the same. Whoever may write in records could else fill the memory of everybody who lists them: when there is
 * too much in all diagnoses together, those of later rows are left out. */
export class SearchIndex {
  readonly #names: WordLists
  readonly #diagnoses: WordLists
  /** The places of the rows that have a diagnosis, by its number. */
  readonly #places: readonly (readonly number[])[]
  readonly #size: number
  /** The places of the rows that are not found by all of their diagnoses. */
  readonly cut: ReadonlySet<number>

  constructor(rows: readonly Searchable[]) {
    const names = new Map<string, number[]>()
    const diagnoses = new Map<string, number[]>()
    const known = new Map<string, number[]>()
    const places: number[][] = []
    const cut = new Set<number>()
    // Many patients have the same names, and to fold one takes long.
    const folded = new Map<string, readonly string[]>()
    const addName = (name: string, place: number) => {
      let words = folded.get(name)
      if (words === undefined) {
        words = wordsOfName(name)
        folded.set(name, words)
      }
      for (const word of words) add(names, word, place)
    }
    let left = costOfAll + costOfRow * rows.length
    const addDiagnosis = (text: string, place: number) => {
      left -= costOfPlace
      const others = known.get(text)
      if (others !== undefined) {
        others.push(place)
        return
      }
      const had = [place]
      known.set(text, had)
      const number = places.push(had) - 1
      left -= text.length
      for (const word of everyWordOf(text))
        left -= costOfWord + (add(diagnoses, word, number) ? costOfNewWord + word.length : 0)
    }
    rows.forEach(({ firstName, lastName, birthDate, diagnoses: texts }, place) => {
      addName(firstName, place)
      addName(lastName, place)
      if (birthDate !== "") add(names, wordOfDate(birthDate), place)
      for (const text of texts) {
        if (left > 0) addDiagnosis(text, place)
        else cut.add(place)
      }
    })
    this.#names = new WordLists(names)
    this.#diagnoses = new WordLists(diagnoses)
    this.#places = places
    this.#size = rows.length
    this.cut = cut
  }

  /** About what it takes of memory. */
  get sizeBytes(): number {
    const places = this.#places.reduce((sum, list) => sum + 50 + 8 * list.length, 0)
    return this.#names.sizeBytes + this.#diagnoses.sizeBytes + places
  }

  /** Marks the rows in which every one of the words begins some word: 1 at their places. */
  find(query: Query): Uint8Array {
    let found = new Uint8Array(this.#size).fill(1)
    for (const ways of query) {
      const next = new Uint8Array(this.#size)
      const seen = new Uint8Array(this.#places.length)
      for (const prefix of ways) {
        for (const place of this.#names.beginningWith(prefix)) next[place] = found[place]!
        for (const text of this.#diagnoses.beginningWith(prefix)) {
          if (seen[text] === 1) continue
          seen[text] = 1
          for (const place of this.#places[text]!) next[place] = found[place]!
        }
      }
      found = next
    }
    return found
  }
}

/** @returns whether the word is new */
function add(lists: Map<string, number[]>, word: string, number: number): boolean {
  const list = lists.get(word)
  if (list === undefined) lists.set(own(word), [number])
  else if (list[list.length - 1] !== number) list.push(number)
  return list === undefined
}

/** Lists of numbers by word, found by how the words begin. */
class WordLists {
  readonly #words: readonly string[]
  /** Where each word's list ends in all of them. */
  readonly #ends: Int32Array
  readonly #all: Int32Array

  constructor(lists: ReadonlyMap<string, readonly number[]>) {
    this.#words = [...lists.keys()].sort()
    this.#ends = new Int32Array(this.#words.length)
    const all: number[] = []
    for (let i = 0; i < this.#words.length; i++) {
      for (const number of lists.get(this.#words[i]!)!) all.push(number)
      this.#ends[i] = all.length
    }
    this.#all = new Int32Array(all)
  }

  get sizeBytes(): number {
    const words = this.#words.reduce((sum, word) => sum + 50 + 2 * word.length, 0)
    return words + this.#ends.byteLength + this.#all.byteLength
  }

  /** The numbers of every word that begins so. */
  beginningWith(prefix: string): Int32Array {
    // No word has this character.
    return this.#all.subarray(this.#beginAt(prefix), this.#beginAt(`${prefix}\uffff`))
  }

  /** Where the list of the first word begins that does not come before this one. */
  #beginAt(word: string): number {
    let low = 0
    let high = this.#words.length
    while (low < high) {
      const middle = (low + high) >>> 1
      if (this.#words[middle]! < word) low = middle + 1
      else high = middle
    }
    return low === 0 ? 0 : this.#ends[low - 1]!
  }
}

/** Words as they are and, where that differs, with ä, ö and ü written out: "Müller" is found by "muller" and "mueller". */
function everyWordOf(text: string): string[] {
  const spelled = spelledOut(text)
  return spelled === text ? wordsOf(text) : [...wordsOf(text), ...wordsOf(spelled)]
}

function spelledOut(text: string): string {
  if (isAscii(text)) return text
  return text.normalize("NFC").replace(/[äöü]/gi, (letter) => spelling[letter.toLowerCase()]!)
}

function foldAccents(text: string): string {
  const plain = text
    .normalize("NFKD")
    .replace(/\p{M}+/gu, "")
    .toLowerCase()
  return isAscii(plain) ? plain : plain.replace(/[ßøłæœ]/g, (letter) => spelling[letter]!)
}

const spelling: Readonly<Record<string, string>> = {
  ä: "ae",
  ö: "oe",
  ü: "ue",
  ß: "ss",
  ø: "o",
  ł: "l",
  æ: "ae",
  œ: "oe",
}
