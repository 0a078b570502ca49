import { sql } from "kysely"
import type { StoreContext } from "./context.ts"
import { fitting } from "./reading.ts"
import type { SharingStore } from "./store.ts"

const invitationsAtMost = 1000

/** Records that name a physician who has not accepted them, found by the physician's own rows. */
export function invitationStore({ reader, tree, now }: StoreContext): Pick<SharingStore, "invitations"> {
  return {
    async invitations(physician, { since, limit, from, without }) {
      const { size } = tree.state
      const atMost = Math.min(limit, invitationsAtMost)
      const inOrder = from.length > 0
      const waiting = reader
        .selectFrom("member")
        .innerJoin("entry", (join) =>
          join.onRef("entry.record", "=", "member.record").onRef("entry.seq", "=", "member.invited"),
        )
        .where("member.physician", "=", physician)
        .where("member.accepted", "is", null)
        .where("member.role", "is not", null)
        .where((e) => e.or([e("member.until", "is", null), e("member.until", ">", now())]))
        .$if(inOrder, (q) => q.where("entry.author", "in", from))
        .$if(without.length > 0, (q) => q.where("entry.author", "not in", without))
      const { count } = await waiting.select((e) => e.fn.countAll<number>().as("count")).executeTakeFirstOrThrow()
      if (count === 0) return { invitations: [], waiting: 0, next: size, more: false }
      const invited = waiting
        .innerJoin("sealed_grant", (join) =>
          join
            .onRef("sealed_grant.record", "=", "member.record")
            .onRef("sealed_grant.seq", "=", "member.invited")
            .onRef("sealed_grant.recipient", "=", "member.physician"),
        )
        .where("entry.leaf", ">=", since)
        .where("entry.leaf", "<", size)
        .orderBy("entry.leaf", inOrder ? "asc" : "desc")
      const sizes = await invited
        .select(["entry.leaf", sql<number>`length(statement) + length(sealed_grant.token)`.as("bytes")])
        .limit(atMost + 1)
        .execute()
      const wanted = fitting(sizes, atMost)
      const more = wanted < sizes.length
      const next = more && inOrder ? sizes[wanted]!.leaf : size
      const rows = await invited
        .innerJoin("leaf", "leaf.idx", "entry.leaf")
        .select(["entry.record", "statement", "signature", "idx", "time", "salt", "sealed_grant.token as grant"])
        .select(["member.role", "member.until"])
        .limit(wanted)
        .execute()
      return {
        invitations: rows.map(({ record, statement, signature, idx, time, salt, grant, role, until }) => ({
          record,
          statement,
          signature,
          leaf: { index: idx, time, salt },
          grant,
          role: role!,
          ...(until === null ? {} : { until }),
        })),
        waiting: Number(count),
        next,
        more,
      }
    },
  }
}
