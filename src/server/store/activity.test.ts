import { expect, test } from "vitest"
import { newId } from "../../encoding/ids.ts"
import { databases } from "../server.fixture.ts"
import { plansOf } from "./plans.fixture.ts"
import { append, enrol, newSession } from "./store.fixture.ts"

test.each(databases)("a page of activity reads no act that is newer than it, on $name", async ({ open }) => {
  const at = await open()
  const ada = await enrol(at, "ada")
  const [record, other] = [newId<"record">(), newId<"record">()]
  const session = newSession(ada, at.clock.time).id
  await append(at, ada, record, null)
  await append(at, ada, other, null)
  for (let i = 0; i < 40; i++) await at.store.recordAct(ada.physician, session, i % 3 === 0 ? other : record, "export")
  const { size } = at.store.treeHead()
  const { leaves } = await at.store.recordActivity(record, size, 200, 0)
  expect(leaves).toHaveLength(1 + 26)
  for (let before = 0; before <= size; before++) {
    const page = await at.store.recordActivity(record, before, 5, 0)
    const older = leaves.filter(({ index }) => index < before)
    expect(page.leaves.map(({ index }) => index)).toEqual(older.slice(0, 5).map(({ index }) => index))
    expect(page.more).toBe(older.length > 5)
  }
  await at.reopen()
  const plans = await plansOf(at.file, () => at.store.recordActivity(record, 1, 1, 0))
  const lines = plans.flatMap(({ plan }) => plan)
  expect(lines.filter((line) => /SCAN|TEMP B-TREE/.test(line))).toEqual([])
  const walks = lines.filter((line) => line.includes("leaf_place") || line.includes("autoindex_leaf"))
  expect(walks.length).toBeGreaterThan(0)
  for (const walk of walks) expect(walk).toContain("subject=? AND stream=? AND number<?")
  await at.close()
})
