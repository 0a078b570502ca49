import { mkdtemp, rm } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { sql } from "kysely"
import { afterEach, beforeEach, expect, test } from "vitest"
import { newId } from "../../encoding/ids.ts"
import { AppError } from "../../errors.ts"
import { emptyRoot, Frontier } from "../../proof/merkle.ts"
import { randomToken } from "../client.fixture.ts"
import { type Db, openSqlite } from "./connection.ts"
import { type Batch, GroupCommit } from "./group-commit.ts"
import { migrate, sqliteTypes } from "./migrations.ts"
import { nodeLoader } from "./node-cache.ts"
import { Tree } from "./tree.ts"

let folder: string
let db: Db
let tree: Tree
let commits: GroupCommit
let signed: number[]

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "healthcrypt-commit-"))
  db = openSqlite(join(folder, "commit.db"), "write")
  await migrate(db, sqliteTypes)
  tree = new Tree(new Frontier(), { origin: "test", size: 0, root: emptyRoot, note: "" }, nodeLoader(db))
  signed = []
  const sign = ({ size }: { size: number }) => {
    signed.push(size)
    return `note ${size}`
  }
  commits = new GroupCommit(db, tree, sign, () => 1000)
})
afterEach(async () => {
  await commits.close()
  await db.destroy()
  await rm(folder, { recursive: true })
})

const subject = newId<"record">()

function leaf(batch: Batch, number: number) {
  const event = { stream: "entry", type: "entry", actor: subject, statementHash: new Uint8Array(32) } as const
  return batch.addLeaf({ ...event, subject, number })
}

test("works that wait together share one commit and one checkpoint", async () => {
  const infos = await Promise.all([0, 1, 2, 3].map((number) => commits.write(async (batch) => leaf(batch, number))))
  expect(infos.map((info) => info.index)).toEqual([0, 1, 2, 3])
  expect(signed).toEqual([4])
  expect(tree.state).toMatchObject({ size: 4, note: "note 4" })
})

test("a work that throws is undone alone, its leaves' places go to the next", async () => {
  const refused = commits.write(async (batch) => {
    leaf(batch, 0)
    leaf(batch, 1)
    await batch.db.insertInto("meta").values({ name: "left", value: "behind" }).execute()
    throw new AppError("CONFLICT_HEAD")
  })
  const broken = commits.write(async (batch) => {
    const inviter = newId<"physician">()
    await batch.db
      .insertInto("member")
      .values({ record: newId(), physician: inviter, invited: 0, inviter, invited_leaf: 0 })
      .execute()
  })
  const good = commits.write(async (batch) => leaf(batch, 0))
  await expect(refused).rejects.toMatchObject({ code: "CONFLICT_HEAD" })
  await expect(broken).rejects.toMatchObject({ code: "UNAVAILABLE" })
  expect((await good).index).toBe(0)
  expect(await db.selectFrom("meta").selectAll().where("name", "=", "left").execute()).toEqual([])
})

test("nothing is answered before the commit", async () => {
  const order: string[] = []
  const first = commits.write(async () => void order.push("work 1")).then(() => order.push("answer 1"))
  const second = commits.write(async () => void order.push("work 2")).then(() => order.push("answer 2"))
  await Promise.all([first, second])
  expect(order).toEqual(["work 1", "work 2", "answer 1", "answer 2"])
})

test("two leaves of one place break the batch: no answer, no leaf, and the log goes on", async () => {
  const twice = await Promise.allSettled([
    commits.write(async (batch) => leaf(batch, 7)),
    commits.write(async (batch) => leaf(batch, 7)),
  ])
  expect(twice.map((one) => one.status)).toEqual(["rejected", "rejected"])
  expect(tree.state.size).toBe(0)
  expect((await commits.write(async (batch) => leaf(batch, 7))).index).toBe(0)
})

test("a full disk is said to be one, nothing of it is kept, and small works still go through", async () => {
  const pages = await sql<{ page_count: number }>`pragma page_count`.execute(db)
  await sql`pragma max_page_count = ${sql.lit((pages.rows[0]?.page_count ?? 0) + 20)}`.execute(db)
  const physician = newId<"physician">()
  const opaque = { opaque_record: randomToken(1), opaque_record_sha256: randomToken(32) }
  const keys = { recovery_key: randomToken(32), recovery_key_sha256: randomToken(32), created: 0 }
  const insert = (bytes: number, username: string) => async (batch: Batch) => {
    const profile = { profile_number: 0, profile: randomToken(bytes), profile_sha256: randomToken(32) }
    const keyring = { keyring_number: 0, keyring: randomToken(1), keyring_sha256: randomToken(32) }
    const id = username === "small" ? physician : newId<"physician">()
    await batch.db
      .insertInto("physician")
      .values({ id, username, ...opaque, ...keys, ...profile, ...keyring })
      .execute()
    return leaf(batch, 0)
  }
  await expect(commits.write(insert(500_000, "large"))).rejects.toMatchObject({ code: "UNAVAILABLE_STORAGE" })
  expect(tree.state.size).toBe(0)
  expect(await commits.write(insert(100, "small"))).toMatchObject({ index: 0 })
  const stored = await db.selectFrom("physician").select("username").execute()
  expect(stored).toEqual([{ username: "small" }])
})

test("after closing nothing is taken, and what was taken is done", async () => {
  const last = commits.write(async (batch) => leaf(batch, 0))
  await commits.close()
  expect((await last).index).toBe(0)
  await expect(commits.write(async () => 1)).rejects.toMatchObject({ code: "UNAVAILABLE" })
})
