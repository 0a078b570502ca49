import { sha256 } from "#sha256"
import { parseBase64url } from "../encoding/base64.ts"
import { equal } from "../encoding/bytes.ts"
import type { PhysicianId, RecordId } from "../encoding/ids.ts"
import { AppError } from "../errors.ts"
import type { TreeHead } from "../proof/checkpoint.ts"
import { type EntryStatement, parseEntry } from "../proof/entry.ts"
import type { LeafInfo } from "../protocol/log.ts"
import { bodyPath, entriesPath } from "../protocol/paths.ts"
import { bodyApartBytes, readBody, readEntries } from "../protocol/records.ts"
import type { RosterRow } from "./roster-row.ts"
import type { Session } from "./session.ts"

/** One stored entry. */
export interface StoredEntry {
  readonly statement: Uint8Array
  readonly signature: Uint8Array
  readonly summary?: Uint8Array | undefined
  readonly grant?: Uint8Array | undefined
  /** Where bodies were asked for. */
  readonly body?: Uint8Array | undefined
  readonly leaf: LeafInfo
}

export interface SelfGrant {
  readonly epoch: number
  readonly token: Uint8Array
}

/** An entry that was verified and taken in. */
export interface Taken {
  readonly entry: EntryStatement
  /** What its author had seen, to be proved; `null` where its hash stands below a head for which that was done. */
  readonly seen: TreeHead | null
}

export interface Stretch {
  /** The number of the first entry that is asked for. */
  readonly from: number
  /** The number of the first that is not, or infinity: then the head is, where there may be nothing new. */
  readonly to: number
  readonly bodies: boolean
  /** Whose bodies need not come, asked before every page. */
  readonly without?: () => readonly PhysicianId[]
}

/** Reads a record's chain page by page, and gives each entry in turn to `take`. Proves every entry to be in the log, at the time that is
 * said, and what the authors had seen to be earlier trees of it.
 * @throws NOT_ALLOWED, TAMPERED_LOG, TAMPERED_CHAIN where entries that were promised do not come; whatever `take` throws */
export async function readChain(
  session: Session,
  record: RecordId,
  { from, to, bodies, without = () => [] }: Stretch,
  take: (stored: StoredEntry, selfGrants: readonly SelfGrant[]) => Promise<Taken>,
): Promise<void> {
  const seen: TreeHead[] = []
  let next = from
  for (let more = true; more && next < to; ) {
    const { answer, tree } = await session.log.exchange(
      (pinned) =>
        session.around.transport.call("GET", entriesPath(record), {
          query: { from: next, since: pinned.size, bodies: bodies ? "1" : "0", without: without().join() },
          reply: readEntries.reply,
          background: !bodies,
        }),
      (reply) => reply.log,
    )
    more = answer.more
    if (answer.entries.length === 0 && (more || next === 0 || to !== Number.POSITIVE_INFINITY))
      throw new AppError("TAMPERED_CHAIN")
    for (const stored of answer.entries) {
      if (next >= to) break
      const taken = await take(bodies ? await withBody(session, record, stored, without) : stored, answer.selfGrants)
      if (taken.seen !== null) seen.push(taken.seen)
      next = taken.entry.seq + 1
    }
    session.log.checkLeaves(answer.entries.map(leafOf), answer.inclusion, tree)
  }
  await session.proveSeen(seen)
}

/** A statement that stands in a chain. @throws TAMPERED_CHAIN for what is none */
function parseStored(statement: Uint8Array): EntryStatement {
  try {
    return parseEntry(statement)
  } catch (error) {
    throw new AppError("TAMPERED_CHAIN", undefined, { cause: error })
  }
}

/** Large bodies are fetched one at a time, each just before it is looked at: of many, nobody could hold all. */
async function withBody(
  session: Session,
  record: RecordId,
  stored: StoredEntry,
  without: () => readonly PhysicianId[],
): Promise<StoredEntry> {
  if (stored.body !== undefined) return stored
  const { seq, author, body } = parseStored(stored.statement)
  if (body === undefined || body.size <= bodyApartBytes || without().includes(author)) return stored
  return { ...stored, body: await session.around.transport.download(bodyPath(record, seq), readBody.maxBytes) }
}

/** The leaves of the entries from number `from` to a row's head, by number, each proved to be in the log.
 * @throws as {@link readDown} */
export async function leavesBelow(session: Session, row: HeadOf, from: number): Promise<Map<number, number>> {
  const leaves = new Map<number, number>()
  await readDown(session, row, from, ({ seq }, leaf) => leaves.set(seq, leaf))
  return leaves
}

/** The hashes of the entries from number `from` to the last below a row's head, by number. @throws as {@link readDown} */
export async function hashesBelow(session: Session, row: HeadOf, from: number): Promise<Map<number, Uint8Array>> {
  const hashes = new Map<number, Uint8Array>()
  await readDown(session, row, from + 1, ({ seq, prev }) => {
    if (prev !== undefined) hashes.set(seq - 1, prev)
  })
  return hashes
}

type HeadOf = Pick<RosterRow, "id" | "seq" | "hash">

/** Reads the entries from number `from` to a row's head, without bodies. The hashes that they name lead down from the head, which was verified
 * before. @throws TAMPERED_LOG, TAMPERED_CHAIN where the server shows others; NOT_ALLOWED where the record was taken away meanwhile */
async function readDown(
  session: Session,
  row: HeadOf,
  from: number,
  take: (entry: EntryStatement, leaf: number) => void,
): Promise<void> {
  let last: Uint8Array | null = null
  await readChain(session, row.id, { from, to: row.seq + 1, bodies: false }, async ({ statement, leaf }) => {
    const entry = parseStored(statement)
    const isFirst = last === null
    if (isFirst ? entry.seq !== from : entry.prev === undefined || !equal(entry.prev, last!))
      throw new AppError("TAMPERED_CHAIN")
    last = sha256(statement)
    take(entry, leaf.index)
    return { entry, seen: null }
  })
  if (last === null || !equal(last, parseBase64url(row.hash))) throw new AppError("TAMPERED_CHAIN")
}

/** An entry's leaf, as its own statement says it. Nothing of that is believed before `take` has verified it. */
function leafOf({ statement, leaf: info }: StoredEntry) {
  const { record, seq, author } = parseStored(statement)
  const leaf = { subject: record, stream: "entry", type: "entry", number: seq, actor: author } as const
  return { info, leaf: { ...leaf, statementHash: sha256(statement) } }
}
