import { sql } from "kysely"
import { equal } from "../../encoding/bytes.ts"
import type { PhysicianId, RecordId } from "../../encoding/ids.ts"
import { type ChainHead, extendChain, type FindKeys, type Link } from "../../proof/chain.ts"
import { encodeChainHead } from "../../proof/chain-head.ts"
import type { TokenRef } from "../../proof/entry.ts"
import type { Db } from "../store/connection.ts"
import type { Accounts } from "./accounts.ts"
import { type Findings, rowName } from "./findings.ts"
import type { Tree } from "./log.ts"
import { auditOrphans, compareMembers, readActs, readMembers, readSelfGrants } from "./members.ts"

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
    const selfGrants = Map.groupBy(await readSelfGrants(db, ids), (row) => row.record)
    const grants = Map.groupBy(await readGrants(db, ids), (row) => row.record)
    const acts = Map.groupBy(await readActs(db, ids), (row) => row.subject)
    await Promise.all(
      records.map(async (record) => {
        const rows = entries.get(record.id) ?? []
        const links = await walk(findings, record.id, rows, findKeys, tree)
        total.entries += rows.length
        if (links === null) return
        compareHead(findings, record, links)
        compareGrants(findings, record.id, links, grants.get(record.id) ?? [])
        const own = selfGrants.get(record.id) ?? []
        compareMembers(findings, record.id, links, acts.get(record.id) ?? [], members.get(record.id) ?? [], own)
      }),
    )
    total.records += records.length
  }
  await auditLeaves(db, findings, total.entries)
  await auditOrphans(db, findings)
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

/** Without the grants themselves, for the same reason. */
function readGrants(db: Db, records: readonly RecordId[]) {
  return db
    .selectFrom("sealed_grant")
    .select(["record", "seq", "recipient", "token_sha256"])
    .where("record", "in", records)
    .execute()
}

/** @returns the chain, or `null` where it broke: then what follows it says nothing */
async function walk(
  findings: Findings,
  record: RecordId,
  rows: readonly EntryRow[],
  findKeys: FindKeys,
  tree: Tree,
): Promise<Link[] | null> {
  const links: Link[] = []
  for (const row of rows) {
    const name = rowName("entry", { record, seq: row.seq })
    const before = links.at(-1)?.head ?? null
    const link: Link | null = await findings.attempt(name, () => extendChain(before, record, row, row.at, findKeys))
    if (link === null) return null
    compareEntry(findings, name, row, link, tree)
    links.push(link)
  }
  if (links.length > 0) return links
  findings.tampered(rowName("record", { id: record }), "it has no entries")
  return null
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

function compareHead(findings: Findings, record: RecordRow, links: readonly Link[]): void {
  const name = rowName("record", { id: record.id })
  const { head } = links.at(-1)!
  const fits = record.head_seq === head.seq && record.head_leaf === head.leaf && isSame(record.head_hash, head.hash)
  findings.demand(fits, name, "its head is not its newest entry")
  findings.demand(says(record.chain, head), name, "what it says of its chain is not what the chain says")
}

/** The grants are those that the statements list, no more and no fewer. */
function compareGrants(
  findings: Findings,
  record: RecordId,
  links: readonly Link[],
  rows: readonly Awaited<ReturnType<typeof readGrants>>[number][],
): void {
  const place = (seq: number, recipient: PhysicianId) => rowName("sealed_grant", { record, seq, recipient })
  const listed = new Map(
    links.flatMap(({ entry: { seq, grants } }) => (grants ?? []).map((one) => [place(seq, one.recipient), one.hash])),
  )
  for (const row of rows) {
    const name = place(row.seq, row.recipient)
    findings.demand(isSame(row.token_sha256, listed.get(name)), name, "it is not the grant that was signed")
    listed.delete(name)
  }
  for (const name of listed.keys()) findings.tampered(name, "it is missing")
}

function isToken(ref: TokenRef | undefined, hash: unknown, size: number | null): boolean {
  return ref === undefined ? hash === null && size === null : ref.size === Number(size) && isSame(hash, ref.hash)
}

function isSame(a: unknown, b: unknown): boolean {
  return a instanceof Uint8Array && b instanceof Uint8Array && equal(a, b)
}

/** Version 0.2 did not note who last decided about a record's readers. */
function says(chain: string, head: ChainHead): boolean {
  const { settled: _, ...unsettled } = head
  return chain === encodeChainHead(head) || chain === encodeChainHead(unsettled)
}
