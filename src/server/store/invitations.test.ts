import { DatabaseSync } from "node:sqlite"
import { describe, expect, test } from "vitest"
import { newId, type RecordId } from "../../encoding/ids.ts"
import { extendChain } from "../../proof/chain.ts"
import { type Author, draftMembers, memberOf, randomToken } from "../client.fixture.ts"
import { databases, type TestStore } from "../server.fixture.ts"
import { plansOf } from "./plans.fixture.ts"
import { append, enrol } from "./store.fixture.ts"

const largestGrant = 64 * 1024
const pageBytes = 8 * 1024 * 1024
const everything = { since: 0, limit: 1000, from: [], without: [] }

/** Opens a record and invites somebody to it, with the largest grant that there is. */
async function invite(at: TestStore, from: Author, to: Author): Promise<RecordId> {
  const { entry } = await append(at, from, newId<"record">(), null)
  const { record } = entry.entry
  const { size, root } = at.store.treeHead()
  const list = [memberOf(from, "owner"), memberOf(to, "reader")]
  const { signed } = await draftMembers(from, entry.drafted, list, { size, root })
  const before = await at.store.chainHead(record)
  const link = await extendChain(before, record, signed, size, () => from)
  const tokens = { body: undefined, summary: undefined, selfGrant: undefined, since: 0 }
  const grants = [{ recipient: to.physician, grant: randomToken(largestGrant) }]
  await at.store.append({ ...link, ...tokens, before, signed, grants })
  return record
}

test.each(databases)("invitations come in pages of about 8 MiB, on $name", async ({ open }) => {
  const at = await open()
  const [ada, bob] = [await enrol(at, "ada"), await enrol(at, "bob")]
  const records = []
  for (let i = 0; i < 150; i++) records.push(await invite(at, ada, bob))
  const found: RecordId[] = []
  const pages = []
  for (let since = 0, more = true; more; ) {
    const page = await at.store.invitations(bob.physician, { since, limit: 1000, from: [ada.physician], without: [] })
    expect(page.waiting).toBe(150 - found.length)
    found.push(...page.invitations.map(({ record }) => record))
    pages.push(page.invitations.reduce((sum, { grant, statement }) => sum + grant.length + statement.length, 0))
    ;({ more, next: since } = page)
  }
  expect(found).toEqual(records)
  expect(pages).toHaveLength(2)
  expect(Math.max(...pages)).toBeLessThanOrEqual(pageBytes)
  const wanted = { since: 0, limit: 0, from: [], without: [] }
  expect(await at.store.invitations(bob.physician, wanted)).toMatchObject({ invitations: [], waiting: 150 })
  const without = await at.store.invitations(bob.physician, { ...wanted, limit: 9, without: [ada.physician] })
  expect(without).toMatchObject({ invitations: [], waiting: 0, more: false })
  // Of nobody in particular the newest come first, in one answer.
  const newest = await at.store.invitations(bob.physician, { ...wanted, limit: 3 })
  expect(newest.invitations.map(({ record }) => record)).toEqual(records.slice(-3).reverse())
  expect(newest).toMatchObject({ waiting: 150, next: at.store.treeHead().size })
  await at.close()
})

/** Says in the database alone that one invitation waits so many times. */
function multiply(at: TestStore, record: RecordId, to: Author, times: number, until: number | null = null): void {
  const database = new DatabaseSync(at.file)
  database.exec("pragma foreign_keys = off")
  const { n } = database.prepare("select count(*) as n from member").get() as { n: number }
  database
    .prepare(
      `with recursive many(i) as (select 1 union all select i + 1 from many where i < ?)
       insert into member (record, physician, role, until, invited, inviter, invited_leaf)
       select printf('r%021d', i + ?), physician, role, ?, invited, inviter, invited_leaf from member, many
       where record = ? and physician = ?`,
    )
    .run(times, n, until, record, to.physician)
  database.close()
}

describe.each(databases)("whatever waits for a physician, on $name", ({ open }) => {
  test("an answer finds what it looks at by its own index, in order, and looks at nothing else", async () => {
    const at = await open()
    const [ada, bob] = [await enrol(at, "ada"), await enrol(at, "bob")]
    await invite(at, ada, bob)
    for (const wanted of [
      everything,
      { ...everything, limit: 0 },
      { ...everything, from: [ada.physician, bob.physician] },
      { ...everything, without: [ada.physician] },
    ]) {
      await at.reopen()
      const plans = await plansOf(at.file, () => at.store.invitations(bob.physician, wanted))
      const lines = plans.flatMap(({ plan }) => plan)
      expect(lines.filter((line) => /SCAN|TEMP B-TREE/.test(line))).toEqual([])
      // Of what waits nothing but the index is read, and never more than the limit.
      const found = plans.filter(({ plan }) => plan.some((line) => line.includes("member_")))
      expect(found.length).toBeGreaterThan(0)
      for (const { sql, plan } of found) {
        expect(plan).toEqual([expect.stringMatching(/^SEARCH member USING COVERING INDEX member_(waiting|inviter)/)])
        expect(sql).toContain("limit ?")
      }
    }
    await at.close()
  })

  test("it is counted so far and no further", async () => {
    const at = await open()
    const [ada, bob] = [await enrol(at, "ada"), await enrol(at, "bob")]
    const record = await invite(at, ada, bob)
    multiply(at, record, bob, 998)
    expect((await at.store.invitations(bob.physician, { ...everything, limit: 0 })).waiting).toBe(999)
    multiply(at, record, bob, 7000)
    expect((await at.store.invitations(bob.physician, { ...everything, limit: 0 })).waiting).toBe(1000)
    await at.close()
  })

  test("what has run out is passed over, and what came after it is found", async () => {
    const at = await open()
    const [ada, bob] = [await enrol(at, "ada"), await enrol(at, "bob")]
    multiply(at, await invite(at, ada, bob), bob, 6000, 1)
    const later = await invite(at, ada, bob)
    const found: RecordId[] = []
    for (let since = 0, more = true; more; ) {
      const page = await at.store.invitations(bob.physician, { ...everything, since, from: [ada.physician] })
      found.push(...page.invitations.map((one) => one.record))
      expect(page.more && page.next <= since).toBe(false)
      ;({ more, next: since } = page)
    }
    expect(found.at(-1)).toBe(later)
    await at.close()
  })

  test("of several senders everything comes, once, in the order of the log, however they take turns", async () => {
    const at = await open()
    const names = ["ada", "cy.d", "eve", "fay"]
    const senders = await Promise.all(names.map((name) => enrol(at, name)))
    const bob = await enrol(at, "bob")
    const sent: RecordId[] = []
    for (let i = 0; i < 24; i++) sent.push(await invite(at, senders[i < 9 ? 0 : i % 4]!, bob))
    const from = senders.toReversed().map(({ physician }) => physician)
    const found: RecordId[] = []
    for (let since = 0, more = true; more; ) {
      const page = await at.store.invitations(bob.physician, { since, limit: 5, from: [...from, ...from], without: [] })
      found.push(...page.invitations.map((one) => one.record))
      ;({ more, next: since } = page)
    }
    expect(found).toEqual(sent)
    await at.close()
  })
})
