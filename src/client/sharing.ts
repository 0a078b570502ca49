import type { Summary } from "../clinical/summary.ts"
import { equal } from "../encoding/bytes.ts"
import type { PhysicianId, RecordId } from "../encoding/ids.ts"
import { AppError } from "../errors.ts"
import { awaitsOwner, type ChainHead, hasFormerKey } from "../proof/chain.ts"
import type { Member, Role } from "../proof/entry.ts"
import type { Identity } from "../proof/identity.ts"
import { acceptedPath } from "../protocol/paths.ts"
import { readAccepted } from "../protocol/records.ts"
import { undecidedIn } from "./after-restore.ts"
import { demandDecided, confirms as isConfirmed } from "./decided.ts"
import { changeMembers, keepsOwner, leaveRecord } from "./members.ts"
import { whileOvertaken } from "./overtaken.ts"
import { entriesIn } from "./past.ts"
import { errorOf } from "./roster.ts"
import { type EpochKeys, gapsOf, headOf, keysOf, rowOf } from "./roster-row.ts"
import { cleanUsername } from "./username.ts"
import type { ManyProgress, ManyReport, ReaderView, SharingView, WaitingRecord } from "./views.ts"
import { memberOf, walkRecord } from "./walk.ts"
import type { Workspace } from "./workspace.ts"

/** How often a change of members that keeps losing the race is tried again: more often than whoever holds it up can keep on. */
const attempts = 1000

export type ShareMode = "add" | "set"

export interface Many {
  readonly progress: (progress: ManyProgress) => void
  readonly signal: { readonly aborted: boolean }
}

/** Who can read a record, as its newest verified entry says. */
export async function viewSharing(work: Workspace, id: RecordId): Promise<SharingView> {
  const { session } = work
  const { head } = await work.records.open(id).catch((error: unknown) => {
    // Of a record that a colleague locked, or that is too large for this device, it has to be seen who can read it: to change that.
    const isTooLarge = error instanceof AppError && error.code === "UNAVAILABLE_MEMORY"
    if (!isTooLarge && work.roster.lockedBy(id) === null) throw error
    return standing(work, id)
  })
  await session.people.meet(head.members.map(({ physician }) => physician))
  const me = memberOf(session, head)
  if (me === null) throw new AppError("NOT_ALLOWED")
  const path = acceptedPath(id)
  const { accepted, suspended } = await session.around.transport.call("GET", path, {
    reply: readAccepted.reply,
    background: true,
  })
  const rest = head.members.filter((member) => member !== me)
  const back = await undecidedIn(work, head)
  return {
    id,
    role: me.role,
    members: head.members.map(({ physician, fingerprint, role, until }) => ({
      colleague: session.people.colleague(physician),
      you: physician === session.physician,
      role,
      until: until ?? null,
      accepted: accepted.includes(physician),
      suspended: suspended.includes(physician),
      keysChanged: session.people.isChanged({ physician, fingerprint }),
      returned: back.includes(physician),
    })),
    mayShare: me.role === "owner",
    mayLeave: keepsOwner(
      head.members,
      rest.filter(({ physician }) => accepted.includes(physician)),
    ),
    keyChanges: head.mustRaise,
    confirmFirst: back.length > 0 || awaitsOwner(head, session.restoredAt),
  }
}

/** Gives one colleague a role in many records, each by one signed entry. What is so already counts as done, so that asking again goes
 * on where an action was stopped.
 * @param until milliseconds since 1970, or null for no end.
 * @param mode `add` takes nothing from a colleague who has a record already, with as much or more, and refuses it where it would;
 * `set` does just what is said.
 * @throws NOT_ALLOWED_UNVERIFIED, NOT_ALLOWED_CHANGED_KEY before anything is done; a lost session in between */
export async function share(
  work: Workspace,
  ids: readonly RecordId[],
  username: string,
  role: Role,
  until: number | null,
  many: Many,
  mode: ShareMode = "set",
): Promise<ManyReport> {
  const { session } = work
  if (until !== null && until <= session.around.now())
    throw new AppError("BAD_INPUT_FORM", undefined, { fields: { until: "Choose a day that is still to come." } })
  if (cleanUsername(username) === session.username)
    throw new AppError("BAD_INPUT_USERNAME", "This is your own username. Enter your colleague's.")
  // Whose keys have changed, the log says: all of it is looked at before anything is sealed.
  await work.roster.sync()
  await work.roster.looked()
  const colleague = await session.people.demandVerified(username)
  return doMany(work, ids, many, (id) => setMember(work, id, colleague, role, until, mode))
}

/** Removes a member: a fresh key for everybody else, in the same entry. What they have read, they have read. A record that this member
 * locked, and perhaps left since, goes on with it. Everybody whose keys have changed goes, too: the fresh key cannot be given to them, and two
 * of them would else keep each other in.
 * @returns the usernames of those */
export async function unshare(work: Workspace, id: RecordId, physician: PhysicianId): Promise<readonly string[]> {
  const { session, roster } = work
  if (physician === session.physician) {
    await leave(work, id)
    return []
  }
  let also: readonly Member[] = []
  const list = ({ members }: ChainHead) => {
    const others = members.filter((member) => member.physician !== physician)
    also = []
    if (others.length === members.length && !roster.refused.has(id)) return null
    also = others.filter((member) => session.people.isChanged(member))
    return others.filter((member) => !also.includes(member))
  }
  await change(work, id, list, [physician])
  return also.map((member) => session.people.label(member.physician))
}

/** Confirms, after a restore, who may read a record from now on, under a fresh key: whoever is not kept opens nothing that is written
 * afterwards. Somebody may have been faster, and whom the physician left out goes all the same.
 * @param shown what the physician looked at: nobody becomes a reader, or more than one, whom it does not show so.
 * @param without members who are to be none any more.
 * @returns `already` where others have decided so. @throws NOT_ALLOWED_ROLE for who is no owner; CONFLICT_MEMBERS */
export async function confirmMembers(
  work: Workspace,
  shown: { readonly id: RecordId; readonly members: readonly ReaderView[] },
  without: readonly PhysicianId[],
): Promise<"done" | "already"> {
  const { session } = work
  const out = without.filter((physician) => physician !== session.physician)
  const list = async (head: ChainHead) => {
    const kept = head.members.filter(({ physician }) => !out.includes(physician))
    const isShown = ({ physician, role, until }: Member) =>
      shown.members.some(
        (one) =>
          one.colleague.physician === physician && (one.you || (one.role === role && one.until === (until ?? null))),
      )
    if (!kept.every(isShown)) throw new AppError("CONFLICT_MEMBERS")
    const decides = kept.length < head.members.length || awaitsOwner(head, session.restoredAt)
    return decides || (await undecidedIn(work, head)).length > 0 ? kept : null
  }
  return change(work, shown.id, list, out, true)
}

/** Confirms the readers of many records, each for the list that was shown. A record that stands apart is refused: whoever is back in it is
 * decided about by name, with {@link confirmMembers}. */
export async function confirmMany(work: Workspace, shown: readonly WaitingRecord[], many: Many): Promise<ManyReport> {
  const lists = new Map(shown.map((one) => [one.id, one]))
  // Whose keys have changed, the log says: all of it is looked at before anything is sealed.
  await work.roster.sync()
  await work.roster.looked()
  return doMany(work, [...lists.keys()], many, async (id) => {
    const list = lists.get(id)!
    if (list.apart) throw new AppError("NOT_ALLOWED_RESTORED")
    return confirmMembers(work, list, [])
  })
}

/** Takes this physician out of a record, which then is none of their patients any more. @throws NOT_ALLOWED_LAST_OWNER */
export async function leave(work: Workspace, id: RecordId): Promise<void> {
  const { session, roster, records } = work
  let tried = false
  await again(work, async () => {
    // The answer to the entry by which they left was lost, and the others have gone on since.
    if (tried && !roster.rows.has(id) && !roster.refused.has(id)) return
    // Nobody is kept in a record by what a server did to it.
    const apart = roster.refused.has(id) && roster.lockedBy(id) === null
    const { head } = apart ? await walkRecord(session, id) : await standing(work, id)
    if (head === null) throw new AppError("NOT_ALLOWED")
    try {
      await leaveRecord(session, head)
    } catch (error) {
      if (!(error instanceof AppError && error.code === "NOT_ALLOWED")) throw error
      await roster.syncAfresh()
      if (roster.rows.has(id)) throw error
    } finally {
      tried = true
    }
    records.forget(id)
    roster.drop(id, head.seq + 1)
  })
}

/** Works on many records one after the other; a refusal of one does not stop the others. */
export async function doMany(
  work: Workspace,
  ids: readonly RecordId[],
  { progress, signal }: Many,
  act: (id: RecordId) => Promise<"done" | "already">,
): Promise<ManyReport> {
  const refused: ManyReport["refused"][number][] = []
  let done = 0
  let already = 0
  let problem: ManyReport["problem"] = null
  progress({ done: 0, total: ids.length })
  for (const id of ids) {
    if (signal.aborted) break
    try {
      if ((await act(id)) === "already") already++
      done++
    } catch (error) {
      if (!(error instanceof AppError)) throw error
      if (endsAll(work, error)) {
        problem = stopsHere(work, error)
        break
      }
      refused.push({ id, code: error.code, message: error.message })
    }
    progress({ done: done + refused.length, total: ids.length })
  }
  if (problem === null) await work.roster.fold().catch((error: unknown) => stopsHere(work, error))
  return { done, already, refused, cancelled: done + refused.length < ids.length, problem }
}

/** A server that cannot be reached ends an action on many records, and what was done by then counts. @throws anything else */
export function stopsHere({ session }: Workspace, error: unknown): NonNullable<ManyReport["problem"]> {
  if (!(error instanceof AppError) || !error.is("UNAVAILABLE") || session.log.refusal !== null) throw error
  return { code: error.code, message: error.message }
}

/** What is not about one record. */
export function endsAll(work: Workspace, error: AppError): boolean {
  return work.session.log.refusal !== null || error.code === "NOT_ALLOWED_SESSION" || error.is("UNAVAILABLE")
}

async function setMember(
  work: Workspace,
  id: RecordId,
  { physician, fingerprint }: Identity,
  role: Role,
  until: number | null,
  mode: ShareMode,
): Promise<"done" | "already"> {
  return change(work, id, (head) => {
    const now = head.members.find((member) => member.physician === physician && equal(member.fingerprint, fingerprint))
    const same = now?.role === role && (now.until ?? null) === until
    const lasts = now !== undefined && (now.until === undefined || now.until > work.session.around.now())
    if (same || (mode === "add" && lasts && hasMore(now, role, until))) return null
    const member: Member = { physician, fingerprint, role, ...(until === null ? {} : { until }) }
    return [...head.members.filter((one) => one.physician !== physician), member]
  })
}

/** Whether a member may do as much already, for as long. @throws BAD_INPUT_FORM where it is more in one way and less in the other */
function hasMore(now: Member, role: Role, until: number | null): boolean {
  const rank = (one: Role) => ["reader", "writer", "owner"].indexOf(one)
  const end = (one: number | null | undefined) => one ?? Number.POSITIVE_INFINITY
  if (rank(now.role) >= rank(role) && end(now.until) >= end(until)) return true
  if (rank(now.role) <= rank(role) && end(now.until) <= end(until)) return false
  throw new AppError(
    "BAD_INPUT_FORM",
    "Your colleague has this record already, as more for a shorter time or as less for longer. Change what they may do in the record itself.",
  )
}

/** Where a record stands by its newest entry that was verified. Of one that a colleague locked there is no newest key. */
async function standing({ session, roster }: Workspace, id: RecordId): Promise<Standing> {
  const row = roster.rows.get(id)
  if (row === undefined) throw new AppError("NOT_ALLOWED")
  const head = await headOf(row, session.identity)
  return { head, keys: keysOf(row), gaps: gapsOf(row), summary: row, updated: row.updated }
}

/** What a change of members goes on from. */
interface Standing {
  readonly head: ChainHead
  readonly keys: EpochKeys
  readonly gaps: ReadonlyMap<number, PhysicianId>
  readonly summary: Summary
  readonly updated: number
}

/** Changes the members of a record as an owner, on top of its newest head.
 * @param list what they become, `null` to leave them.
 * @param removed who goes: where it was one of them who locked the record, it goes on without them. */
function change(
  work: Workspace,
  id: RecordId,
  list: (head: ChainHead) => readonly Member[] | null | Promise<readonly Member[] | null>,
  removed: readonly PhysicianId[] = [],
  confirms = false,
): Promise<"done" | "already"> {
  return again(work, async () => {
    const { session, roster } = work
    await roster.demandLooked(id)
    const refusal = roster.refused.get(id)
    const now = await standing(work, id)
    const { head } = now
    if (refusal !== undefined && !removed.some((one) => one === refusal.by || isChanged(work, head, one)))
      throw errorOf(refusal)
    // Who locked it and is no member any more has left: it gets a fresh key in any case.
    const wanted = (await list(head)) ?? (refusal === undefined ? null : head.members)
    if (wanted === null) return "already"
    if (memberOf(session, head)?.role !== "owner") throw new AppError("NOT_ALLOWED_ROLE")
    if (!confirms) await demandDecided(session, head, () => entriesIn(work, id), removed)
    const isBack = confirms && (await undecidedIn(work, head)).length > 0
    const time = session.around.now()
    const current = wanted.filter(({ until }) => until === undefined || until > time)
    const raise = confirms || hasFormerKey(head, session.restoredAt)
    const append = async (on: ChainHead, before: EpochKeys, fresh: boolean) => {
      const { appended, keys } = await changeMembers(session, on, before, current, now.summary, fresh)
      roster.take(rowOf(appended.head, session.identity, keys, now.gaps, now.summary, now.updated))
      if (isBack) await session.kept.noteDecided(appended.head.hash)
      return { head: appended.head, keys }
    }
    const next = await append(head, now.keys, raise)
    // Whoever reads the chain tells what was confirmed from what a program did by itself: by a fresh key for the very same list.
    if (confirms && current.length > 1 && !isConfirmed(head, current)) await append(next.head, next.keys, true)
    return "done"
  })
}

/** Whether a member's keys are not those that were verified: nothing can be given to them, so they have to go before anything else can. */
function isChanged({ session }: Workspace, head: ChainHead, physician: PhysicianId): boolean {
  const member = head.members.find((one) => one.physician === physician)
  return member !== undefined && session.people.isChanged(member)
}

function again<T>(work: Workspace, run: () => Promise<T>): Promise<T> {
  return whileOvertaken(attempts, run, () => work.roster.syncAfresh())
}
