import { describe, expect, it } from "vitest"
import { matches, queryOf, SearchIndex } from "./search.ts"

const blank = { firstName: "Ann", lastName: "Lee", birthDate: "1961-07-09", diagnoses: [] as string[] }
const mebibyte = 1024 * 1024

/** Texts of so many units together, of words that no other text has. */
function filler() {
  let next = 36 ** 3
  return (units: number): string[] => {
    const texts: string[] = []
    for (let left = units; left > 0; left -= 1000) {
      let text = ""
      while (text.length < Math.min(left, 990)) text += `${(next++).toString(36)} `
      texts.push(text)
    }
    return texts
  }
}

/** A patient with a hundred diagnoses, as long as they are in ICD-10. */
function ill(n: number) {
  const kinds = ["Type 2 diabetes mellitus with", "Personal history of", "Other disorders of", "Encounter for"]
  const text = (i: number) => `${kinds[i % 4]} site ${(n * 37 + i * 11) % 5000}, stage ${i}`
  return { ...blank, lastName: `Last${n}`, diagnoses: Array.from({ length: 100 }, (_, i) => text(i)) }
}

/** The places of the rows that a text finds. */
const found = (index: SearchIndex, text: string) =>
  [...index.find(queryOf(text)).entries()].flatMap(([place, hit]) => (hit === 1 ? [place] : []))

describe("the index", () => {
  it("takes in of rows that are filled with words no more than so many bytes, and finds each by its name", () => {
    const fill = filler()
    const rows = Array.from({ length: 500 }, (_, i) => ({ ...blank, lastName: `Zoe${i}`, diagnoses: fill(10_000) }))
    const index = new SearchIndex([{ ...blank, diagnoses: ["Gout"] }, ...rows])
    expect(index.sizeBytes).toBeLessThan(24 * mebibyte)
    expect(found(index, "gout")).toEqual([0])
    for (const place of [1, 250, 500]) expect(found(index, `ann zoe${place - 1} 1961`)).toContain(place)
    expect(index.cut.size).toBeGreaterThan(400)
    expect(index.cut.has(0)).toBe(false)
  })

  it("takes in no more where the words are the same in each row, or the names are filled", () => {
    const same = filler()(10_000)
    const again = Array.from({ length: 3000 }, () => ({ ...blank, diagnoses: same }))
    expect(new SearchIndex(again).sizeBytes).toBeLessThan(32 * mebibyte)
    const fill = filler()
    const named = Array.from({ length: 1000 }, () => {
      const [firstName, lastName] = [fill(200)[0]!, "\ufdfa".repeat(200)]
      return { ...blank, firstName, lastName, birthDate: fill(200)[0]! }
    })
    expect(new SearchIndex(named).sizeBytes).toBeLessThan(24 * mebibyte)
  })

  it("takes in every word of patients with a hundred diagnoses each", () => {
    const rows = Array.from({ length: 300 }, (_, n) => ill(n))
    const index = new SearchIndex(rows)
    expect(index.cut.size).toBe(0)
    for (const typed of ["diab", "site 11 last1", "99", "history last299", "nobody"]) {
      const scanned = rows.flatMap((row, place) => (matches(row, queryOf(typed)) ? [place] : []))
      expect(found(index, typed)).toEqual(scanned)
    }
  })
})
