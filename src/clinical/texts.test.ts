import fc from "fast-check"
import { expect, it } from "vitest"
import { concatAll, parseUtf8, utf8 } from "../encoding/bytes.ts"
import type { ContentChange } from "./content.ts"
import { LiveTexts } from "./texts.ts"

/** An entry's changes, whose texts lie one after the other in the content that they came with, among so much else. */
function entryOf(said: readonly (readonly [key: number, size: number | null])[], besides: number): ContentChange[] {
  const texts = said.map(([key, size]) => (size === null ? null : utf8(`${key}:${"x".repeat(size)}`)))
  const content = concatAll([...texts.filter((text) => text !== null), new Uint8Array(besides)])
  let at = 0
  return said.map(([key], i) => {
    const text = texts[i]
    if (text == null) return { key: String(key), text: null, weight: 0 }
    at += text.length
    return { key: String(key), text: content.subarray(at - text.length, at), weight: text.length + 1 }
  })
}

const entry = fc.record({
  author: fc.constantFrom("ada", "ben"),
  said: fc.uniqueArray(fc.tuple(fc.nat(12), fc.option(fc.nat(400), { freq: 4 })), {
    selector: ([key]) => key,
    maxLength: 10,
  }),
  besides: fc.constantFrom(0, 40, 5000),
})

it("texts are what was said last, count for who said it, and hold little more memory than they have", () => {
  const property = fc.property(fc.array(entry, { maxLength: 25 }), fc.nat(24), (entries, at) => {
    const model = new Map<string, { text: string; author: string; weight: number }>()
    let texts = new LiveTexts(null)
    let early: { texts: LiveTexts; model: string } | null = null
    for (const [i, { author, said, besides }] of entries.entries()) {
      const changes = entryOf(said, besides)
      const after = texts.shareAfter(author, changes)
      texts.apply(changes, author)
      expect(texts.shareOf(author)).toEqual(after)
      for (const { key, text, weight } of changes) {
        model.delete(text === null ? key : "")
        if (text !== null) model.set(key, { text: parseUtf8(text), author, weight })
      }
      if (i !== at) continue
      early = { texts, model: JSON.stringify([...texts]) }
      texts = new LiveTexts(texts)
    }
    expect([...texts]).toEqual(Array.from(model, ([key, { text }]) => [key, text]))
    for (const author of ["ada", "ben"]) {
      const own = [...model.values()].filter((one) => one.author === author)
      const weight = own.reduce((sum, one) => sum + one.weight, 0)
      expect(texts.shareOf(author)).toEqual({ weight, resources: own.length })
    }
    const live = [...model.values()].reduce((sum, { text }) => sum + text.length, 0)
    expect(texts.bytes * 7).toBeLessThanOrEqual(live * 8)
    // What others were made from stays as it was.
    if (early !== null) expect(JSON.stringify([...early.texts])).toBe(early.model)
    const again = new LiveTexts(null, texts)
    again.apply(
      entryOf(
        Array.from(model.keys(), (key) => [Number(key), 3] as const),
        0,
      ),
      "ada",
    )
    expect(again.size).toBe(model.size)
  })
  fc.assert(property, { numRuns: 500 })
})
