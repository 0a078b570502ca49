import type { Kysely } from "kysely"
import type { Migration } from "kysely/migration"
import type { ColumnTypes } from "./migrations.ts"

/** What a physician signed for the sealed things of their account, and what those replaced. Sessions end: a program of before would go on
 * in one with requests that are no longer taken. */
export function accountStatements({ bytes, whole, keyed }: ColumnTypes): Migration {
  const up = async (db: Kysely<never>): Promise<void> => {
    for (const name of ["keyring", "profile"] as const) {
      for (const column of ["statement", "statement_sha256", "signature"])
        await db.schema.alterTable("physician").addColumn(`${name}_${column}`, bytes).execute()
      await db.schema
        .createTable(`replaced_${name}`)
        .addColumn("physician", "text", (c) => c.notNull().references("physician.id"))
        .addColumn("number", whole, (c) => c.notNull())
        .addColumn("replaced", whole, (c) => c.notNull())
        .addColumn("token_sha256", bytes, (c) => c.notNull())
        .addColumn("token", bytes, (c) => c.notNull())
        .addColumn("statement", bytes)
        .addColumn("statement_sha256", bytes)
        .addColumn("signature", bytes)
        .addPrimaryKeyConstraint(`replaced_${name}_pk`, ["physician", "number"])
        .execute()
    }
    for (const column of ["statement", "statement_sha256", "signature"])
      await db.schema.alterTable("segment").addColumn(column, bytes).execute()

    await db.schema
      .createTable("account_statement")
      .addColumn("physician", "text", (c) => c.notNull().references("physician.id"))
      .addColumn("statement_sha256", bytes, (c) => c.notNull())
      .addColumn("statement", bytes, (c) => c.notNull())
      .addColumn("signature", bytes, (c) => c.notNull())
      .addPrimaryKeyConstraint("account_statement_pk", ["physician", "statement_sha256"])
      .execute()
    await db.schema.alterTable("self_grant").addColumn("signed", bytes).execute()
    await db.schema
      .createTable("replaced_self_grant")
      .addColumn("physician", "text", (c) => c.notNull().references("physician.id"))
      .addColumn("record", "text", (c) => c.notNull().references("record.id"))
      .addColumn("epoch", whole, (c) => c.notNull())
      .addColumn("token_sha256", bytes, (c) => c.notNull())
      .addColumn("token", bytes, (c) => c.notNull())
      .addColumn("signed", bytes)
      .addColumn("replaced", whole, (c) => c.notNull())
      .addPrimaryKeyConstraint("replaced_self_grant_pk", ["physician", "record", "epoch", "token_sha256"])
      .modifyEnd(keyed)
      .execute()
    await db.deleteFrom("read_mark" as never).execute()
    await db.deleteFrom("session" as never).execute()
  }
  return { up: up as Migration["up"] }
}
