import { expect, test, vi } from "vitest"
import { createPatient } from "../src/client/edits.ts"
import { HomeList } from "../src/client/home.ts"
import { workspaceOf } from "../src/client/workspace.ts"
import { newId } from "../src/encoding/ids.ts"
import { brady } from "./colleagues.ts"
import { openPractice } from "./practice.ts"

const practice = await openPractice()
const everything = { sort: "name", descending: false, archived: false, offset: 0, limit: 1 } as const

/** As long as a row's diagnoses can be, of texts that take longest to fold. */
const longest = (end: string) => Array.from({ length: 10 }, (_, i) => `${"ä ".repeat(490)}${i}${end}`)

test("a colleague who changes many rows, with the longest texts, slows no search", async () => {
  const work = workspaceOf(await practice.register("ada"))
  const { id } = await createPatient(work, brady)
  const row = work.roster.rows.get(id)!
  const list = new HomeList(work)
  const found = (search: string) => list.page({ ...everything, search }, true, "2026-11-23").matching
  // To fold a text is what takes long: each search counts how many it folds.
  const folded = vi.spyOn(String.prototype, "normalize")
  const counts: number[] = []
  const typed = (search: string) => {
    folded.mockClear()
    const matching = found(search)
    counts.push(folded.mock.calls.length)
    return matching
  }
  expect(found("brady")).toBe(1)
  const change = (n: number) => work.roster.take({ ...row, id: newId<"record">(), diagnoses: longest(`end${n}`) })

  // Fewer than the index is built anew for, were they short: all at once, and then one before every letter.
  for (let n = 0; n < 290; n++) change(n)
  expect([found("zzz"), found("brady")]).toEqual([0, 291])
  for (let n = 290; n < 296; n++) {
    change(n)
    expect([typed("zzz"), typed("brady"), typed(`9end${n}`)]).toEqual([0, n + 2, 1])
  }
  folded.mockRestore()
  // Those of the one row that has just changed, and of what was typed; of all rows they would be 5,800.
  expect(Math.max(...counts)).toBeGreaterThan(0)
  expect(Math.max(...counts)).toBeLessThan(100)
})
