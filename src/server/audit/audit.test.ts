import { randomBytes } from "node:crypto"
import { cp, mkdtemp, readFile, rm } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { DatabaseSync, type SQLInputValue } from "node:sqlite"
import { sql } from "kysely"
import { afterAll, beforeAll, describe, expect, test } from "vitest"
import type { PhysicianId, PracticeId, RecordId } from "../../encoding/ids.ts"
import { logOrigin } from "../../proof/checkpoint.ts"
import { type Leaf, type LeafType, leafData } from "../../proof/leaf.ts"
import { Frontier, leafHash } from "../../proof/merkle.ts"
import { logSigner } from "../log.ts"
import { openSqlite } from "../store/connection.ts"
import { logRows } from "../store/log-rows.ts"
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

/** At least three rows in every table, and every way in which a membership can stand. */
async function fill(store: Store): Promise<void> {
  const [ada, bea, cyd] = ["ada", "bea", "cy.d"].map((name) => new TestPhysician(store, name)) as [
    TestPhysician,
    TestPhysician,
    TestPhysician,
  ]
  for (const physician of [ada, bea, cyd]) {
    await physician.register()
    await physician.replaceRecovery()
    await physician.putKeyring()
    await physician.putProfile()
    await physician.putSegment()
    await physician.signInAgain()
    await physician.endSession()
    for (const entries of [1, 3, 4]) await physician.writeRecord(entries)
  }
  const [accepted, invited, removed, again, declined] = await Promise.all([1, 1, 1, 1, 1].map(() => ada.writeRecord(1)))
  for (const record of [accepted!, invited!, removed!, again!, declined!]) await ada.share(record, bea, "writer")
  for (const record of [accepted!, removed!, again!]) await bea.accept(record)
  for (const record of [accepted!, removed!, again!]) await bea.replaceSelfGrant(record)
  await ada.share(accepted!, cyd, "reader")
  await ada.share(accepted!, bea, "owner")
  await ada.unshare(removed!, bea)
  await bea.leave(again!)
  await ada.unshare(again!, bea)
  await ada.share(again!, bea, "reader")
  await bea.leave(declined!)
  await bea.unshare(accepted!, cyd)
  await ada.leave(accepted!)
  for (let days = 1; days <= 3; days++)
    await store.invite(randomBytes(32).toString("base64url"), Date.now() + days * 24 * 3_600_000)
  await store.suspend("bea")
  await store.suspend("cy.d")
  await store.resume("cy.d")
  await cyd.signInAgain()
  await ada.signInAgain()
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
    records: 14,
    entries: countOf("entry"),
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

describe("what a database is made of is what this program makes", () => {
  const added = {
    trigger: `create trigger t after insert on session begin
      insert or replace into invite (code_hash, created, expires) values ('x', 1, 9000000000000); end`,
    view: "create view v as select * from session",
    table: "create table t (x)",
    "table that is called like the one of a backup's secrets": "create table backup_secrets (sealed)",
    index: "create index i on leaf (time)",
    column: "alter table meta add column z",
  }
  for (const [what, statement] of Object.entries(added))
    test(`a ${what} more is noticed`, async () => {
      await inCopy(async (copy) => {
        run(copy, statement)
        const { findings } = await auditDatabase(copy, logKey)
        expect(findings.map(({ row }) => row).join()).toMatch(/^schema /)
      })
    })

  test("an index that is gone, or is another of the same name, is noticed", async () => {
    for (const [statement, what] of [
      ["drop index leaf_accept", "it is missing"],
      ["drop index leaf_accept; create index leaf_accept on leaf (actor, idx)", "it is made otherwise"],
    ] as const)
      await inCopy(async (copy) => {
        run(copy, statement)
        expect((await auditDatabase(copy, logKey)).findings).toEqual([
          { row: "schema index leaf_accept of leaf", what },
        ])
      })
  })

  test("what says that it is of another version is for that version to check", async () => {
    for (const statement of [
      "delete from kysely_migration where name = '0006-succession'",
      "insert into kysely_migration values ('0099-later', '')",
    ])
      await inCopy(async (copy) => {
        run(copy, statement)
        await expect(auditDatabase(copy, logKey)).rejects.toMatchObject({ code: "UNAVAILABLE" })
      })
  })
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

test("every other column of every table is bound as well, but for those that docs/operations.md lists", async () => {
  const page = await readFile(join(import.meta.dirname, "../../../docs/operations.md"), "utf8")
  const section = /^## Verify\n.*?^## /ms.exec(page)?.[0] ?? ""
  const listed = [...section.matchAll(/^\| `(\w+\.\w+)` +\| .+ \|$/gm)].map(([, column]) => column)
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
  expect(unnoticed.sort()).toEqual(listed.sort())
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
      "insert or replace into member select record, (select id from physician where username = 'cy.d'), 'reader', null, 1, null, null, physician, 1 from member where physician = (select id from physician where username = 'ada') limit 1",
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
    ["a grant is gone", "delete from sealed_grant where rowid = 1"],
    [
      "a grant too many",
      "insert into sealed_grant select record, seq + 1, recipient, token_sha256, token from sealed_grant limit 1",
    ],
    [
      "a grant went to somebody else",
      "update sealed_grant set recipient = (select id from physician where username = 'cy.d') where recipient = (select id from physician where username = 'bea')",
    ],
    [
      "a self-grant of one who accepted is gone",
      "delete from self_grant where physician = (select id from physician where username = 'bea')",
    ],
    [
      "a self-grant of an epoch to come",
      "insert into self_grant select physician, record, 9, token, token_sha256, null from self_grant limit 1",
    ],
    [
      "a self-grant of no record",
      "insert into self_grant select physician, physician, 0, token, token_sha256, null from self_grant limit 1",
    ],
    ["an acceptance was made up", "update member set accepted = 5 where accepted is null and role is not null"],
    ["an acceptance was taken back", "update member set accepted = null"],
    ["a removal was forgotten", "update member set removed = null where removed is not null"],
    [
      "a date was changed",
      "update member set until = 1 where physician = (select id from physician where username = 'bea')",
    ],
    ["an invitation points elsewhere", "update member set invited = invited + 1"],
    ["a count of records was changed", "update usage set records = 0 where records > 0"],
    ["a count is gone", "delete from usage where physician = (select id from physician where username = 'ada')"],
    ["an invitation was made up", "insert into invite values ('a', 1, 2), ('b', 1, 2), ('c', 1, 2), ('d', 1, 2)"],
    ["a suspension was taken back", "update physician set suspended = null"],
    ["a suspension was made up", "update physician set suspended = 5 where username = 'cy.d'"],
    ["a suspension's day was changed", "update physician set suspended = suspended - 1"],
    ["a session's secret is none", "update session set token_hash = substr(token_hash, 2)"],
    ["a browser's session does without its page's secret", "update session set page_hash = null"],
    ["a page's secret is none", "update session set page_hash = page_hash || 'A'"],
    ["a browser's session became a program's", "update session set carrier = 'bearer'"],
    [
      "a session is carried by nothing known",
      "update session set carrier = 'url', page_hash = null, half = null, half_sha256 = null",
    ],
    ["a token is missing", "update entry set body = null, body_sha256 = null where seq = 1"],
  ])("%s", async (_what, statement) => {
    await expectTampered(statement, logKey)
  })

  test.each([
    ["an acceptance by one who was not invited", "accept", "'cy.d'"],
    ["a read by one who was never a member", "read", "'cy.d'"],
    ["a sign-in to a record", "sign-in", "'ada'"],
  ])("an act that cannot be: %s", async (_what, type, actor) => {
    await inCopy(async (copy) => {
      await addAct(copy, type, actor)
      const { findings } = await auditDatabase(copy, logKey)
      expect(findings.map((finding) => finding.row)).toEqual([expect.stringMatching(/^leaf idx=/)])
    })
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

/** Adds a leaf to the log that says something of Ada's first record: all that only the server's word stands for. */
async function addAct(copy: string, type: string, actor: string): Promise<void> {
  const db = openSqlite(copy, "write")
  const { rows } = await sql<{ record: RecordId; actor: PhysicianId; number: number }>`
    select record.id as record, actor.id as actor, (select count(*) from leaf where subject = record.id and stream = 'act') as number
    from record join member on member.record = record.id join physician as ada on ada.id = member.physician
    join physician as actor on actor.username = ${sql.raw(actor)}
    where ada.username = 'ada' and record.head_seq = 3`.execute(db)
  const { record, ...act } = rows[0]!
  const size = Number((await sql<{ n: number }>`select count(*) as n from leaf`.execute(db)).rows[0]!.n)
  const leaf: Leaf = {
    subject: record,
    stream: "act",
    type: type as LeafType,
    time: 1,
    salt: new Uint8Array(16),
    statementHash: new Uint8Array(32),
    ...act,
  }
  const nodes = await db.selectFrom("node").selectAll().where("level", "=", 0).orderBy("idx").execute()
  const frontier = new Frontier()
  for (const node of nodes) frontier.append(node.hash)
  const made = frontier.append(leafHash(leafData(leaf)))
  const { value: practice } = await db
    .selectFrom("meta")
    .select("value")
    .where("name", "=", "practice")
    .executeTakeFirstOrThrow()
  const written = logRows(db)
  await written.insertLeaves(db, size, [leaf], [leafData(leaf)])
  await written.insertNodes(db, made)
  const origin = logOrigin(practice as PracticeId)
  await written.putCheckpoint(db, signCheckpoint({ origin, size: size + 1, root: frontier.root() }))
  await db.destroy()
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
