import { sql } from "kysely"
import type { PhysicianId } from "../../encoding/ids.ts"
import { bodyApartBytes, entriesAtMost } from "../../protocol/records.ts"
import type { Db } from "./connection.ts"
import type { EntriesReply, ReadStretch } from "./store.ts"

/** One answer holds about so much, and at least one row. */
const replyBytes = 8 * 1024 * 1024

/** How far somebody may read. */
export interface Reach {
  /** Leaves below this. */
  readonly size: number
  /** Nothing after this moment, milliseconds since 1970; null for no end. */
  readonly time: number | null
  /** Whether with the keys that were granted to them. */
  readonly grants: boolean
}

/** Those of a page's entries; none where the last is below the first. */
export interface Epochs {
  readonly first: number
  readonly last: number
}

/** A chain from `from` on, under the first `size` leaves, cut at about 8 MiB, with what it granted the physician. Bodies that are not
 * wanted, or come by themselves, are not read; with bodies, of all summaries only the newest is. */
export async function readStretch(
  db: Db,
  physician: PhysicianId,
  { record, from, bodies, without = [] }: ReadStretch,
  reach: Reach,
): Promise<Pick<EntriesReply, "entries" | "more"> & { readonly epochs: Epochs }> {
  const wantsNone = without.length === 0 ? sql`` : sql`or entry.author in (${sql.join(without)})`
  const body = sql`case when length(body) > ${bodyApartBytes} ${wantsNone} then null else body end`
  const tokens = bodies ? sql`coalesce(length(${body}), 0)` : sql`coalesce(length(summary), 0)`
  const sizes = await db
    .selectFrom("entry")
    .select([
      "seq",
      "epoch",
      sql<number>`summary is not null`.as("has"),
      sql<number>`length(statement) + ${tokens} + ${granted(physician)}`.as("bytes"),
    ])
    .where("record", "=", record)
    .where("seq", ">=", from)
    .where("leaf", "<", reach.size)
    .$if(reach.time !== null, (q) =>
      q.where(sql<boolean>`(select time from leaf where idx = entry.leaf) <= ${reach.time}`),
    )
    .orderBy("seq")
    .limit(entriesAtMost + 1)
    .execute()
  const wanted = fitting(sizes, entriesAtMost)
  if (wanted === 0) return { entries: [], more: false, epochs: { first: 0, last: -1 } }
  const newest = sizes.slice(0, wanted).findLast(({ has }) => has)?.seq ?? -1
  const rows = await db
    .selectFrom("entry")
    .innerJoin("leaf", "leaf.idx", "entry.leaf")
    .leftJoin("sealed_grant", (join) =>
      join
        .on("entry.kind", "=", "members")
        .onRef("sealed_grant.record", "=", "entry.record")
        .onRef("sealed_grant.seq", "=", "entry.seq")
        .on("sealed_grant.recipient", "=", physician),
    )
    .select(["statement", "signature", "idx", "time", "salt", "sealed_grant.token as grant"])
    .select(bodies ? sql<Uint8Array | null>`${body}`.as("body") : sql<null>`null`.as("body"))
    .select(bodies ? sql<Uint8Array | null>`case when entry.seq = ${newest} then summary end`.as("summary") : "summary")
    .where("entry.record", "=", record)
    .where("entry.seq", ">=", from)
    .where("entry.seq", "<=", sizes[wanted - 1]!.seq)
    .orderBy("entry.seq")
    .execute()
  const entries = rows.map(({ statement, signature, body, summary, idx, time, salt, grant }) => ({
    statement,
    signature,
    ...(body === null ? {} : { body }),
    ...(summary === null ? {} : { summary }),
    ...(grant === null || !reach.grants ? {} : { grant }),
    leaf: { index: idx, time, salt },
  }))
  const epochs = { first: sizes[0]!.epoch, last: sizes[wanted - 1]!.epoch }
  return { entries, more: wanted < sizes.length, epochs }
}

/** How long the grant is that an entry has for somebody. */
export function granted(physician: PhysicianId) {
  return sql<number>`case when entry.kind = 'members' then coalesce((select length(token) from sealed_grant
    where sealed_grant.record = entry.record and sealed_grant.seq = entry.seq and recipient = ${physician}), 0) else 0 end`
}

/** How many of these rows go into one answer: at least one, at most `atMost`, about 8 MiB. */
export function fitting(sizes: readonly { readonly bytes: number }[], atMost: number): number {
  let total = 0
  const cut = sizes.findIndex(({ bytes }, i) => {
    total += bytes
    return i === atMost || (i > 0 && total > replyBytes)
  })
  return cut < 0 ? sizes.length : cut
}
