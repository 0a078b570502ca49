import { sha256 } from "#sha256"
import { equal } from "../encoding/bytes.ts"
import type { PhysicianId } from "../encoding/ids.ts"
import { AppError } from "../errors.ts"
import type { ChainHead } from "../proof/chain.ts"
import type { EntryStatement } from "../proof/entry.ts"
import type { StoredEntry } from "./read-chain.ts"
import { gapsOf, type RosterRow } from "./roster-row.ts"
import type { Walk } from "./walk.ts"

/** Why a walk did not get a key that an entry should have brought. */
export interface Failure {
  readonly error: AppError
  readonly statement: Uint8Array
  /** The author, where they signed the very grant that holds no such key: then it is not the server's doing. */
  readonly by: PhysicianId | null
}

/** What a key that could not be had says, and of whom: its author locks the record with it, where they changed its key and signed the very
 * grant that holds none for a member. Whose first grant is bad has an invitation that is.
 * @param before the head that the entry was put on */
export function failureOf(
  physician: PhysicianId,
  before: ChainHead | null,
  entry: EntryStatement,
  { statement, grant }: StoredEntry,
  selfGrant: Uint8Array | undefined,
  error: AppError,
): Failure {
  const wasMember = before?.members.some((member) => member.physician === physician) === true
  const theirs = wasMember && selfGrant === undefined && listsGrant(entry, physician, grant)
  return theirs ? { error: falseKey(error.code, error), statement, by: entry.author } : { error, statement, by: null }
}

/** Whether an entry's author signed for this very grant to the physician. */
export function listsGrant(entry: EntryStatement, physician: PhysicianId, grant: Uint8Array | undefined): boolean {
  const listed = entry.grants?.find(({ recipient }) => recipient === physician)
  return listed !== undefined && grant !== undefined && equal(listed.hash, sha256(grant))
}

/** Why the physician has not taken the record but was only named in it: one that appears without an invitation accepted is no patient
 * of theirs. `null` where they have. */
export function notTaken(walk: Walk): Failure | null {
  if (walk.memberSince === null || walk.taken.has(walk.memberEpoch)) return null
  return firstFailure(walk, "TAMPERED_GRANT")
}

/** What stands in the way of a walk's end: a key that is missing and that no colleague is to answer for, or, if there is none, the newest
 * epoch's. An older one that its author falsified is a gap that the record goes on from once somebody gave a good one: the gap's entries
 * are theirs to answer for, and are shown as such. */
export function missingKey(walk: Walk): Failure | null {
  const { epoch: newest } = walk.head!
  let locked: Failure | null = null
  for (let epoch = 0; epoch <= newest; epoch++) {
    if (walk.keys[epoch] !== undefined) continue
    const failure = walk.failed.get(epoch)
    if (failure === undefined || failure.by === null) return failure ?? firstFailure(walk, "CANNOT_OPEN")
    locked = epoch === newest ? failure : null
  }
  return locked
}

/** A row's gaps were found to be a colleague's doing when it was made. */
export function failuresOf(row: RosterRow | undefined): Map<number, Failure> {
  const gap = (by: PhysicianId): Failure => ({ error: falseKey("TAMPERED_GRANT"), statement: new Uint8Array(0), by })
  return new Map(row && Array.from(gapsOf(row), ([epoch, by]) => [epoch, gap(by)]))
}

/** What is said of a record that a colleague locked. */
export function falseKey(code: AppError["code"], cause?: AppError): AppError {
  return new AppError(
    code,
    "A colleague changed this record's key and gave you one that does not open. Call them, or an owner of the record: an owner can remove them, and the record goes on.",
    { cause },
  )
}

/** The first key that the server, or an invitation, is to answer for. */
export function firstFailure(walk: Walk, code: "TAMPERED_GRANT" | "CANNOT_OPEN"): Failure {
  for (const failure of walk.failed.values()) if (failure.by === null) return failure
  return { error: new AppError(code), statement: walk.statement, by: null }
}
