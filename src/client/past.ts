import { parseBase64url } from "../encoding/base64.ts"
import { equal } from "../encoding/bytes.ts"
import type { RecordId } from "../encoding/ids.ts"
import { AppError } from "../errors.ts"
import { sameMembers } from "../proof/chain.ts"
import type { EntryStatement, Member } from "../proof/entry.ts"
import { decidesSince } from "./decided.ts"
import type { Former } from "./kept.ts"
import { apartSince, keptSince, sameLine } from "./line.ts"
import { isRefusedAlone, type OwnEntry, standsFor, wasRefused } from "./own-entry.ts"
import { membersOf } from "./roster-row.ts"
import type { Workspace } from "./workspace.ts"

/** A former log with what is left of it. Its own entries are without those that were not taken, as far as the device knows. */
export interface Past {
  readonly former: Former
  /** Its first leaves, which the practice's log still has. */
  readonly kept: number
  /** The first leaf that the practice's log has of its own since: see {@link apartSince}. */
  readonly apart: number
  /** The physician's own entries in later former logs, each with the restores that this device had taken by then, */
  readonly later: readonly { readonly own: OwnEntry; readonly restores: number }[]
  /** and in this log. */
  readonly here: readonly OwnEntry[]
  /** What was never taken, or is made of something that is still kept. */
  readonly refused: readonly OwnEntry[]
  /** What the server said it refused, and nothing else is known of: it stays on this device until the physician decides. */
  readonly unsure: readonly OwnEntry[]
}

/** The former logs, the newest first. */
export async function pastOf({ session }: Workspace): Promise<Past[]> {
  const past: Past[] = []
  const formers = await session.kept.former()
  if (formers.length === 0) return past
  const here = await session.kept.own.here()
  let later: Past["later"] = []
  for (const former of formers) {
    const kept = keptSince(former.line, session.line)
    const apart = apartSince(former.line, session.line)
    if (kept === null || apart === null) continue
    const others = formers.filter((one) => one !== former).flatMap((one) => one.own)
    const isKept = ({ again }: OwnEntry) =>
      again?.was.some((was) => others.some(({ hash, refused }) => !refused && equal(hash, was.hash))) === true
    const alone = former.own.filter((own) => isRefusedAlone(own, former))
    const unsure = alone.filter((own) => !isKept(own))
    const refused = former.own.filter((own) => wasRefused(own, former) || (alone.includes(own) && isKept(own)))
    const own = former.own.filter((one) => !refused.includes(one) && !unsure.includes(one))
    past.push({ former: { ...former, own }, kept: kept.size, apart, later, here, refused, unsure })
    later = [...later, ...own.map((one) => ({ own: one, restores: former.restores }))]
  }
  return past
}

/** Whether nothing is left to do about an entry of the physician's own. */
export async function isSettled(work: Workspace, own: OwnEntry, past: Past): Promise<boolean> {
  if (own.leaf !== undefined && own.leaf < past.kept) return true
  if (isInLater(own, past)) return true
  try {
    if ((await whereIs(work, own)) !== null) return true
    for (const heir of past.here)
      if (standsFor(heir, own) && (heir.leaf !== undefined || (await whereIs(work, heir)) !== null)) return true
  } catch (error) {
    if (isLostNow(error) || work.session.log.refusal !== null) throw error
    return false
  }
  return own.body === undefined && isDecided(work, own, past)
}

/** Whether it was sent again, or made anew, in a later former log, and is kept as an entry of that one. */
export function isInLater(own: OwnEntry, { later }: Past): boolean {
  return later.some((one) => standsFor(one.own, own))
}

/** Whether an entry about members needs no decision: what it led to is so again, or the physician has decided since.
 * A record that is gone, and that no entry brings back, has nobody to decide about. @param id of the record that goes on with it */
export async function isDecided(
  work: Workspace,
  { record }: OwnEntry,
  { former, apart }: Past,
  id = record,
): Promise<boolean> {
  const { session, roster } = work
  const me = session.physician
  const row = roster.rows.get(id)
  if (row === undefined)
    return (
      !roster.refused.has(record) &&
      !roster.toAccept.has(record) &&
      !former.own.some((one) => one.record === record && one.body !== undefined)
    )
  const readers = (await session.kept.formerReaders()).find(({ line }) => sameLine(line, former.line))
  const then = readers?.readers.get(record)?.members ?? []
  const now = membersOf(row) ?? []
  const others = (members: readonly Member[]) => (members.length === 1 && members[0]!.physician === me ? [] : members)
  // That the physician is alone in it is so again, and their next entry begins with a fresh key.
  return sameMembers(others(then), others(now)) || decidesSince(apart, await entriesIn(work, id), now, me)
}

/** Where an entry stands in this log, or one that it was made of. @throws what keeps the record from being opened */
export async function whereIs(
  work: Workspace,
  own: Pick<OwnEntry, "record" | "seq" | "hash" | "again">,
): Promise<Place | null> {
  for (const { record, seq, hash } of [own, ...(own.again?.was ?? [])]) {
    const place = await placeIn(work, record, seq)
    if (place !== null && equal(place.hash, hash)) return place
  }
  return null
}

/** What stands in this log at a number of a record. */
export interface Place {
  readonly hash: Uint8Array
  readonly leaf: number
}

/** @returns `null` where the record has not come so far. @throws as {@link whereIs} */
export async function placeIn({ roster, records }: Workspace, record: RecordId, seq: number): Promise<Place | null> {
  const row = roster.rows.get(record)
  if (row === undefined || row.seq < seq) return null
  if (row.seq === seq) return { hash: parseBase64url(row.hash), leaf: row.leaf }
  const { steps, head } = await records.open(record)
  const [step, next] = [steps[seq], steps[seq + 1]]
  return step === undefined ? null : { hash: next?.entry.prev ?? head.hash, leaf: step.leaf }
}

/** A record's entries; none of one that does not open, so that nothing in it counts as decided. */
export async function entriesIn({ session, records }: Workspace, id: RecordId): Promise<EntryStatement[]> {
  try {
    return (await records.open(id)).steps.map(({ entry }) => entry)
  } catch (error) {
    if (isLostNow(error) || session.log.refusal !== null) throw error
    return []
  }
}

/** Whether the server cannot be reached, or the session is over. */
export function isLostNow(error: unknown): boolean {
  return !(error instanceof AppError) || error.code === "UNAVAILABLE_SERVER" || error.code === "NOT_ALLOWED_SESSION"
}

/** Whether what keeps an entry from being sent is not about its record, or passes. */
export function endsRun(error: unknown): boolean {
  if (isLostNow(error) || !(error instanceof AppError)) return true
  return error.is("UNAVAILABLE") && error.code !== "UNAVAILABLE_UPDATE" && error.code !== "UNAVAILABLE_MEMORY"
}
