import { sql } from "kysely"
import type { PhysicianId, RecordId } from "../../encoding/ids.ts"
import type { Db } from "./connection.ts"
import type { ChangesReply, EntriesReply } from "./store.ts"
import type { Tree } from "./tree.ts"

/** One answer holds about so much, and at least one row. */
const replyBytes = 8 * 1024 * 1024
const entriesAtMost = 2000
const changesAtMost = 1000
/** Leaves that one request looks through, so that no request reads the whole log. */
const leavesAtMost = 100_000

type Stretch = Pick<EntriesReply, "entries" | "more">

/** A chain from `from` on, under the first `size` leaves, cut at about 8 MiB. */
export async function readStretch(db: Db, record: RecordId, from: number, size: number): Promise<Stretch> {
  const sizes = await db
    .selectFrom("entry")
    .select([
      "seq",
      sql<number>`length(statement) + coalesce(length(summary), 0) + coalesce(length(body), 0)`.as("bytes"),
    ])
    .where("record", "=", record)
    .where("seq", ">=", from)
    .where("leaf", "<", size)
    .orderBy("seq")
    .limit(entriesAtMost + 1)
    .execute()
  const wanted = fitting(sizes, entriesAtMost)
  if (wanted === 0) return { entries: [], more: false }
  const rows = await db
    .selectFrom("entry")
    .innerJoin("leaf", "leaf.idx", "entry.leaf")
    .select(["statement", "signature", "body", "summary", "idx", "time", "salt"])
    .where("record", "=", record)
    .where("seq", ">=", from)
    .where("seq", "<=", sizes[wanted - 1]!.seq)
    .orderBy("seq")
    .execute()
  const entries = rows.map(({ statement, signature, body, summary, idx, time, salt }) => ({
    statement,
    signature,
    ...(body === null ? {} : { body }),
    ...(summary === null ? {} : { summary }),
    leaf: { index: idx, time, salt },
  }))
  return { entries, more: wanted < sizes.length }
}

/** How many of these rows go into one answer: at least one, at most `atMost`, about 8 MiB. */
function fitting(sizes: readonly { readonly bytes: number }[], atMost: number): number {
  let total = 0
  const cut = sizes.findIndex(({ bytes }, i) => {
    total += bytes
    return i === atMost || (i > 0 && total > replyBytes)
  })
  return cut < 0 ? sizes.length : cut
}

/** Entries of a physician's records in the log's order, from leaf `since` on. */
export async function readChanges(
  reader: Db,
  tree: Tree,
  physician: PhysicianId,
  since: number,
  limit: number,
  pinned: number,
): Promise<ChangesReply> {
  const state = tree.state
  const end = Math.min(state.size, since + leavesAtMost)
  const atMost = Math.min(limit, changesAtMost)
  const { rows, cut } = await reader.transaction().execute(async (db) => {
    const sizes = await mine(db, physician, since, end)
      .select(["leaf", sql<number>`length(statement) + coalesce(length(summary), 0)`.as("bytes")])
      .limit(atMost + 1)
      .execute()
    const wanted = fitting(sizes, atMost)
    const cut = wanted < sizes.length ? sizes[wanted]!.leaf : end
    return { cut, rows: wanted === 0 ? [] : await changeRows(db, physician, since, cut, state.size) }
  })
  const proofs = await tree.inclusions(
    rows.filter((row) => row.head === 1).map((row) => row.idx),
    state,
  )
  let proved = 0
  const entries = rows.map(({ record, statement, signature, summary, idx, time, salt, head, grant }) => ({
    record,
    statement,
    signature,
    ...(summary === null ? {} : { summary }),
    leaf: { index: idx, time, salt },
    ...(head === 1 ? { inclusion: proofs[proved++]! } : {}),
    ...(grant === null ? {} : { selfGrant: grant }),
  }))
  const next = Math.max(cut, Math.min(since, state.size))
  return { entries, next, more: next < state.size, log: await tree.logState(pinned, state) }
}

/** The cross join keeps SQLite on the index of leaves: it reads them in order and stops at the limit. */
function mine(db: Db, physician: PhysicianId, from: number, to: number) {
  return db
    .selectFrom("entry")
    .crossJoin("member")
    .whereRef("member.record", "=", "entry.record")
    .where("member.physician", "=", physician)
    .where("entry.leaf", ">=", from)
    .where("entry.leaf", "<", to)
    .orderBy("entry.leaf")
}

/** @param size of the tree that the answer speaks of: a head is what was the head then, whatever came since. */
function changeRows(db: Db, physician: PhysicianId, from: number, to: number, size: number) {
  return mine(db, physician, from, to)
    .innerJoin("leaf", "leaf.idx", "entry.leaf")
    .leftJoin("self_grant", (join) =>
      join
        .onRef("self_grant.record", "=", "entry.record")
        .onRef("self_grant.epoch", "=", "entry.epoch")
        .on("self_grant.physician", "=", physician)
        .on("entry.kind", "!=", "write"),
    )
    .select(["entry.record", "statement", "signature", "summary", "idx", "time", "salt", "self_grant.token as grant"])
    .select(
      sql<number>`not exists (select 1 from entry later where later.record = entry.record and later.seq = entry.seq + 1
        and later.leaf < ${size})`.as("head"),
    )
    .execute()
}
