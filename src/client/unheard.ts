import type { OwnEntry } from "./own-entry.ts"
import { isTaken } from "./past.ts"
import type { Workspace } from "./workspace.ts"

/** No request is on its way for so long. */
const underWayMs = 600_000

/** Finds out what became of entries whose answer was lost: what the log has is kept like any other, and what was not taken is forgotten. The
 * roster is up to date. */
export async function settleUnheard(work: Workspace): Promise<void> {
  const { kept } = work.session
  for (const own of await kept.own.unheard()) {
    const row = work.roster.rows.get(own.record)
    const taken = await isTaken(work, own)
    if (taken === true) kept.own.note({ ...own, leaf: row!.leaf })
    else if (taken === false || (isOver(work, own) && isBehind(work, own))) await kept.own.forget(own)
  }
}

function isOver({ session }: Workspace, { time }: OwnEntry): boolean {
  return session.around.now() - time > underWayMs
}

/** Whether a record was never made, or has not come so far. */
function isBehind({ roster }: Workspace, { record, seq }: OwnEntry): boolean {
  const row = roster.rows.get(record)
  if (row === undefined) return seq === 0 && roster.isComplete && !roster.refused.has(record)
  return row.seq < seq
}
