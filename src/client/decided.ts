import type { PhysicianId } from "../encoding/ids.ts"
import { AppError } from "../errors.ts"
import { awaitsOwner, type ChainHead, sameMembers } from "../proof/chain.ts"
import type { EntryStatement, Member } from "../proof/entry.ts"
import { apartSince, keptSince } from "./line.ts"
import type { Session } from "./session.ts"

/** Who reads a record again, or as more or for longer than when this device last saw it, where nobody who may has decided about them since the
 * restore: an owner does so for themself. What was written meanwhile is not theirs to read, whoever confirmed the list.
 * @param entries all of the record's, verified; asked for only where somebody is back */
export async function undecided(
  session: Session,
  { record, members, hash }: Pick<ChainHead, "record" | "members" | "hash">,
  entries: () => Promise<readonly EntryStatement[]>,
): Promise<PhysicianId[]> {
  if (session.restoredAt < 0 || members.length < 2) return []
  const me = session.physician
  const isOwner = roleOf(members, me) === "owner"
  const found = new Set<PhysicianId>()
  for (const { line, readers } of await session.kept.formerReaders()) {
    const kept = keptSince(line, session.line)?.size
    const apart = apartSince(line, session.line)
    const then = readers.get(record)
    if (kept === undefined || apart === null || then === undefined || then.leaf < kept) continue
    const back = returned(then.members, members, me)
    if (back.length === 0) continue
    const owners = [me, ...then.members.filter(({ role }) => role === "owner").map(({ physician }) => physician)]
    const decisions: ((physician: PhysicianId) => boolean)[] = []
    for (const { was, after, author, keyCommit, next } of listsSince(apart, await entries())) {
      if (!owners.includes(author) || roleOf(was.members, author) !== "owner") continue
      // Another device of the physician's may not have known who is back, and have said nothing of it.
      const isTheirs = author === me ? await session.kept.hasDecided(next ?? hash) : !isOwner
      const isWhole = keyCommit !== undefined && confirms(was, after) && isTheirs
      // What somebody was given after that, it says nothing about.
      const more = returned(after, members, me)
      const covers = (physician: PhysicianId) => isWhole || isGiven(was.members, after, physician)
      decisions.push((physician) => covers(physician) && !more.includes(physician))
    }
    for (const physician of back) if (!decisions.some((decides) => decides(physician))) found.add(physician)
  }
  return [...found]
}

/** Whether the physician has decided anew who may read a record since a restore: confirmed the list, or changed it. Where they are no owner of
 * it, whoever decided. @param apart see {@link apartSince} @param entries all of the record's, verified */
export function decidesSince(
  apart: number,
  entries: readonly EntryStatement[],
  members: readonly Member[],
  me: PhysicianId,
): boolean {
  const isOwner = members.length < 2 || roleOf(members, me) === "owner"
  return listsSince(apart, entries).some(({ was, after, author, keyCommit }) => {
    const changes = !sameMembers(was.members, after)
    return (author === me || !isOwner) && (changes || (keyCommit !== undefined && confirms(was, after)))
  })
}

/** Entries about members since a restore, each with the list before it and after, and its hash where another one follows. */
function listsSince(apart: number, entries: readonly EntryStatement[]) {
  let before: Pick<ChainHead, "members" | "mustRaise"> = { members: [], mustRaise: false }
  return entries.flatMap(({ kind, author, keyCommit, members: after, seen }, i) => {
    if (after === undefined) return []
    const was = before
    before = { members: after, mustRaise: roleOf(after, author) === null }
    return kind === "members" && seen.size > apart
      ? [{ was, after, author, keyCommit, next: entries[i + 1]?.prev }]
      : []
  })
}

/** Whether this device saw another list of members, in entries that a restore took back. */
export async function sawAnother(
  session: Session,
  { record, members }: Pick<ChainHead, "record" | "members">,
): Promise<boolean> {
  for (const { line, readers } of await session.kept.formerReaders()) {
    const then = readers.get(record)
    if (then === undefined || sameMembers(then.members, members)) continue
    const kept = keptSince(line, session.line)?.size
    if (kept !== undefined && then.leaf >= kept) return true
  }
  return false
}

/** Demands that nothing is written after a restore before it is decided who reads it. @param removed who goes with what is done
 * @throws NOT_ALLOWED_RESTORED */
export async function demandDecided(
  session: Session,
  head: ChainHead,
  entries: () => Promise<readonly EntryStatement[]>,
  removed: readonly PhysicianId[] = [],
): Promise<void> {
  if (awaitsOwner(head, session.restoredAt)) throw new AppError("NOT_ALLOWED_RESTORED")
  const left = (await undecided(session, head, entries)).filter((physician) => !removed.includes(physician))
  if (left.length > 0) throw new AppError("NOT_ALLOWED_RESTORED")
}

/** Whether a fresh key for a list says that the list is right: it names whom it named before, and nothing asked for the key. A program makes one
 * by itself as well, where somebody's time is over or somebody has left; that decides about nobody.
 * @param after sorted by physician */
export function confirms(before: Pick<ChainHead, "members" | "mustRaise">, after: readonly Member[]): boolean {
  return !before.mustRaise && sameMembers(before.members, after)
}

/** Who is a member now and was none, or has a higher role or more time than they had. @param then an empty list where the physician was alone */
export function returned(then: readonly Member[], now: readonly Member[], me: PhysicianId): PhysicianId[] {
  const isMore = (member: Member) => {
    const was = then.find(({ physician }) => physician === member.physician)
    return was === undefined || rankOf(member) > rankOf(was) || endOf(member) > endOf(was)
  }
  return now.filter((member) => member.physician !== me && isMore(member)).map(({ physician }) => physician)
}

/** Whether an entry gave just this physician what they have: made them a member, or changed their role or their time. */
function isGiven(before: readonly Member[], after: readonly Member[], physician: PhysicianId): boolean {
  const find = (members: readonly Member[]) => members.filter((member) => member.physician === physician)
  return find(after).length > 0 && !sameMembers(find(before), find(after))
}

function rankOf({ role }: Member): number {
  return ["reader", "writer", "owner"].indexOf(role)
}

function endOf({ until }: Member): number {
  return until ?? Number.POSITIVE_INFINITY
}

function roleOf(members: readonly Member[], physician: PhysicianId) {
  return members.find((member) => member.physician === physician)?.role ?? null
}
