import { sql } from "kysely"
import { concatAll } from "../../encoding/bytes.ts"
import type { PhysicianId, RecordId } from "../../encoding/ids.ts"
import { subtrees } from "../../proof/merkle.ts"
import { leavesAtMost } from "../../protocol/records.ts"
import type { Db } from "./connection.ts"
import type { StoreContext } from "./context.ts"
import { fitting, granted } from "./reading.ts"
import type { ChangesReply, EntryStore } from "./store.ts"

const changesAtMost = 1000

/** Whose feed it is, and as of when. */
interface Scope {
  readonly physician: PhysicianId
  /** Leaves that the answer's checkpoint covers. */
  readonly size: number
  /** Milliseconds: a membership that has run out is none. */
  readonly time: number
}

/** What a feed's cut holds: leaves `from` up to, not including, `to`. */
interface Stretch {
  readonly from: number
  readonly to: number
}

/** The change feed: entries of a physician's records in the log's order, beside every leaf of the practice. */
export function changeFeed({ reader, tree, now }: StoreContext): Pick<EntryStore, "readChanges" | "readLeaves"> {
  /** The hashes beside a stretch, which with it make up the tree of `size` leaves. */
  const beside = async ({ from, to }: Stretch, size: number) => {
    if (from >= to) return { left: [], right: [] }
    const [left, right] = await tree.nodes([subtrees({ from: 0, to: from }), subtrees({ from: to, to: size })])
    return { left: left!, right: right! }
  }
  return {
    async readLeaves(from, to, pinned) {
      const state = tree.state
      const stretch = { from, to: Math.min(state.size, to, from + leavesAtMost) }
      const data = stretch.from < stretch.to ? await leafDataIn(reader, stretch) : new Uint8Array(0)
      return {
        leaves: { data, ...(await beside(stretch, state.size)) },
        next: Math.max(stretch.to, from),
        log: await tree.logState(pinned, state),
      }
    },

    async readChanges(physician, since, limit, pinned) {
      const state = tree.state
      const scope = { physician, size: state.size, time: now() }
      const from = Math.min(since, state.size)
      const { to, ...found } = await reader.transaction().execute(async (db) => {
        const stretch = await cut(db, scope, { from, to: Math.min(state.size, from + leavesAtMost) }, limit)
        return {
          to: stretch.to,
          entries: await entriesIn(db, scope, stretch),
          accepted: await acceptedIn(db, scope, stretch),
          data: await leafDataIn(db, stretch),
        }
      })
      return {
        entries: found.entries,
        accepted: found.accepted,
        leaves: { data: found.data, ...(await beside({ from, to }, state.size)) },
        next: to,
        more: to < state.size,
        time: scope.time,
        log: await tree.logState(pinned, state),
      }
    },
  }
}

/** As much as one answer holds. */
async function cut(db: Db, scope: Scope, stretch: Stretch, limit: number): Promise<Stretch> {
  if (stretch.from === stretch.to) return stretch
  const atMost = Math.min(limit, changesAtMost)
  const sizes = await mine(db, scope, stretch)
    .select([
      "entry.leaf",
      sql<number>`length(statement) + coalesce(length(summary), 0) + ${granted(scope.physician)}`.as("bytes"),
    ])
    .limit(atMost + 1)
    .execute()
  const wanted = fitting(sizes, atMost)
  return wanted < sizes.length ? { ...stretch, to: sizes[wanted]!.leaf } : stretch
}

/** The cross join keeps SQLite on the index of leaves: it reads them in order and stops at the limit. Who was removed sees their
 * removal and what was before it; who had a day until which they belonged, what was before its end. */
function mine(db: Db, { physician, size, time }: Scope, { from, to }: Stretch) {
  return db
    .selectFrom("entry")
    .crossJoin("member")
    .whereRef("member.record", "=", "entry.record")
    .where("member.physician", "=", physician)
    .where((e) => e.or([e("member.accepted", "<", size), e("member.removed", ">=", e.ref("entry.leaf"))]))
    .where((e) =>
      e.or([
        e("member.until", "is", null),
        e("member.until", ">", time),
        sql<boolean>`(select time from leaf where idx = entry.leaf) <= member.until`,
      ]),
    )
    .where("entry.leaf", ">=", from)
    .where("entry.leaf", "<", to)
    .orderBy("entry.leaf")
}

async function entriesIn(db: Db, scope: Scope, stretch: Stretch): Promise<ChangesReply["entries"]> {
  if (stretch.from === stretch.to) return []
  const rows = await mine(db, scope, stretch)
    .innerJoin("leaf", "leaf.idx", "entry.leaf")
    .leftJoin("entry as previous", (join) =>
      join
        .on("entry.kind", "=", "members")
        .onRef("previous.record", "=", "entry.record")
        .on("previous.seq", "=", sql<number>`entry.seq - 1`),
    )
    .leftJoin("self_grant", (join) =>
      join
        .on("entry.kind", "!=", "write")
        .on("self_grant.physician", "=", scope.physician)
        .onRef("self_grant.record", "=", "entry.record")
        .onRef("self_grant.epoch", "=", "entry.epoch"),
    )
    .leftJoin("sealed_grant", (join) =>
      join
        .on("entry.kind", "=", "members")
        .onRef("sealed_grant.record", "=", "entry.record")
        .onRef("sealed_grant.seq", "=", "entry.seq")
        .on("sealed_grant.recipient", "=", scope.physician),
    )
    .select(["entry.record", "entry.kind", "entry.epoch", "entry.statement", "entry.signature", "entry.summary"])
    .select(["leaf.idx", "leaf.time", "leaf.salt", "previous.epoch as epochBefore"])
    .select(["self_grant.token as own", "sealed_grant.token as granted"])
    .execute()
  return rows.map(({ record, statement, signature, summary, idx, time, salt, own, granted, ...row }) => {
    const begins = row.kind === "open" || (row.epochBefore !== null && row.epochBefore < row.epoch)
    return {
      record,
      statement,
      signature,
      ...(summary === null ? {} : { summary }),
      leaf: { index: idx, time, salt },
      ...(own !== null && begins ? { selfGrant: own } : {}),
      ...(own === null && granted !== null ? { grant: granted } : {}),
    }
  })
}

/** Every time that the physician accepted a record, whatever became of it: what they have accepted at which moment follows from it.
 * The type stands there as text, so that the index of such leaves is used. */
async function acceptedIn(db: Db, { physician }: Scope, { from, to }: Stretch): Promise<ChangesReply["accepted"]> {
  if (from === to) return []
  const rows = await db
    .selectFrom("leaf")
    .select(["subject", "number", "idx", "time", "salt"])
    .where("actor", "=", physician)
    .where("type", "=", sql.lit("accept" as const))
    .where("idx", ">=", from)
    .where("idx", "<", to)
    .orderBy("idx")
    .execute()
  return rows.map(({ subject, number, idx, time, salt }) => ({
    record: subject as RecordId,
    number,
    leaf: { index: idx, time, salt },
  }))
}

async function leafDataIn(db: Db, { from, to }: Stretch): Promise<Uint8Array> {
  if (from === to) return new Uint8Array(0)
  const rows = await db
    .selectFrom("leaf")
    .select("data")
    .where("idx", ">=", from)
    .where("idx", "<", to)
    .orderBy("idx")
    .execute()
  return concatAll(rows.map((row) => row.data))
}
