import { sql } from "kysely"
import type { Db } from "../store/connection.ts"
import type { Findings } from "./findings.ts"

const most = 100

/** What SQLite finds by itself: pages that are none, and indexes that do not hold what their tables do. Such an index passes over a row that
 * is there, or lets a second one in where one alone may be. What it says names tables, indexes and rows by number. */
export async function auditIntegrity(db: Db, findings: Findings): Promise<void> {
  const { rows } = await sql<{ integrity_check: string }>`pragma integrity_check(${sql.lit(most)})`.execute(db)
  for (const { integrity_check } of rows)
    findings.demand(integrity_check === "ok", "database", integrity_check.replaceAll("\n", ": "))
}
