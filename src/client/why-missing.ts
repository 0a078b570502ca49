import type { RecordId } from "../encoding/ids.ts"
import { AppError } from "../errors.ts"
import { missingKey, notTaken } from "./false-keys.ts"
import type { RosterRow } from "./roster-row.ts"
import type { Session } from "./session.ts"
import { memberOf, rowOfWalk, type Walk, walkRecord } from "./walk.ts"

/** Why no row has a record that the physician had: they left it, with the number of the entry; they are invited to it, which explains it only
 * where the log does not say that they accepted; or nothing is wrong, and it has a row from now on. */
export type WhyMissing = { readonly left: number } | { readonly invited: Walk } | { readonly row: RosterRow }

/** What a record's own entries say of it. @param pinned the number of an entry when it was theirs. @param now milliseconds since 1970
 * @returns `null` where they explain nothing. @throws UNAVAILABLE, NOT_ALLOWED_SESSION */
export async function whyMissing(
  session: Session,
  record: RecordId,
  pinned: number,
  now: number,
): Promise<WhyMissing | null> {
  try {
    const walk = await walkRecord(session, record)
    if (walk.head === null || walk.head.seq < pinned) return null
    const until = memberOf(session, walk.head)?.until ?? null
    const isTheirs = walk.memberSince !== null && notTaken(walk) === null
    if (until !== null && until <= now) return { left: walk.head.seq }
    if (walk.outAt > pinned && !isTheirs) return { left: walk.outAt }
    if (isInvited(walk) && session.restoredAt >= 0) return { invited: walk }
    return !isTheirs || missingKey(walk)?.by === null ? null : { row: await rowOfWalk(session, walk) }
  } catch (error) {
    if (error instanceof AppError && !error.is("UNAVAILABLE") && error.code !== "NOT_ALLOWED_SESSION") return null
    throw error
  }
}

/** Whether a colleague made the physician a member, and nothing of the physician's own says that they took the record. */
function isInvited(walk: Walk): boolean {
  return walk.memberSince !== null && walk.invitedBy !== null && notTaken(walk) !== null
}
