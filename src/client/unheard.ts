import { encodeBase64url, parseBase64url } from "../encoding/base64.ts"
import { equal } from "../encoding/bytes.ts"
import type { RecordId } from "../encoding/ids.ts"
import { AppError } from "../errors.ts"
import { entryOf, type OwnEntry } from "./own-entry.ts"
import { isLostNow } from "./past.ts"
import { hashesBelow } from "./read-chain.ts"
import { walkRecord } from "./walk.ts"
import type { Workspace } from "./workspace.ts"

/** No request is on its way for so long. */
const underWayMs = 600_000

/** Entries of records that the physician is out of: each is asked about once. */
const asked = new WeakSet<OwnEntry>()

/** Finds out what became of entries whose answer was lost, or said that they were refused: what the log has is kept like any other, and what
 * was not taken is forgotten, once every leaf was looked at. The roster is up to date. */
export async function settleUnheard(work: Workspace): Promise<void> {
  const { own } = work.session.kept
  const byRecord = Map.groupBy(await own.unheard(), ({ record }) => record)
  for (const [record, entries] of byRecord) {
    const chain = await chainOf(work, record, entries)
    for (const one of entries) {
      const there = chain?.hashes.get(one.seq)
      if (there !== undefined && equal(there, one.hash)) own.note({ ...one, leaf: chain!.leaf })
      else if (there === undefined ? await isLost(work, one) : await isLooked(work)) await own.forget(one)
    }
  }
}

interface Chain {
  /** By the entries' numbers, from the first that is asked about to the newest. */
  readonly hashes: ReadonlyMap<number, Uint8Array>
  /** The newest one's leaf. */
  readonly leaf: number
}

/** @returns `null` where nothing can be seen of the record */
async function chainOf(work: Workspace, record: RecordId, entries: readonly OwnEntry[]): Promise<Chain | null> {
  const { session, roster } = work
  const from = entries.reduce((least, { seq }) => Math.min(least, seq), Number.POSITIVE_INFINITY)
  const known = roster.rows.get(record)
  try {
    const row = known ?? (await endOf(work, record, entries))
    if (row === null || row.seq < from) return null
    const below = row.seq > from ? await hashesBelow(session, row, from) : []
    return { hashes: new Map([...below, [row.seq, parseBase64url(row.hash)]]), leaf: row.leaf }
  } catch (error) {
    const isAskedLater = known === undefined && error instanceof AppError && error.is("UNAVAILABLE")
    if ((isLostNow(error) && !isAskedLater) || session.log.refusal !== null) throw error
    if (isAskedLater) for (const one of entries) asked.delete(one)
    return null
  }
}

/** Of a record that the physician is out of, the newest entry that is still shown to them. */
async function endOf({ session, roster }: Workspace, record: RecordId, entries: readonly OwnEntry[]) {
  if (entries.every((one) => asked.has(one)) || roster.refused.has(record) || !roster.isComplete) return null
  for (const one of entries) asked.add(one)
  const { head } = await walkRecord(session, record)
  return head === null ? null : { id: record, seq: head.seq, hash: encodeBase64url(head.hash), leaf: head.leaf }
}

/** Whether all that was pulled has been looked at. What that found is thrown where it is asked for. */
function isLooked({ roster }: Workspace): Promise<boolean> {
  return roster.looked().then(
    () => true,
    () => false,
  )
}

/** Whether an entry never arrived: its record was never made, or has not come so far. That the server shows none says nothing: the log has no
 * leaf for it. */
async function isLost(work: Workspace, own: OwnEntry): Promise<boolean> {
  const { session, roster } = work
  const { record, seq, time } = own
  if (session.around.now() - time <= underWayMs || !roster.isComplete) return false
  if (!(await isLooked(work)) || roster.refused.has(record)) return false
  const row = roster.rows.get(record)
  if (row !== undefined && row.seq >= seq) return false
  try {
    return !(await roster.isInLog(record, seq, entryOf(own).seen.size))
  } catch (error) {
    if (error instanceof AppError && error.is("UNAVAILABLE")) return false
    throw error
  }
}
