import { type Kysely, sql } from "kysely"
import type { Migration } from "kysely/migration"

/** What a browser's page proves itself with beside its cookie. Sessions that began without it end: their physicians sign in again. */
export function sessions(): Migration {
  const up = async (db: Kysely<unknown>): Promise<void> => {
    await sql`delete from session`.execute(db)
    await db.schema.alterTable("session").addColumn("page_hash", "text").execute()
    await db.schema.createIndex("session_page").unique().on("session").column("page_hash").execute()
  }
  return { up }
}
