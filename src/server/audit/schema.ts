import { sql } from "kysely"
import { AppError } from "../../errors.ts"
import { backupTable } from "../backup/sealed-secrets.ts"
import { type Db, openSqlite } from "../store/connection.ts"
import { migrate, sqliteTypes } from "../store/migrations.ts"
import type { Findings } from "./findings.ts"

/** One row of sqlite_schema: a table, an index, a view or a trigger. */
interface SchemaObject {
  readonly type: string
  readonly name: string
  readonly table: string
  /** As it was made; `null` for an index that a table's keys bring along. */
  readonly sql: string | null
}

const otherVersion =
  "This database is of another version of Healthcrypt. Check it with the version that serves it; what is of an older one is brought along when a server starts."

/** Compares what a database is made of with what this program's own migrations make: a trigger or a view of somebody else's would run in the
 * server, and no row would show it. The table with which a backup carries its secrets may be there.
 * @throws UNAVAILABLE where the database says that it is of another version */
export async function auditSchema(db: Db, findings: Findings): Promise<void> {
  const own = await ownSchema()
  const steps = await stepsOf(db)
  if (steps !== null && steps !== own.steps) throw new AppError("UNAVAILABLE", otherVersion)
  const found = await objectsOf(db)
  for (const [key, object] of found) {
    const ours = own.objects.get(key)
    const isOurs = ours === undefined ? isBackupTable(object) : ours.sql === object.sql
    findings.demand(
      isOurs,
      `schema ${key}`,
      ours === undefined ? "it is none of Healthcrypt's" : "it is made otherwise",
    )
  }
  for (const key of own.objects.keys()) findings.demand(found.has(key), `schema ${key}`, "it is missing")
}

async function ownSchema() {
  const db = openSqlite(":memory:", "write")
  try {
    await migrate(db, sqliteTypes)
    return { objects: await objectsOf(db), steps: await stepsOf(db) }
  } finally {
    await db.destroy()
  }
}

/** The migrations that a database says it has been through; `null` where it says nothing. */
async function stepsOf(db: Db): Promise<string | null> {
  const there = await sql`select 1 from sqlite_schema where type = 'table' and name = 'kysely_migration'`.execute(db)
  if (there.rows.length === 0) return null
  const { rows } = await sql<{ name: string }>`select name from kysely_migration order by name`.execute(db)
  return rows.map(({ name }) => name).join()
}

async function objectsOf(db: Db): Promise<Map<string, SchemaObject>> {
  const { rows } = await sql<SchemaObject>`select type, name, tbl_name as "table", sql from sqlite_schema`.execute(db)
  return new Map(rows.map((row) => [`${row.type} ${row.name} of ${row.table}`, row]))
}

function isBackupTable({ type, name, sql }: SchemaObject): boolean {
  return type === "table" && name === backupTable.name && sql === backupTable.sql
}
