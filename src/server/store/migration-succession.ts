import type { Kysely } from "kysely"
import type { Migration } from "kysely/migration"
import type { ColumnTypes } from "./migrations.ts"

/** Which logs this one goes on from. */
export function succession({ bytes, whole }: ColumnTypes): Migration {
  const up = async (db: Kysely<unknown>): Promise<void> => {
    await db.schema
      .createTable("succession")
      .addColumn("number", whole, (c) => c.primaryKey())
      .addColumn("statement", bytes, (c) => c.notNull())
      .addColumn("statement_sha256", bytes, (c) => c.notNull())
      .addColumn("signature", bytes, (c) => c.notNull())
      .execute()
  }
  return { up }
}
