import { DatabaseSync } from "node:sqlite"
import { vi } from "vitest"

interface QueryPlan {
  readonly sql: string
  /** SQLite's own lines. */
  readonly plan: readonly string[]
}

/** How SQLite goes about every query that work prepares: on a store that was opened just before, each that it makes. */
export async function plansOf(file: string, work: () => Promise<unknown>): Promise<QueryPlan[]> {
  const prepare = vi.spyOn(DatabaseSync.prototype, "prepare")
  await work()
  const made = prepare.mock.calls.map(([sql]) => sql).filter((sql) => sql.startsWith("select"))
  prepare.mockRestore()
  const database = new DatabaseSync(file, { readOnly: true })
  const plans = made.map((sql) => ({
    sql,
    plan: database
      .prepare(`explain query plan ${sql}`)
      .all()
      .map(({ detail }) => String(detail)),
  }))
  database.close()
  return plans
}
