import { sql } from "kysely"
import { equal } from "../../encoding/bytes.ts"
import type { RecordId } from "../../encoding/ids.ts"
import { type ChainHead, extendChain, type FindKeys, type Link } from "../../proof/chain.ts"
import { encodeChainHead } from "../../proof/chain-head.ts"
import type { TokenRef } from "../../proof/entry.ts"
import type { Db } from "../store/connection.ts"
import type { Accounts } from "./accounts.ts"
import { type Findings, rowName } from "./findings.ts"
import type { Tree } from "./log.ts"

const pageSize = 200

/** Walks every record's chain as any reader does, then compares what was derived from it.
 * @returns how many records and entries there are */
export async function auditRecords(
  db: Db,
  findings: Findings,
  accounts: Accounts,
  tree: Tree,
): Promise<{ records: number; entries: number }> {
  const findKeys: FindKeys = (physician, fingerprint) =>
    accounts.identitiesOf(physician).find((identity) => equal(identity.fingerprint, fingerprint)) ?? null
  const total = { records: 0, entries: 0 }
  for (let after = ""; ; ) {
    const records = await readRecords(db, after)
    const last = records.at(-1)
    if (last === undefined) break
    after = last.id
    const ids = records.map((record) => record.id)
    const entries = Map.groupBy(await readEntries(db, ids), (row) => row.record)
    const members = Map.groupBy(await readMembers(db, ids), (row) => row.record)
    await Promise.all(
      records.map(async (record) => {
        const rows = entries.get(record.id) ?? []
        const head = await walk(findings, record.id, rows, findKeys, tree)
        if (head !== null) compareHead(findings, record, head, members.get(record.id) ?? [])
        total.entries += rows.length
      }),
    )
    total.records += records.length
  }
  await auditLeaves(db, findings, total.entries)
  return total
}

/** Every leaf that speaks of an entry has that entry, and no entry is without its record. */
async function auditLeaves(db: Db, findings: Findings, walked: number): Promise<void> {
  const { count } = await db
    .selectFrom("entry")
    .select((e) => e.fn.countAll<number>().as("count"))
    .executeTakeFirstOrThrow()
  findings.demand(Number(count) === walked, "entry", `${Number(count) - walked} entries belong to no record`)
  const lost = await db
    .selectFrom("leaf")
    .leftJoin("entry", "entry.leaf", "leaf.idx")
    .select(["leaf.idx", "leaf.subject", "leaf.number"])
    .where("leaf.stream", "=", "entry")
    .where("entry.record", "is", null)
    .execute()
  for (const leaf of lost)
    findings.tampered(
      rowName("leaf", { idx: leaf.idx }),
      `the entry that it speaks of is missing: record=${leaf.subject} seq=${leaf.number}`,
    )
}

type RecordRow = Awaited<ReturnType<typeof readRecords>>[number]
type EntryRow = Awaited<ReturnType<typeof readEntries>>[number]
type MemberRow = Awaited<ReturnType<typeof readMembers>>[number]

function readRecords(db: Db, after: string) {
  return db
    .selectFrom("record")
    .selectAll()
    .where("id", ">", after as RecordId)
    .orderBy("id")
    .limit(pageSize)
    .execute()
}

/** Without tokens: their hashes were compared with them before. */
function readEntries(db: Db, records: readonly RecordId[]) {
  const size = (column: "body" | "summary") => sql<number | null>`octet_length(${sql.ref(`entry.${column}`)})`
  return db
    .selectFrom("entry")
    .leftJoin("leaf", "leaf.idx", "entry.leaf")
    .select([
      "record",
      "seq",
      "author",
      "kind",
      "epoch",
      "statement",
      "signature",
      "leaf as at",
      "body_sha256",
      "summary_sha256",
    ])
    .select(["leaf.subject", "leaf.stream", "leaf.number", "leaf.type", "leaf.actor", "leaf.statement_hash"])
    .select([size("body").as("body_size"), size("summary").as("summary_size")])
    .where("record", "in", records)
    .orderBy("record")
    .orderBy("seq")
    .execute()
}

function readMembers(db: Db, records: readonly RecordId[]) {
  return db.selectFrom("member").selectAll().where("record", "in", records).execute()
}

/** @returns the head, or `null` where the chain broke: then what follows it says nothing */
async function walk(
  findings: Findings,
  record: RecordId,
  rows: readonly EntryRow[],
  findKeys: FindKeys,
  tree: Tree,
): Promise<ChainHead | null> {
  let head: ChainHead | null = null
  for (const row of rows) {
    const name = rowName("entry", { record, seq: row.seq })
    const before: ChainHead | null = head
    const link: Link | null = await findings.attempt(name, () => extendChain(before, record, row, row.at, findKeys))
    if (link === null) return null
    compareEntry(findings, name, row, link, tree)
    head = link.head
  }
  if (head === null) findings.tampered(rowName("record", { id: record }), "it has no entries")
  return head
}

function compareEntry(findings: Findings, name: string, row: EntryRow, { entry, head }: Link, tree: Tree): void {
  const listed =
    row.seq === entry.seq && row.author === entry.author && row.kind === entry.kind && row.epoch === entry.epoch
  findings.demand(listed, name, "its columns are not what its statement says")
  const logged =
    row.subject === entry.record &&
    row.stream === "entry" &&
    row.type === "entry" &&
    row.number === entry.seq &&
    row.actor === entry.author &&
    isSame(row.statement_hash, head.hash)
  findings.demand(logged, name, "the log does not have it")
  findings.demand(isToken(entry.body, row.body_sha256, row.body_size), name, "its body is not the one that was signed")
  const summary = isToken(entry.summary, row.summary_sha256, row.summary_size)
  findings.demand(summary, name, "its summary is not the one that was signed")
  const seen = tree.rootAt(entry.seen.size)
  findings.demand(isSame(seen, entry.seen.root), name, "it has seen another log than this one")
}

function compareHead(findings: Findings, record: RecordRow, head: ChainHead, members: readonly MemberRow[]): void {
  const name = rowName("record", { id: record.id })
  const fits = record.head_seq === head.seq && record.head_leaf === head.leaf && isSame(record.head_hash, head.hash)
  findings.demand(fits, name, "its head is not its newest entry")
  findings.demand(record.chain === encodeChainHead(head), name, "what it says of its chain is not what the chain says")
  const listed = (row: MemberRow): boolean =>
    head.members.some((member) => member.physician === row.physician && member.role === row.role)
  for (const row of members)
    if (!listed(row))
      findings.tampered(
        rowName("member", { record: record.id, physician: row.physician }),
        "the chain does not name this member in this role",
      )
  findings.demand(members.length >= head.members.length, name, "a member that its chain names is missing")
}

function isToken(ref: TokenRef | undefined, hash: unknown, size: number | null): boolean {
  return ref === undefined ? hash === null && size === null : ref.size === Number(size) && isSame(hash, ref.hash)
}

function isSame(a: unknown, b: unknown): boolean {
  return a instanceof Uint8Array && b instanceof Uint8Array && equal(a, b)
}
