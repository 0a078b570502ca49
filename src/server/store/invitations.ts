import { sql } from "kysely"
import type { PhysicianId } from "../../encoding/ids.ts"
import { waitingAtMost } from "../../protocol/records.ts"
import type { Db } from "./connection.ts"
import type { StoreContext } from "./context.ts"
import { prepare } from "./prepared.ts"
import { fitting } from "./reading.ts"
import type { MemberRow } from "./schema.ts"
import type { SharingStore, WantedInvitations } from "./store.ts"

const invitationsAtMost = 1000
/** Anybody may invite anybody, so one answer looks at no more than the first of what waits. */
const looksAtMost = 5000

type Waiting = Pick<MemberRow, "inviter" | "until"> & { readonly leaf: number }

interface Found {
  /** In the answer's order. */
  readonly waiting: readonly Waiting[]
  /** Nothing with a leaf below this was left out. */
  readonly end: number
}

/** Records that name a physician who has not accepted them, found by the physician's own rows. */
export function invitationStore({ reader, tree, now }: StoreContext): Pick<SharingStore, "invitations"> {
  const find = finder(reader)
  return {
    async invitations(physician, wanted) {
      const { size } = tree.state
      const atMost = Math.min(wanted.limit, invitationsAtMost)
      const inOrder = wanted.from.length > 0
      const found = await (inOrder ? find.sentBy(physician, wanted, size) : find.newest(physician, wanted, size))
      const without = new Set(wanted.without)
      const live = found.waiting.filter(
        ({ inviter, until }) => !without.has(inviter) && (until === null || until > now()),
      )
      const looked = live.slice(0, atMost + 1)
      const order = (a: { leaf: number }, b: { leaf: number }) => (inOrder ? a.leaf - b.leaf : b.leaf - a.leaf)
      const sizes = (await sizesOf(reader, physician, looked)).sort(order)
      const cut = fitting(sizes, atMost)
      const rows = await read(reader, physician, sizes.slice(0, cut))
      const end = looked.length < live.length ? looked.at(-1)!.leaf + 1 : found.end
      const next = inOrder ? (sizes[cut]?.leaf ?? end) : size
      return {
        invitations: rows.sort(order).map(({ leaf, time, salt, role, until, ...row }) => ({
          ...row,
          leaf: { index: leaf, time, salt },
          role: role!,
          ...(until === null ? {} : { until }),
        })),
        waiting: Math.min(live.length, waitingAtMost),
        next,
        more: inOrder ? next < size : cut < sizes.length,
      }
    },
  }
}

interface Stretch {
  readonly physician: PhysicianId
  readonly since: number
  readonly size: number
  readonly most: number
}

/** Looks at what waits by its own two indexes, which hold all that is asked for. */
function finder(reader: Db) {
  const waiting = (p: Stretch) =>
    reader
      .selectFrom("member")
      .select(["invited_leaf as leaf", "inviter", "until"])
      .where("physician", "=", p.physician)
      .where("accepted", "is", null)
      .where("role", "is not", null)
      .where("invited_leaf", ">=", p.since)
      .where("invited_leaf", "<", p.size)
      .limit(p.most)
  const newest = prepare<Stretch, Waiting>((p) => waiting(p).orderBy("invited_leaf", "desc"))
  const oldestOf = prepare<Stretch & { inviter: PhysicianId }, Waiting>((p) =>
    waiting(p).where("inviter", "=", p.inviter).orderBy("invited_leaf"),
  )
  return {
    async newest(physician: PhysicianId, { since }: WantedInvitations, size: number): Promise<Found> {
      const { rows } = await newest(reader, { physician, since, size, most: looksAtMost })
      return { waiting: rows, end: size }
    },
    /** Of each sender the oldest, as far as all of them were looked at. */
    async sentBy(physician: PhysicianId, { since, from }: WantedInvitations, size: number): Promise<Found> {
      const senders = new Set(from)
      const most = Math.ceil(looksAtMost / senders.size)
      const all: Waiting[] = []
      let end = size
      for (const inviter of senders) {
        const { rows } = await oldestOf(reader, { physician, inviter, since, size: end, most })
        all.push(...rows)
        if (rows.length === most) end = rows.at(-1)!.leaf + 1
      }
      const waiting = all.filter(({ leaf }) => leaf < end).sort((a, b) => a.leaf - b.leaf)
      return { waiting, end }
    },
  }
}

type Leaves = readonly { readonly leaf: number }[]

function granted(db: Db, physician: PhysicianId, leaves: Leaves) {
  return db
    .selectFrom("entry")
    .innerJoin("sealed_grant", (join) =>
      join
        .onRef("sealed_grant.record", "=", "entry.record")
        .onRef("sealed_grant.seq", "=", "entry.seq")
        .on("sealed_grant.recipient", "=", physician),
    )
    .where(
      "entry.leaf",
      "in",
      leaves.map(({ leaf }) => leaf),
    )
}

/** How large each is. */
async function sizesOf(db: Db, physician: PhysicianId, leaves: Leaves) {
  if (leaves.length === 0) return []
  return granted(db, physician, leaves)
    .select(["entry.leaf", sql<number>`length(statement) + length(sealed_grant.token)`.as("bytes")])
    .execute()
}

async function read(db: Db, physician: PhysicianId, leaves: Leaves) {
  if (leaves.length === 0) return []
  return granted(db, physician, leaves)
    .innerJoin("leaf", "leaf.idx", "entry.leaf")
    .innerJoin("member", (join) =>
      join.onRef("member.record", "=", "entry.record").on("member.physician", "=", physician),
    )
    .select(["entry.record", "statement", "signature", "entry.leaf", "time", "salt", "sealed_grant.token as grant"])
    .select(["member.role", "member.until"])
    .execute()
}
