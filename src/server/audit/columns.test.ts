import { readFile } from "node:fs/promises"
import { join } from "node:path"
import { DatabaseSync, type SQLInputValue } from "node:sqlite"
import { describe, expect, test } from "vitest"
import { openSqlite } from "../store/connection.ts"
import { migrate, sqliteTypes } from "../store/migrations.ts"
import { auditDatabase } from "./audit.ts"
import { logKey, openFilled } from "./filled.fixture.ts"
import { rowName } from "./findings.ts"

const { inCopy } = await openFilled()

describe("a flipped byte is noticed, and the row is named", async () => {
  const columns = await binaryColumns()
  test("in every binary column of every table", () => expect(columns.length).toBeGreaterThanOrEqual(31))

  for (const { table, column } of columns) {
    test(`${table}.${column}`, async () => {
      await inCopy(async (copy) => {
        const rows = rowsOf(copy, table, column)
        expect(rows.length, "rows to flip").toBeGreaterThanOrEqual(3)
        for (const row of [rows[0]!, rows[rows.length >> 1]!, rows.at(-1)!]) {
          const bytes = row.value
          for (const at of [0, bytes.length >> 1, bytes.length - 1]) {
            const flipped = bytes.slice()
            flipped[at]! ^= 1 << (at % 8)
            const key = column in row.key ? { ...row.key, [column]: flipped } : row.key
            put(copy, table, column, row.key, flipped)
            const { findings } = await auditDatabase(copy, logKey)
            expect(findings.map((finding) => finding.row)).toContain(rowName(table, key))
            put(copy, table, column, key, bytes)
          }
        }
        expect((await auditDatabase(copy, logKey)).findings).toEqual([])
      })
    })
  }
})

/** In these a change may go unnoticed. A line more here, and in docs/operations.md, says why. */
const unbound = [
  "invite.code_hash",
  "invite.created",
  "invite.expires",
  "replaced_keyring.replaced",
  "replaced_profile.replaced",
  "replaced_self_grant.replaced",
  "segment.created",
  "session.id",
  "session.page_hash",
  "session.token_hash",
  "session.touched",
  "usage.acts",
  "usage.bytes",
  "usage.hour",
  "usage.leaves",
]

test("docs/operations.md says of each unbound column why", async () => {
  const page = await readFile(join(import.meta.dirname, "../../../docs/operations.md"), "utf8")
  const section = /^## Verify\n.*?^## /ms.exec(page)?.[0] ?? ""
  const listed = [...section.matchAll(/^\| `(\w+\.\w+)` +\| .+ \|$/gm)].map(([, column]) => column)
  expect(listed.sort()).toEqual(unbound)
})

test("every other column of every table is bound as well, but for those that are known not to be", async () => {
  const unnoticed: string[] = []
  const columns = await allColumns()
  expect(columns.length).toBeGreaterThan(100)
  await inCopy(async (copy) => {
    for (const { table, column } of columns) {
      const database = new DatabaseSync(copy, { enableForeignKeyConstraints: false })
      const rows = database.prepare(`select * from "${table}" where "${column}" is not null`).all()
      const nothing = rows.length === 0
      const all = nothing ? database.prepare(`select * from "${table}"`).all() : rows
      expect(all.length, `${table}.${column} has rows`).toBeGreaterThan(0)
      let noticed = true
      for (const row of [all[0]!, all[all.length >> 1]!, all.at(-1)!]) {
        let changes = 0
        for (const value of changed(row[column])) {
          const names = Object.keys(row)
          const where = names.map((name) => `"${name}" is ?`).join(" and ")
          const put = (to: unknown, from: readonly unknown[]) =>
            database
              .prepare(`update "${table}" set "${column}" = ? where ${where}`)
              .run(to as SQLInputValue, ...(from as SQLInputValue[]))
          const before = Object.values(row)
          try {
            changes += Number(put(value, before).changes)
          } catch {
            // Another row has this already.
            continue
          }
          noticed &&= (await auditDatabase(copy, logKey)).findings.length > 0
          put(
            row[column],
            names.map((name) => (name === column ? value : row[name])),
          )
        }
        expect(changes, `${table}.${column} was changed`).toBeGreaterThan(0)
      }
      database.close()
      if (!noticed) unnoticed.push(`${table}.${column}`)
    }
    expect((await auditDatabase(copy, logKey)).findings).toEqual([])
  })
  expect(unnoticed.sort()).toEqual(unbound)
}, 600_000)

/** Other values of the same type. */
function changed(value: unknown): unknown[] {
  if (typeof value === "number")
    return [value + 1, Math.max(0, value - 1), value + 1_000_000].filter((one) => one !== value)
  if (typeof value === "string") return [`${value.startsWith("A") ? "B" : "A"}${value.slice(1)}`]
  if (value instanceof Uint8Array) return [Uint8Array.from(value, (byte, i) => (i === 0 ? byte ^ 1 : byte))]
  return [1]
}

/** From the schema that the migrations make, so that a new column is looked at, too. */
async function allColumns(): Promise<{ table: string; column: string }[]> {
  const db = openSqlite(":memory:", "write")
  await migrate(db, sqliteTypes)
  const tables = await db.introspection.getTables()
  await db.destroy()
  // A log that never went on from another has none.
  const stored = tables.filter(({ name }) => name !== "succession")
  return stored.flatMap(({ name, columns }) => columns.map((column) => ({ table: name, column: column.name })))
}

/** From the schema that the migrations make, so that a new column is flipped, too. */
async function binaryColumns(): Promise<{ table: string; column: string }[]> {
  const db = openSqlite(":memory:", "write")
  await migrate(db, sqliteTypes)
  const tables = await db.introspection.getTables()
  await db.destroy()
  // This practice was never restored: test/restore.test.ts flips what is stored of one that was.
  const stored = tables.filter(({ name }) => name !== "succession")
  return stored.flatMap(({ name, columns }) =>
    columns.filter((column) => /^blob$/i.test(column.dataType)).map((column) => ({ table: name, column: column.name })),
  )
}

interface Cell {
  readonly key: Readonly<Record<string, string | number | Uint8Array>>
  readonly value: Uint8Array
}

function rowsOf(copy: string, table: string, column: string): Cell[] {
  const database = new DatabaseSync(copy)
  const keys = database.prepare(`select name from pragma_table_info('${table}') where pk > 0 order by pk`).all()
  // A session's primary key is not its id.
  const names = table === "session" ? ["id"] : keys.map((row) => String(row.name))
  const rows = database
    .prepare(
      `select ${names.join(", ")}, "${column}" as value from "${table}" where "${column}" is not null order by ${names.join(", ")}`,
    )
    .all()
  database.close()
  return rows.map(({ value, ...key }) => ({ key: key as Cell["key"], value: value as Uint8Array }))
}

function put(copy: string, table: string, column: string, key: Cell["key"], value: Uint8Array): void {
  const database = new DatabaseSync(copy, { enableForeignKeyConstraints: false })
  const where = Object.keys(key)
    .map((name) => `${name} = ?`)
    .join(" and ")
  database.prepare(`update "${table}" set "${column}" = ? where ${where}`).run(value, ...Object.values(key))
  database.close()
}
