import { mkdtemp, rm } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { DatabaseSync } from "node:sqlite"
import { Migrator } from "kysely/migration"
import { afterEach, beforeEach, expect, test } from "vitest"
import { type Db, openSqlite } from "./connection.ts"
import { sessions } from "./migration-sessions.ts"
import { migrate, migrations, sqliteTypes } from "./migrations.ts"

let folder: string
let file: string
let db: Db

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "healthcrypt-test-"))
  file = join(folder, "healthcrypt.db")
  db = openSqlite(file, "write")
})
afterEach(async () => {
  await db.destroy()
  await rm(folder, { recursive: true })
})

const rows = (sql: string): unknown[] => {
  const database = new DatabaseSync(file, { readOnly: true })
  const found = database
    .prepare(sql)
    .all()
    .map((row) => ({ ...row }))
  database.close()
  return found
}

test("what the first version stored is there after sharing came: own records are accepted, browsers' sessions known; then sessions end", async () => {
  const { error } = await new Migrator({ db, provider: migrations(sqliteTypes) }).migrateTo("0001-first")
  expect(error).toBe(undefined)
  const old = new DatabaseSync(file)
  old.exec(`
    insert into physician values ('ada', 'ada', x'', x'', x'', x'', 0, x'', x'', 0, x'', x'', 1);
    insert into session values ('h1', 's1', 'ada', x'00', x'00', 1, 1, 2, 1), ('h2', 's2', 'ada', null, null, 1, 1, 2, 1);
    insert into read_mark values ('s1', 'r1');
    insert into record values ('r1', 1, x'', 9, ''), ('r2', 0, x'', 8, '');
    insert into entry values ('r1', 0, 'ada', 'open', 0, x'', x'', x'', 7, null, null, null, null),
      ('r1', 1, 'ada', 'write', 0, x'', x'', x'', 9, null, null, null, null),
      ('r2', 0, 'ada', 'open', 0, x'', x'', x'', 8, null, null, null, null);
    insert into member values ('r1', 'ada', 'owner'), ('r2', 'ada', 'owner');`)
  old.close()
  await new Migrator({ db, provider: migrations(sqliteTypes) }).migrateTo("0002-sharing")
  const mine = { physician: "ada", role: "owner", until: null, invited: 0, removed: null }
  expect(rows("select * from member order by record")).toEqual([
    { ...mine, record: "r1", accepted: 7 },
    { ...mine, record: "r2", accepted: 8 },
  ])
  expect(rows("select id, carrier from session order by id")).toEqual([
    { id: "s1", carrier: "cookie" },
    { id: "s2", carrier: "bearer" },
  ])
  // No browser's page has the secret that its session needs since 0.3: all sign in again.
  await sessions().up(db)
  expect(rows("select * from session")).toEqual([])
  expect(rows("select * from read_mark")).toEqual([])
  expect(rows("select count(*) as n from entry")).toEqual([{ n: 3 }])
  expect(rows("pragma foreign_key_check")).toEqual([])
  expect(rows("pragma integrity_check")).toEqual([{ integrity_check: "ok" }])
})

test("who invited each member, and where, is known of what was stored before", async () => {
  const migrator = new Migrator({ db, provider: migrations(sqliteTypes) })
  await migrator.migrateTo("0007-entry-authors")
  const old = new DatabaseSync(file)
  old.exec(`
    pragma foreign_keys = off;
    insert into record values ('r1', 2, x'', 9, '');
    insert into entry values ('r1', 0, 'ada', 'open', 0, x'', x'', x'', 7, null, null, null, null),
      ('r1', 1, 'ada', 'members', 1, x'', x'', x'', 8, null, null, null, null),
      ('r1', 2, 'bea', 'members', 1, x'', x'', x'', 9, null, null, null, null);
    insert into member values ('r1', 'ada', 'owner', null, 0, 7, null), ('r1', 'bea', 'owner', null, 1, 12, null),
      ('r1', 'cy', 'reader', null, 2, null, null);`)
  old.close()
  expect((await migrator.migrateToLatest()).error).toBe(undefined)
  expect(rows("select physician, invited, inviter, invited_leaf as leaf from member order by physician")).toEqual([
    { physician: "ada", invited: 0, inviter: "ada", leaf: 7 },
    { physician: "bea", invited: 1, inviter: "ada", leaf: 8 },
    { physician: "cy", invited: 2, inviter: "bea", leaf: 9 },
  ])
})

test("a step that fails leaves the database as it was", async () => {
  await new Migrator({ db, provider: migrations(sqliteTypes) }).migrateTo("0001-first")
  const schema = "select name, sql from sqlite_master order by name"
  const before = rows(schema)
  const old = new DatabaseSync(file)
  old.exec("create table member_accepted (x)")
  old.close()
  await expect(migrate(db, sqliteTypes)).rejects.toThrow("member_accepted")
  const again = new DatabaseSync(file)
  again.exec("drop table member_accepted")
  again.close()
  expect(rows(schema)).toEqual(before)
})
