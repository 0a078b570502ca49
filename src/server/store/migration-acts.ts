import type { Kysely } from "kysely"
import type { Migration } from "kysely/migration"
import type { ColumnTypes } from "./migrations.ts"

/** Reads and exports have a count of their own. */
export function acts({ whole }: ColumnTypes): Migration {
  const up = async (db: Kysely<unknown>): Promise<void> => {
    await db.schema
      .alterTable("usage")
      .addColumn("acts", whole, (c) => c.notNull().defaultTo(0))
      .execute()
  }
  return { up }
}
