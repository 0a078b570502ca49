import { encodeBase64url } from "../encoding/base64.ts"
import { equal } from "../encoding/bytes.ts"
import { AppError } from "../errors.ts"
import { entryOf, type OwnEntry } from "./own-entry.ts"
import { isTaken } from "./past.ts"
import { hashBelow } from "./read-chain.ts"
import { walkRecord } from "./walk.ts"
import type { Workspace } from "./workspace.ts"

/** No request is on its way for so long. */
const underWayMs = 600_000

/** Entries of records that the physician is out of: each is asked about once. */
const asked = new WeakSet<OwnEntry>()

/** Finds out what became of entries whose answer was lost, or said that they were refused: what the log has is kept like any other, and what
 * was not taken is forgotten, once every leaf was looked at. The roster is up to date. */
export async function settleUnheard(work: Workspace): Promise<void> {
  const { kept } = work.session
  for (const own of await kept.own.unheard()) {
    const row = work.roster.rows.get(own.record)
    const ended = row === undefined ? await whatItEndedWith(work, own) : null
    const taken = ended?.taken ?? (await isTaken(work, own))
    if (taken === true) kept.own.note({ ...own, leaf: (ended ?? row)!.leaf })
    else if ((taken === false && (await isLooked(work))) || (taken === null && (await isLost(work, own))))
      await kept.own.forget(own)
  }
}

/** Whether all that was pulled has been looked at. What that found is thrown where it is asked for. */
function isLooked({ roster }: Workspace): Promise<boolean> {
  return roster.looked().then(
    () => true,
    () => false,
  )
}

/** Whether an entry stands in a record that the physician is out of, as far as it is shown to them, and an index that its leaf has at most.
 * @returns `null` where nothing is shown of that place */
async function whatItEndedWith({ session, roster }: Workspace, own: OwnEntry) {
  const { record, seq, hash } = own
  if (asked.has(own) || roster.refused.has(record) || !roster.isComplete) return null
  asked.add(own)
  try {
    const { head } = await walkRecord(session, record)
    if (head === null || head.seq < seq) return null
    const row = { id: record, seq: head.seq, hash: encodeBase64url(head.hash) }
    const there = head.seq === seq ? head.hash : await hashBelow(session, row, seq)
    return there === null ? null : { taken: equal(there, hash), leaf: head.leaf }
  } catch (error) {
    if (!(error instanceof AppError) || error.code === "NOT_ALLOWED_SESSION" || session.log.refusal !== null)
      throw error
    if (error.is("UNAVAILABLE")) asked.delete(own)
    return null
  }
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
