import { afterAll, beforeAll, expect, it } from "vitest"
import { utf8 } from "../encoding/bytes.ts"
import { countWork } from "./count-work.fixture.ts"

let counter: Awaited<ReturnType<typeof countWork>>
let texts: typeof import("./texts.ts")
beforeAll(async () => {
  counter = await countWork("/clinical/")
  texts = await import("./texts.ts")
})
afterAll(() => counter.stop())

/** So many resources of twenty bytes, in one piece of memory; with other keys, more of them. */
function entry(count: number, from = 0) {
  const text = utf8('{"resourceType":"A"}')
  const content = new Uint8Array(count * text.length)
  for (let i = 0; i < count; i++) content.set(text, i * text.length)
  return Array.from({ length: count }, (_, i) => ({
    key: `A/${from + i}`,
    text: content.subarray(i * text.length, (i + 1) * text.length),
    weight: text.length,
  }))
}

async function workOf(work: () => unknown): Promise<number> {
  return (await counter.of(work)).get("texts.ts") ?? 0
}

it("an entry that replaces everything takes work for each of its changes, and no more", async () => {
  const live = new texts.LiveTexts(null)
  live.apply(entry(20_000), "ada")
  expect(await workOf(() => live.apply(entry(20_000), "ada"))).toBeLessThan(20 * 20_000)
})

it("what is left moves once an entry, however many eighths of it go", async () => {
  const live = new texts.LiveTexts(null)
  live.apply([...entry(20_000)], "ada")
  // Five eighths of it.
  const removed = entry(12_500).map(({ key }) => ({ key, text: null, weight: 0 }))
  expect(await workOf(() => live.apply(removed, "ada"))).toBeLessThan(10 * 12_500 + 10 * 7_500)
})
