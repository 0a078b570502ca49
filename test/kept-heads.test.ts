import { beforeAll, beforeEach, describe, expect, test } from "vitest"
import { createPatient } from "../src/client/edits.ts"
import { Kept } from "../src/client/kept.ts"
import type { RosterRow } from "../src/client/roster-row.ts"
import { RosterRows } from "../src/client/roster-rows.ts"
import type { Session } from "../src/client/session.ts"
import type { Workspace } from "../src/client/workspace.ts"
import { encodeBase64url } from "../src/encoding/base64.ts"
import { newId, type PhysicianId, type RecordId } from "../src/encoding/ids.ts"
import { encodeChainHead } from "../src/proof/chain-head.ts"
import { brady, physicians } from "./colleagues.ts"
import { openPractice } from "./practice.ts"

const practice = await openPractice()
const random = (n: number) => crypto.getRandomValues(new Uint8Array(n))

test("the heads of 12,000 patients who are shared with nine colleagues are kept for a restore", {
  timeout: 120_000,
}, async () => {
  const [ada] = await physicians(practice, "ada")
  const { id } = await createPatient(ada!, brady)
  const row = ada!.roster.rows.get(id)!
  const members = Array.from({ length: 10 }, (_, i) => ({
    physician: newId<"physician">() as PhysicianId,
    fingerprint: random(32),
    role: i === 0 ? ("owner" as const) : ("reader" as const),
  }))
  const rows: RosterRow[] = Array.from({ length: 12_000 }, (_, i) => {
    const record = newId<"record">() as RecordId
    const chain = encodeChainHead({
      record,
      seq: 9,
      hash: random(32),
      epoch: 0,
      members,
      commits: new Map([[0, random(32)]]),
      mustRaise: false,
      settled: 5,
      leaf: 1000 + i,
      seen: new Map([[members[0]!.physician, { size: 900, root: random(32) }]]),
    })
    return { ...row, id: record, seq: 9, hash: encodeBase64url(random(32)), leaf: 1000 + i, chain }
  })
  const { kept, around } = ada!.session
  const files = async () => (await around.storage.list("kept/")).filter((name) => name.includes("/heads-"))
  await kept.keepHeads(rosterOf(rows))
  const before = await files()
  expect(before).toHaveLength(2)
  // What is kept already is not written again, and what was kept before goes.
  await kept.keepHeads(rosterOf(rows))
  expect(await files()).toEqual(before)
  await kept.keepHeads(rosterOf([{ ...rows[0]!, seq: 10 }]))
  const after = await files()
  expect(after).toHaveLength(2)
  expect(after.some((name) => before.includes(name))).toBe(false)
  const left = new Map(rows.slice(12).map(({ id }) => [id, 10]))
  await kept.keepHeads(rosterOf([], left))
  expect(await files()).toHaveLength(1)
})

test("and those of 130,000 in whom the physician is alone", { timeout: 120_000 }, async () => {
  const [eve] = await physicians(practice, "eve")
  const row = eve!.roster.rows.get((await createPatient(eve!, brady)).id)!
  const rows = Array.from({ length: 130_000 }, () => ({ ...row, id: newId<"record">() as RecordId, chain: "" }))
  const { kept, around } = eve!.session
  const files = async () => (await around.storage.list("kept/")).filter((name) => name.includes("/heads-"))
  await kept.keepHeads(rosterOf(rows))
  const before = await files()
  expect(before).toHaveLength(1)
  // What opens goes once it is held by another.
  await kept.keepHeads(rosterOf([{ ...rows[0]!, seq: 10 }]))
  const after = await files()
  expect(after).toHaveLength(1)
  expect(after).not.toEqual(before)
})

describe("what is kept of heads goes forward alone", () => {
  let work: Workspace
  let ids: RecordId[]
  let rows: RosterRow[]
  beforeAll(async () => {
    const [bea] = await physicians(practice, "bea")
    work = bea!
    ids = []
    for (const _ of Array(3)) ids.push((await createPatient(work, brady)).id)
  })
  beforeEach(async () => {
    const { kept, around } = work.session
    for (const name of await around.storage.list("kept/"))
      if (name.includes("/heads-")) await around.storage.delete(name)
    rows = ids.map((id) => ({ ...work.roster.rows.get(id)!, seq: 5, hash: encodeBase64url(random(32)) }))
    await kept.keepHeads(rosterOf(rows))
  })
  /** What a later session finds, by record. */
  const kept = async () => {
    const [former] = await new Kept(elsewhere(work.session)).former()
    return new Map(former?.heads.map(({ record, seq, hash }) => [record, { seq, hash }]))
  }
  const as = ({ seq, hash }: RosterRow) => ({ seq, hash })

  test("a roster that is not complete replaces nothing", async () => {
    await work.session.kept.keepHeads({ ...rosterOf([]), isComplete: false })
    await work.session.kept.keepHeads({ ...rosterOf([{ ...rows[0]!, seq: 9 }]), isComplete: false })
    expect(await kept()).toEqual(new Map(rows.map((row) => [row.id, as(row)])))
  })

  test("an older tab takes nothing back, and brings what it alone has seen", async () => {
    const [one, two, three] = rows as [RosterRow, RosterRow, RosterRow]
    const further = { ...two, seq: 6, hash: encodeBase64url(random(32)) }
    await work.session.kept.keepHeads(rosterOf([{ ...one, seq: 4, hash: encodeBase64url(random(32)) }, further]))
    expect(await kept()).toEqual(new Map([one, further, three].map((row) => [row.id, as(row)])))
  })

  test("another entry of the same number does not take the first one's place", async () => {
    await work.session.kept.keepHeads(rosterOf([{ ...rows[0]!, hash: encodeBase64url(random(32)) }]))
    expect((await kept()).get(ids[0]!)).toEqual(as(rows[0]!))
  })

  test("a record that the physician left goes, and one that they were taken back into stays", async () => {
    const [one, two, three] = rows as [RosterRow, RosterRow, RosterRow]
    const left = new Map([
      [one.id, 6],
      [two.id, 4],
    ])
    await work.session.kept.keepHeads(rosterOf([three], left))
    expect(await kept()).toEqual(new Map([two, three].map((row) => [row.id, as(row)])))
  })

  test("two tabs that keep at once keep what either has seen", async () => {
    const tabs = [work.session.kept, new Kept(work.session), new Kept(work.session)]
    const further = rows.map((row) => ({ ...row, seq: 7, hash: encodeBase64url(random(32)) }))
    await Promise.all(tabs.map((tab, i) => tab.keepHeads(rosterOf([further[i]!]))))
    expect(await kept()).toEqual(new Map(further.map((row) => [row.id, as(row)])))
  })

  test("a file that does not open is not deleted", async () => {
    const { storage } = work.session.around
    const [name] = (await storage.list("kept/")).filter((one) => one.includes("/heads-"))
    const whole = (await storage.get(name!))!
    await storage.put(name!, whole.subarray(1))
    const further = { ...rows[0]!, seq: 7 }
    await work.session.kept.keepHeads(rosterOf([further]))
    await storage.put(name!, whole)
    expect(await kept()).toEqual(new Map([further, ...rows.slice(1)].map((row) => [row.id, as(row)])))
  })
})

function rosterOf(rows: readonly RosterRow[], leftAt: ReadonlyMap<RecordId, number> = new Map()) {
  const all = new RosterRows()
  for (const row of rows) all.set(row.id, row)
  return { isComplete: true, rows: all, leftAt: new Map(leftAt) }
}

/** The same device in another log. */
function elsewhere(session: Session): Session {
  return Object.create(session, { line: { value: [{ hash: new Uint8Array(32) }] } })
}
