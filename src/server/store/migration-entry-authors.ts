import type { Kysely } from "kysely"
import type { Migration } from "kysely/migration"

/** How many entries an author has in a record is counted without reading them. */
export function entryAuthors(): Migration {
  const up = async (db: Kysely<unknown>): Promise<void> => {
    await db.schema.createIndex("entry_author").on("entry").columns(["record", "author", "kind"]).execute()
  }
  return { up }
}
