import type { PhysicianId } from "../encoding/ids.ts"
import { AppError } from "../errors.ts"
import type { ChainHead } from "../proof/chain.ts"
import type { Role } from "../proof/entry.ts"
import type { StoredSession } from "./store/store.ts"

const provenMs = 5 * 60_000

/** The role a physician has now; null for none, or one that has run out. */
export function roleOf(head: ChainHead, physician: PhysicianId, now: number): Role | null {
  const member = head.members.find((one) => one.physician === physician)
  if (member === undefined || (member.until !== undefined && member.until <= now)) return null
  return member.role
}

/** Absent and forbidden look the same. @throws NOT_ALLOWED unless the record exists and the physician may open it */
export function demandMember(head: ChainHead | null, physician: PhysicianId, now: number): ChainHead {
  if (head === null || roleOf(head, physician, now) === null) throw new AppError("NOT_ALLOWED")
  return head
}

/** @throws NOT_ALLOWED_PROOF unless the session proved itself, by password or words, in the last five minutes */
export function demandFreshProof(session: StoredSession, now: number): void {
  if (now - session.proven > provenMs) throw new AppError("NOT_ALLOWED_PROOF")
}
