import { cp, mkdtemp, rm } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { DatabaseSync } from "node:sqlite"
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
    await physician.putSegment()
    await physician.signInAgain()
    await physician.endSession()
    for (const entries of [1, 3, 4]) await physician.writeRecord(entries)
  }
  const [accepted, invited, removed, again, declined] = await Promise.all([1, 1, 1, 1, 1].map(() => ada.writeRecord(1)))
  for (const record of [accepted!, invited!, removed!, again!, declined!]) await ada.share(record, bea, "writer")
  for (const record of [accepted!, removed!, again!]) await bea.accept(record)
  await ada.share(accepted!, cyd, "reader")
  await ada.share(accepted!, bea, "owner")
  await ada.unshare(removed!, bea)
  await bea.leave(again!)
  await ada.unshare(again!, bea)
  await ada.share(again!, bea, "reader")
  await bea.leave(declined!)
  await bea.unshare(accepted!, cyd)
  await ada.leave(accepted!)
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
      "insert or replace into member select record, (select id from physician where username = 'cy.d'), 'reader', null, 1, null, null from member where physician = (select id from physician where username = 'ada') limit 1",
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
      "insert into self_grant select physician, record, 9, token, token_sha256 from self_grant limit 1",
    ],
    [
      "a self-grant of no record",
      "insert into self_grant select physician, physician, 0, token, token_sha256 from self_grant limit 1",
    ],
    ["an acceptance was made up", "update member set accepted = 5 where accepted is null and role is not null"],
    ["an acceptance was taken back", "update member set accepted = null"],
    ["a removal was forgotten", "update member set removed = null where removed is not null"],
    [
      "a date was changed",
      "update member set until = 1 where physician = (select id from physician where username = 'bea')",
    ],
    ["an invitation points elsewhere", "update member set invited = invited + 1"],
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
