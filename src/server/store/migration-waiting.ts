import { type Kysely, sql } from "kysely"
import type { Migration } from "kysely/migration"
import type { ColumnTypes } from "./migrations.ts"

/** Invitations that wait are found in their order, by who sent them and in all, without their entries. */
export function waiting({ whole }: ColumnTypes): Migration {
  const up = async (db: Kysely<unknown>): Promise<void> => {
    await db.schema.alterTable("member").addColumn("inviter", "text").execute()
    await db.schema.alterTable("member").addColumn("invited_leaf", whole).execute()
    await sql`update member set (inviter, invited_leaf) = (select author, leaf from entry
      where entry.record = member.record and entry.seq = member.invited)`.execute(db)
    for (const [name, columns] of [
      ["member_waiting", ["physician", "invited_leaf", "inviter", "until", "accepted", "role"]],
      ["member_inviter", ["physician", "inviter", "invited_leaf", "until", "accepted", "role"]],
    ] as const)
      await db.schema
        .createIndex(name)
        .on("member")
        .columns([...columns])
        .where(sql.ref("accepted"), "is", null)
        .where(sql.ref("role"), "is not", null)
        .execute()
  }
  return { up }
}
