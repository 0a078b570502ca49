import { DatabaseSync } from "node:sqlite"
import { expect, test } from "vitest"
import { newId, type RecordId } from "../../encoding/ids.ts"
import { limits } from "../../encoding/limits.ts"
import { extendChain } from "../../proof/chain.ts"
import type { Member } from "../../proof/entry.ts"
import { type Author, draftMembers, memberOf, randomToken } from "../client.fixture.ts"
import { databases, type TestStore } from "../server.fixture.ts"
import { append, draft, enrol } from "./store.fixture.ts"
import type { VerifiedEntry } from "./store.ts"

/** Puts rows for entries of somebody's behind a record's newest one. */
function fill(at: TestStore, record: RecordId, author: Author, kind: string, count: number) {
  const db = new DatabaseSync(at.file)
  db.prepare(`with recursive number(n) as (select 1 union all select n + 1 from number where n < ?)
    insert into entry (record, seq, author, kind, epoch, statement, statement_sha256, signature, leaf)
    select ?, n + 1000000, ?, ?, 0, x'', x'', x'', -n - (select count(*) from entry) from number`).run(
    count,
    record,
    author.physician,
    kind,
  )
  db.close()
}

/** The same entry at the end of a long chain. */
function late(entry: VerifiedEntry, seq: number): VerifiedEntry {
  return { ...entry, entry: { ...entry.entry, seq }, head: { ...entry.head, seq } }
}

async function changeMembers(at: TestStore, by: Author, before: Awaited<ReturnType<typeof append>>, list: Member[]) {
  const { record } = before.entry.entry
  const { size, root } = at.store.treeHead()
  const removes = list.length < before.entry.drafted.members.length
  const drafted = await draftMembers(by, before.entry.drafted, list, { size, root }, { raise: removes })
  const head = await at.store.chainHead(record)
  const link = await extendChain(head, record, drafted.signed, size, () => by)
  const tokens = { body: undefined, summary: drafted.summary, since: 0 }
  const selfGrant = removes ? randomToken(89) : undefined
  return { ...link, ...tokens, selfGrant, before: head, signed: drafted.signed, grants: drafted.grants ?? [], drafted }
}

test.each(databases)("each author adds so many entries to a record, on $name", async ({ open }) => {
  const at = await open()
  const [ada, bob] = [await enrol(at, "ada"), await enrol(at, "bob")]
  const most = limits.storedEntries
  const next = async (count: number) => {
    const record = newId<"record">()
    const first = await append(at, ada, record, null)
    fill(at, record, ada, "write", count - 1)
    return late(await draft(at, ada, record, first, at.store.treeHead()), count)
  }
  await at.store.append(late(await next(most - 1), most))
  const refused = await next(most)
  await expect(at.store.append(refused)).rejects.toMatchObject({ code: "BAD_INPUT_ENTRIES" })
  // It is counted for each author, and in each record.
  await at.store.append({ ...refused, entry: { ...refused.entry, author: bob.physician } })
  await append(at, ada, newId<"record">(), null)
  await at.close()
})

test.each(databases)("members are changed so often, and can always be removed, on $name", async ({ open }) => {
  const at = await open()
  const [ada, bob] = [await enrol(at, "ada"), await enrol(at, "bob")]
  const record = newId<"record">()
  const first = await append(at, ada, record, null)
  const most = limits.storedOwnerEntries
  const both = [memberOf(ada, "owner"), memberOf(bob, "owner")]
  const joins = await changeMembers(at, ada, first, both)
  fill(at, record, ada, "members", most)
  await expect(at.store.append(late(joins, most + 1))).rejects.toMatchObject({ code: "BAD_INPUT_ENTRIES" })
  const shared = { ...first, entry: joins }
  await at.store.append({ ...joins, entry: { ...joins.entry, author: bob.physician } })
  const removes = await changeMembers(at, ada, shared, [memberOf(ada, "owner")])
  await at.store.append(late(removes, most + 2))
  await at.close()
})

test.each(databases)("who is no owner changes the key less often, on $name", async ({ open }) => {
  const at = await open()
  const [ada, bob] = [await enrol(at, "ada"), await enrol(at, "bob")]
  const most = limits.storedMemberEntries
  expect(most).toBeLessThan(limits.storedOwnerEntries)
  const next = async (count: number) => {
    const record = newId<"record">()
    const first = await append(at, ada, record, null)
    const entry = await changeMembers(at, ada, first, [memberOf(ada, "owner"), memberOf(bob, "reader")])
    fill(at, record, ada, "members", count)
    return late(entry, most + 1)
  }
  const asWriter = ({ before, ...rest }: VerifiedEntry) => ({
    ...rest,
    before: { ...before!, members: [memberOf(ada, "writer")] },
  })
  await at.store.append(asWriter(await next(most - 1)))
  const refused = await next(most)
  await expect(at.store.append(asWriter(refused))).rejects.toMatchObject({ code: "BAD_INPUT_ENTRIES" })
  await at.store.append(refused)
  await at.close()
})
