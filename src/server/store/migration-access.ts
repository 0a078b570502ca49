import { type Kysely, sql } from "kysely"
import type { Migration } from "kysely/migration"
import type { ColumnTypes } from "./migrations.ts"
import { leafBytes } from "./quota.ts"

/** Invitation codes, and accounts that are suspended. */
export function access({ whole, keyed }: ColumnTypes): Migration {
  const up = async (db: Kysely<unknown>): Promise<void> => {
    await db.schema
      .createTable("invite")
      .addColumn("code_hash", "text", (c) => c.primaryKey())
      .addColumn("created", whole, (c) => c.notNull())
      .addColumn("expires", whole, (c) => c.notNull())
      .modifyEnd(keyed)
      .execute()
    await db.schema.alterTable("physician").addColumn("suspended", whole).execute()

    await db.schema
      .createTable("usage")
      .addColumn("physician", "text", (c) => c.primaryKey().references("physician.id"))
      .addColumn("bytes", whole, (c) => c.notNull())
      .addColumn("records", whole, (c) => c.notNull())
      .addColumn("hour", whole, (c) => c.notNull())
      .addColumn("leaves", whole, (c) => c.notNull())
      .modifyEnd(keyed)
      .execute()
    // What was stored before is counted once, by its sealed bytes.
    await sql`insert into usage (physician, bytes, records, hour, leaves)
      select physician.id,
        length(keyring) + length(profile)
          + coalesce((select sum(length(statement) + coalesce(length(body), 0) + coalesce(length(summary), 0))
            from entry where author = physician.id), 0)
          + coalesce((select sum(length(token)) from segment where segment.physician = physician.id), 0)
          + coalesce((select sum(length(token)) from self_grant where self_grant.physician = physician.id), 0)
          + ${leafBytes} * (select count(*) from leaf where actor = physician.id),
        (select count(*) from entry where author = physician.id and seq = 0),
        0, 0
      from physician`.execute(db)
  }
  return { up }
}
