import { expect, test } from "vitest"
import { newId, type RecordId } from "../../encoding/ids.ts"
import { extendChain } from "../../proof/chain.ts"
import { type Author, draftMembers, memberOf, randomToken } from "../client.fixture.ts"
import { databases, type TestStore } from "../server.fixture.ts"
import { append, enrol } from "./store.fixture.ts"

const largestGrant = 64 * 1024
const pageBytes = 8 * 1024 * 1024

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
  const found = []
  const pages = []
  for (let since = 0, more = true; more; ) {
    const page = await at.store.invitations(bob.physician, { since, limit: 1000, from: [ada.physician], without: [] })
    expect(page.waiting).toBe(150)
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
