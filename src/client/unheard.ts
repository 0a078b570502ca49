import { AppError } from "../errors.ts"
import { entryOf, type OwnEntry } from "./own-entry.ts"
import { isTaken } from "./past.ts"
import type { Workspace } from "./workspace.ts"

/** No request is on its way for so long. */
const underWayMs = 600_000

/** Finds out what became of entries whose answer was lost: what the log has is kept like any other, and what was not taken is forgotten, once
 * every leaf was looked at. The roster is up to date. */
export async function settleUnheard(work: Workspace): Promise<void> {
  const { kept } = work.session
  for (const own of await kept.own.unheard()) {
    const taken = await isTaken(work, own)
    if (taken === true) kept.own.note({ ...own, leaf: work.roster.rows.get(own.record)!.leaf })
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

/** Whether an entry never arrived: its record was never made, or has not come so far. That the server shows none says nothing: the log has no
 * leaf for it. */
async function isLost(work: Workspace, own: OwnEntry): Promise<boolean> {
  const { session, roster } = work
  const { record, seq, time } = own
  if (session.around.now() - time <= underWayMs || !roster.isComplete) return false
  if (!(await isLooked(work)) || roster.refused.has(record)) return false
  const row = roster.rows.get(record)
  if (row === undefined ? seq !== 0 : row.seq >= seq) return false
  try {
    return !(await roster.isInLog(record, seq, entryOf(own).seen.size))
  } catch (error) {
    if (error instanceof AppError && error.is("UNAVAILABLE")) return false
    throw error
  }
}
