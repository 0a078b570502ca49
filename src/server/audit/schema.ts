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
const stepTable = "table kysely_migration of kysely_migration"

/** Compares what a database is made of with what this program's own migrations make: a trigger or a view of somebody else's would run in the
 * server, and no row would show it. The table with which a backup carries its secrets may be there. Nothing but what SQLite itself notes of
 * them is read before that, since whoever selects from a view runs it.
 * @returns whether the tables are ours, and can be read
 * @throws UNAVAILABLE where the database says that it is of another version */
export async function auditSchema(db: Db, findings: Findings): Promise<boolean> {
  const own = await ownSchema()
  const found = await objectsOf(db)
  const steps = await stepsOf(db, found, own)
  if (steps !== null && steps !== own.steps.join()) throw new AppError("UNAVAILABLE", otherVersion)
  return compare(found, own, findings)
}

/** The same of a database that may be of an older version, at which it is made as that one made it.
 * @throws UNAVAILABLE for a newer one; BAD_INPUT_FORMAT for what is none of Healthcrypt's */
export async function auditOlderSchema(db: Db, findings: Findings): Promise<void> {
  const newest = await ownSchema()
  const found = await objectsOf(db)
  const steps = await stepsOf(db, found, newest)
  if (steps === null) throw new AppError("BAD_INPUT_FORMAT")
  const at = newest.steps.findIndex((_, i) => newest.steps.slice(0, i + 1).join() === steps)
  if (at < 0) throw new AppError("UNAVAILABLE", otherVersion)
  compare(found, at === newest.steps.length - 1 ? newest : await ownSchema(newest.steps[at]), findings)
}

interface OwnSchema {
  readonly objects: ReadonlyMap<string, SchemaObject>
  readonly steps: readonly string[]
}

function compare(found: ReadonlyMap<string, SchemaObject>, own: OwnSchema, findings: Findings): boolean {
  let isReadable = true
  const demand = (holds: boolean, key: string, what: string) => {
    findings.demand(holds, `schema ${key}`, what)
    if (!holds && !key.startsWith("index ")) isReadable = false
  }
  for (const [key, object] of found) {
    const ours = own.objects.get(key)
    const isOurs = ours === undefined ? isBackupTable(object) : ours.sql === object.sql
    demand(isOurs, key, ours === undefined ? "it is none of Healthcrypt's" : "it is made otherwise")
  }
  for (const key of own.objects.keys()) demand(found.has(key), key, "it is missing")
  return isReadable
}

/** @param upTo the step that it ends with; the newest where left out */
async function ownSchema(upTo?: string): Promise<OwnSchema> {
  const db = openSqlite(":memory:", "write")
  try {
    await migrate(db, sqliteTypes, upTo)
    const { rows } = await sql<{ name: string }>`select name from kysely_migration order by name`.execute(db)
    return { objects: await objectsOf(db), steps: rows.map(({ name }) => name) }
  } finally {
    await db.destroy()
  }
}

/** The migrations that a database says it has been through; `null` where nothing of ours says so. */
async function stepsOf(db: Db, found: ReadonlyMap<string, SchemaObject>, own: OwnSchema): Promise<string | null> {
  const there = found.get(stepTable)
  if (there === undefined || there.sql !== own.objects.get(stepTable)?.sql) return null
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
