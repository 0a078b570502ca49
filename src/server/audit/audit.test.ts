import { cp, mkdtemp, rm } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { DatabaseSync } from "node:sqlite"
import { afterAll, beforeAll, describe, expect, test } from "vitest"
import { logSigner } from "../log.ts"
import { openSqlite } from "../store/connection.ts"
import { migrate, sqliteTypes } from "../store/migrations.ts"
import { openStore } from "../store/sqlite.ts"
import type { Store } from "../store/store.ts"
import { auditDatabase } from "./audit.ts"
import { rowName } from "./findings.ts"
import { TestPhysician } from "./practice.fixture.ts"

const { publicKey: logKey, sign: signCheckpoint } = logSigner(new Uint8Array(32).fill(7))
let folder: string
let file: string

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "healthcrypt-"))
  file = join(folder, "healthcrypt.db")
  const store = await openStore({ file, signCheckpoint, now: Date.now })
  await fill(store)
  await store.close()
})
afterAll(() => rm(folder, { recursive: true }))

/** At least three rows in every table. */
async function fill(store: Store): Promise<void> {
  for (const name of ["ada", "bea", "cy.d"]) {
    const physician = new TestPhysician(store, name)
    await physician.register()
    await physician.replaceRecovery()
    await physician.putKeyring()
    await physician.putSegment()
    await physician.signInAgain()
    for (const entries of [1, 3, 4]) await physician.writeRecord(entries)
  }
}

const countOf = (table: string): number => {
  const database = new DatabaseSync(file, { readOnly: true })
  const row = database.prepare(`select count(*) as count from "${table}"`).get()
  database.close()
  return Number(row?.count)
}

test("a practice that nobody touched checks, and the counts are the database's own", async () => {
  const { findings, counts, practice } = await auditDatabase(file, logKey)
  expect(findings).toEqual([])
  expect(practice).toHaveLength(22)
  expect(Object.fromEntries(counts.map(({ name, count }) => [name, count]))).toMatchObject({
    physicians: 3,
    identities: 6,
    records: 9,
    entries: 24,
    "log leaves": countOf("leaf"),
    "log nodes": countOf("node"),
  })
})

test("it can be checked while the server writes", async () => {
  await inCopy(async (copy) => {
    const store = await openStore({ file: copy, signCheckpoint, now: Date.now })
    const physician = new TestPhysician(store, "dora")
    await physician.register()
    const writing = Promise.all([1, 2, 3, 4].map(() => physician.writeRecord(10)))
    for (let i = 0; i < 5; i++) expect((await auditDatabase(copy, logKey)).findings).toEqual([])
    await writing
    expect((await auditDatabase(copy, logKey)).findings).toEqual([])
    await store.close()
  })
})

test("another key is noticed; without one the root is compared all the same", async () => {
  const other = logSigner(new Uint8Array(32).fill(8)).publicKey
  expect((await auditDatabase(file, other)).findings).toHaveLength(1)
  expect((await auditDatabase(file, null)).findings).toEqual([])
  await expectTampered(
    "update meta set value = replace(value, char(10), char(10) || '1') where name = 'checkpoint'",
    null,
  )
})

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
            put(copy, table, column, row.key, flipped)
            const { findings } = await auditDatabase(copy, logKey)
            expect(findings.map((finding) => finding.row)).toContain(rowName(table, row.key))
            put(copy, table, column, row.key, bytes)
          }
        }
        expect((await auditDatabase(copy, logKey)).findings).toEqual([])
      })
    })
  }
})

describe("what nobody signed for is noticed", () => {
  test.each([
    ["an entry is gone", "delete from entry where rowid = (select max(rowid) from entry)"],
    ["a record is gone", "delete from record where rowid = 2"],
    ["an identity is gone", "delete from identity where seq = 1 and rowid = (select max(rowid) from identity)"],
    ["a way to unlock is gone", "delete from unlock where rowid = 1"],
    [
      "a physician is gone with everything of theirs",
      "delete from record where id in (select record from member where physician = (select max(id) from physician)); delete from identity where physician = (select max(id) from physician); delete from physician where id = (select max(id) from physician)",
    ],
    ["a leaf is gone", "delete from leaf where idx = (select max(idx) from leaf)"],
    ["a leaf in the middle is gone", "delete from leaf where idx = 5"],
    ["a node is gone", "delete from node where level = 1 and idx = 1"],
    ["a node too many", "insert into node values (40, 0, zeroblob(32))"],
    [
      "a reader was added",
      "insert into member select record, (select id from physician where username = 'bea'), 'reader' from member where physician = (select id from physician where username = 'ada') limit 1",
    ],
    ["a role was changed", "update member set role = 'reader'"],
    ["a member is gone", "delete from member where record = (select min(record) from member)"],
    ["a derived head was changed", "update record set chain = replace(chain, 'owner', 'reader')"],
    [
      "an author was changed",
      "update entry set author = (select id from physician where username = 'bea') where seq = 0",
    ],
    ["a username was changed", "update physician set username = 'eve' where username = 'ada'"],
    ["a leaf's time was changed", "update leaf set time = time + 1 where idx = 3"],
    ["a keyring was rolled back", "update physician set keyring_number = 0"],
    ["a text lies where bytes should", "update entry set statement = 'x' where seq = 0"],
    ["a token is missing", "update entry set body = null, body_sha256 = null where seq = 1"],
  ])("%s", async (_what, statement) => {
    await expectTampered(statement, logKey)
  })

  test("a log that was made anew without the key", async () => {
    await inCopy(async (copy) => {
      const database = new DatabaseSync(copy)
      const { value } = database.prepare("select value from meta where name = 'checkpoint'").get() as { value: string }
      const forged = value.replace(
        /— (\S+) \S+/,
        (_line, origin) => `— ${origin} ${Buffer.alloc(68).toString("base64")}`,
      )
      database.prepare("update meta set value = ? where name = 'checkpoint'").run(forged)
      database.close()
      expect((await auditDatabase(copy, logKey)).findings[0]?.row).toBe("meta name=checkpoint")
    })
  })
})

test("a binary column that nothing checks is refused, not passed over", async () => {
  await inCopy(async (copy) => {
    run(copy, "alter table physician add column passkey blob")
    await expect(auditDatabase(copy, logKey)).rejects.toThrow("physician.passkey")
  })
})

async function expectTampered(statement: string, key: Uint8Array | null): Promise<void> {
  await inCopy(async (copy) => {
    run(copy, statement)
    expect((await auditDatabase(copy, key)).findings).not.toEqual([])
  })
}

async function inCopy(work: (copy: string) => Promise<void>): Promise<void> {
  const place = await mkdtemp(join(tmpdir(), "healthcrypt-"))
  try {
    await cp(folder, place, { recursive: true })
    await work(join(place, "healthcrypt.db"))
  } finally {
    await rm(place, { recursive: true })
  }
}

function run(copy: string, statement: string): void {
  const database = new DatabaseSync(copy, { enableForeignKeyConstraints: false })
  database.exec(statement)
  database.close()
}

/** From the schema that the migrations make, so that a new column is flipped, too. */
async function binaryColumns(): Promise<{ table: string; column: string }[]> {
  const db = openSqlite(":memory:", "write")
  await migrate(db, sqliteTypes)
  const tables = await db.introspection.getTables()
  await db.destroy()
  return tables.flatMap(({ name, columns }) =>
    columns.filter((column) => /^blob$/i.test(column.dataType)).map((column) => ({ table: name, column: column.name })),
  )
}

interface Cell {
  readonly key: Readonly<Record<string, string | number>>
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
