import { readFile, writeFile } from "node:fs/promises"
import { DatabaseSync } from "node:sqlite"
import { sql } from "kysely"
import { describe, expect, test } from "vitest"
import type { PhysicianId, PracticeId, RecordId } from "../../encoding/ids.ts"
import { logOrigin } from "../../proof/checkpoint.ts"
import { type Leaf, type LeafType, leafData } from "../../proof/leaf.ts"
import { Frontier, leafHash } from "../../proof/merkle.ts"
import { logSigner } from "../log.ts"
import { openSqlite } from "../store/connection.ts"
import { logRows } from "../store/log-rows.ts"
import { openStore } from "../store/sqlite.ts"
import { auditDatabase } from "./audit.ts"
import { logKey, openFilled, run, signCheckpoint } from "./filled.fixture.ts"
import { newFindings } from "./findings.ts"
import { auditHashes } from "./hashes.ts"
import { TestPhysician } from "./practice.fixture.ts"

const { file, inCopy } = await openFilled()

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

test("a clock that was wrong for a while raises no alarm", async () => {
  for (const wrongMs of [-31_536_000_000, 31_536_000_000])
    await inCopy(async (copy) => {
      const store = await openStore({ file: copy, signCheckpoint, now: () => Date.now() + wrongMs })
      const physician = new TestPhysician(store, "dora")
      await physician.register()
      await physician.putSegment()
      await store.close()
      expect((await auditDatabase(copy, logKey)).findings).toEqual([])
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

/** Changes a username in its index, and leaves its row as it is. @returns in how many pages */
async function flipInIndex(copy: string, username: string): Promise<number> {
  run(copy, "pragma wal_checkpoint(truncate)")
  const database = new DatabaseSync(copy, { readOnly: true })
  const roots = database
    .prepare("select rootpage from sqlite_schema where type = 'index' and tbl_name = 'physician'")
    .all()
  database.close()
  const bytes = await readFile(copy)
  const pageBytes = bytes.readUInt16BE(16)
  let flipped = 0
  for (const { rootpage } of roots) {
    const start = (Number(rootpage) - 1) * pageBytes
    const at = bytes.subarray(start, start + pageBytes).indexOf(username)
    if (at < 0) continue
    bytes[start + at + 1]! ^= 1
    flipped++
  }
  await writeFile(copy, bytes)
  return flipped
}

describe("an index that does not hold what its table does", () => {
  test("is noticed", async () => {
    await inCopy(async (copy) => {
      expect(await flipInIndex(copy, "cy.d")).toBe(1)
      const { findings } = await auditDatabase(copy, logKey)
      expect(findings.map(({ row }) => row)).toContain("database")
      expect(findings.map(({ what }) => what).join()).toContain("sqlite_autoindex_physician")
    })
  })

  test("lets two have one name, who are named", async () => {
    await inCopy(async (copy) => {
      await flipInIndex(copy, "cy.d")
      run(copy, "update physician set username = 'cy.d' where username = 'ada'")
      const { findings } = await auditDatabase(copy, logKey)
      expect(findings.map(({ what }) => what)).toContain("its username is another's as well")
    })
  })
})

/** Whoever selects from it would never come to an end. */
test.each(["meta", "physician", "leaf", "kysely_migration"])("a view in the place of %s is not read", async (name) => {
  await inCopy(async (copy) => {
    run(copy, `drop table ${name}`)
    run(
      copy,
      `create view ${name} as with recursive n(value) as (select 1 union all select value + 1 from n) select *,
      value as name, value as id, value as username, value as idx from n`,
    )
    const { findings } = await auditDatabase(copy, logKey)
    expect(findings.map(({ row }) => row)).toContain(`schema view ${name} of ${name}`)
  })
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
    ["a session lasts a year longer", "update session set expires = expires + 31536000000"],
    ["a session ends at once", "update session set expires = created + 1"],
    ["a session is used in a year", "update session set touched = touched + 31536000000"],
    ["a session was used after its end", "update session set touched = expires"],
    ["a password was proved again", "update session set proven = proven + 1"],
    [
      "a session is moved a year ahead",
      "update session set created = created + y, touched = touched + y, expires = expires + y, proven = proven + y from (select 31536000000 as y)",
    ],
    ["a segment comes in a year", "update segment set created = created + 31536000000"],
    ["a segment came before its physician", "update segment set created = created - 31536000000"],
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
    const db = openSqlite(copy, "read")
    await expect(auditHashes(db, newFindings())).rejects.toThrow("physician.passkey")
    await db.destroy()
  })
})

async function expectTampered(statement: string, key: Uint8Array | null): Promise<void> {
  await inCopy(async (copy) => {
    run(copy, statement)
    expect((await auditDatabase(copy, key)).findings).not.toEqual([])
  })
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
