import { mkdtemp, rm } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterAll, beforeAll, expect, test } from "vitest"
import { newId, type PhysicianId, type RecordId } from "../../encoding/ids.ts"
import { limits } from "../../encoding/limits.ts"
import type { ChainHead } from "../../proof/chain.ts"
import { encodeChainHead } from "../../proof/chain-head.ts"
import { randomToken } from "../client.fixture.ts"
import { ChainHeads } from "./chain-heads.ts"
import { type Db, openSqlite } from "./connection.ts"
import { migrate, sqliteTypes } from "./migrations.ts"

let folder: string
let db: Db

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "chain-heads-"))
  db = openSqlite(join(folder, "heads.db"), "write")
  await migrate(db, sqliteTypes)
})

afterAll(async () => {
  await db.destroy()
  await rm(folder, { recursive: true })
})

/** A head with so many members, each of whom has written. */
function headOf(members: number): ChainHead {
  const physicians = Array.from({ length: members }, () => newId<"physician">() as PhysicianId)
  return {
    record: newId<"record">(),
    seq: members,
    hash: randomToken(32),
    epoch: 0,
    members: physicians.map((physician) => ({ physician, fingerprint: randomToken(32), role: "owner" })),
    commits: new Map([[0, randomToken(32)]]),
    mustRaise: false,
    settled: 1,
    leaf: members,
    seen: new Map(physicians.map((physician) => [physician, { size: 1, root: randomToken(32) }])),
  }
}

/** Stores records with this head, and asks for each. @returns how many of the newest are still there when they are asked for again. */
async function keptOf(head: ChainHead, records: number): Promise<number> {
  const text = encodeChainHead(head)
  const ids = Array.from({ length: records }, () => newId<"record">() as RecordId)
  const rows = ids.map((id) => {
    const chain = text.replace(head.record, id)
    return { id, head_seq: 0, head_hash: head.hash, head_leaf: 0, chain }
  })
  await db.insertInto("record").values(rows).execute()
  const heads = new ChainHeads(db)
  const first = new Map<RecordId, ChainHead | null>()
  for (const id of ids) first.set(id, await heads.find(id))
  let kept = 0
  for (const id of ids.reverse()) {
    const again = await heads.find(id)
    expect(again).toEqual(first.get(id))
    if (again !== first.get(id)) break
    kept++
  }
  return kept
}

test("heads of few members are kept by the thousand, and of many members no more than take as much together", async () => {
  expect(await keptOf(headOf(3), 1500)).toBe(1500)
  const large = headOf(limits.members)
  const kept = await keptOf(large, 200)
  expect(kept).toBeGreaterThan(10)
  expect(kept * encodeChainHead(large).length).toBeLessThan(5_000_000)
})
