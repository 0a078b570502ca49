import { type Kysely, sql } from "kysely"
import type { Migration } from "kysely/migration"
import type { ColumnTypes } from "./migrations.ts"

/** Grants, what became of each membership, and which secret a session's client holds. */
export function sharing({ bytes, whole, keyed }: ColumnTypes): Migration {
  const up = async (db: Kysely<unknown>): Promise<void> => {
    await db.schema
      .createTable("sealed_grant")
      .addColumn("record", "text", (c) => c.notNull().references("record.id"))
      .addColumn("seq", whole, (c) => c.notNull())
      .addColumn("recipient", "text", (c) => c.notNull().references("physician.id"))
      .addColumn("token_sha256", bytes, (c) => c.notNull())
      .addColumn("token", bytes, (c) => c.notNull())
      .addPrimaryKeyConstraint("sealed_grant_pk", ["record", "seq", "recipient"])
      .execute()

    // Made anew: who was removed has no role, and SQLite cannot take a column's NOT NULL away.
    await db.schema
      .createTable("member_next")
      .addColumn("record", "text", (c) => c.notNull().references("record.id"))
      .addColumn("physician", "text", (c) => c.notNull().references("physician.id"))
      .addColumn("role", "text")
      .addColumn("until", whole)
      .addColumn("invited", whole, (c) => c.notNull())
      .addColumn("accepted", whole)
      .addColumn("removed", whole)
      .addPrimaryKeyConstraint("member_next_pk", ["record", "physician"])
      .modifyEnd(keyed)
      .execute()
    await sql`insert into member_next (record, physician, role, invited, accepted)
      select member.record, member.physician, member.role, 0, entry.leaf
      from member join entry on entry.record = member.record and entry.seq = 0`.execute(db)
    await db.schema.dropTable("member").execute()
    await db.schema.alterTable("member_next").renameTo("member").execute()
    await db.schema.createIndex("member_accepted").on("member").columns(["physician", "accepted"]).execute()

    await db.schema
      .createIndex("leaf_accept")
      .on("leaf")
      .columns(["actor", "idx"])
      .where(sql.ref("type"), "=", sql.lit("accept"))
      .execute()

    await db.schema
      .alterTable("session")
      .addColumn("carrier", "text", (c) => c.notNull().defaultTo("bearer"))
      .execute()
    await sql`update session set carrier = 'cookie' where half is not null`.execute(db)
  }
  return { up }
}
