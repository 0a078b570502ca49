import { equal } from "../encoding/bytes.ts"
import type { PhysicianId, RecordId } from "../encoding/ids.ts"
import { AppError } from "../errors.ts"
import { type EntryStatement, parseEntry } from "../proof/entry.ts"
import { verifyStatement } from "../proof/signature.ts"
import type { KnownColleague } from "../vault/keyring.ts"
import { firstFailure } from "./false-keys.ts"
import { fetchPage, type Given, pagesOf } from "./invitation-pages.ts"
import { leaveRecord } from "./members.ts"
import { whileOvertaken } from "./overtaken.ts"
import { errorOf } from "./roster.ts"
import type { RosterRow } from "./roster-row.ts"
import type { Session } from "./session.ts"
import { doMany, endsAll, type Many, stopsHere } from "./sharing.ts"
import type { Invitation, InvitationList, ManyReport } from "./views.ts"
import { memberOf, openListed, rowOfWalk, type Walk, walkRecord } from "./walk.ts"
import type { Workspace } from "./workspace.ts"

/** So many invitations are accepted by one request. */
const acceptAtOnce = 64
/** How often leaving is tried again where somebody else's entry came first. */
const attempts = 8

/** What the physician is invited to, as the server tells it: nothing of a patient. All that verified colleagues sent, and the newest of the
 * others. What an invitation is worth is found out when it is accepted; what can be told before is told here. */
export async function listInvitations(work: Workspace): Promise<InvitationList> {
  const found = new Map<RecordId, Invitation>()
  let [unlisted, more] = [0, false]
  for await (const page of pagesOf(work.session)) {
    for (const one of await viewPage(work, page.invitations)) found.set(one.id, one)
    ;({ unlisted, more } = page)
  }
  return { invitations: [...found.values()], unlisted, more }
}

/** So many self-grants are stored at a time. */
const mostEpochs = 4096

/** Verifies each invitation's whole chain, opens its keys, checks them against their commitments, and takes the records in.
 * @returns what became of each; a refusal names its reason, and nothing of that record is shown */
export async function acceptInvitations(work: Workspace, ids: readonly RecordId[], many: Many): Promise<ManyReport> {
  const { session, roster } = work
  const refused: ManyReport["refused"][number][] = []
  let done = 0
  let already = 0
  let problem: ManyReport["problem"] = null
  const tick = () => many.progress({ done: done + refused.length, total: ids.length })
  const refuse = (id: RecordId, error: unknown) => {
    if (!(error instanceof AppError) || endsAll(work, error)) throw error
    // A server that sends as a chain what is none was tampered with like any other.
    const found = error.is("BAD_INPUT") ? new AppError("TAMPERED_CHAIN", undefined, { cause: error }) : error
    const { code, message } = found
    if (found.is("TAMPERED")) roster.refusedInvitations.set(id, { code, message, seq: -1, statement: "", by: null })
    refused.push({ id, code, message })
  }
  tick()
  await roster.sync()
  const acceptFrom = async (at: number) => {
    const taken: { id: RecordId; row: RosterRow; spoilt: Walk["spoilt"] }[] = []
    for (const id of ids.slice(at, at + acceptAtOnce)) {
      if (many.signal.aborted) break
      if (roster.rows.has(id)) {
        already++
        done++
        continue
      }
      try {
        const walk = await demandGood(work, id)
        taken.push({ id, row: await rowOfWalk(session, walk), spoilt: walk.spoilt })
      } catch (error) {
        refuse(id, error)
      }
      many.progress({ done: done + refused.length + taken.length, total: ids.length })
    }
    if (taken.length > 0) await roster.accept(taken)
    await roster.syncAfresh()
    for (const { id } of taken) {
      if (roster.rows.has(id)) done++
      else if (roster.refused.has(id)) refuse(id, errorOf(roster.refused.get(id)!))
      // Somebody changed the record's key, or took the invitation back, between reading it and accepting it.
      else refuse(id, new AppError("CONFLICT_HEAD", "The record changed at this moment. Accept it again."))
    }
    tick()
  }
  try {
    for (let at = 0; at < ids.length && !many.signal.aborted; at += acceptAtOnce) await acceptFrom(at)
    await roster.fold()
    await session.saveNews()
  } catch (error) {
    problem = stopsHere(work, error)
  }
  return { done, already, refused, cancelled: done + refused.length < ids.length, problem }
}

/** Declines by leaving: an entry of this physician's own, after which the others get a fresh key. What was accepted, here or elsewhere,
 * is refused: that is left by leaving it. */
export async function declineInvitations(work: Workspace, ids: readonly RecordId[], many: Many): Promise<ManyReport> {
  const { session, roster } = work
  await roster.sync()
  return doMany(work, ids, many, async (id) => {
    if (roster.rows.has(id) || roster.refused.has(id))
      throw new AppError("NOT_ALLOWED", "You have accepted this record. Nothing was changed.")
    return whileOvertaken(attempts, async () => {
      const { head } = await walkRecord(session, id)
      if (head === null || memberOf(session, head) === null) return "already"
      await leaveRecord(session, head)
      return "done"
    })
  })
}

/** How many invitations wait; of `waitingAtMost` so many at least. */
export async function countInvitations(work: Workspace): Promise<number> {
  return (await fetchPage(work.session, { limit: 0 })).waiting
}

/** Everything that accepting demands: the chain, my own keys and role in its list, the granter verified by me and truly theirs, and
 * every key as the chain has promised it. */
async function demandGood(work: Workspace, id: RecordId): Promise<Walk> {
  const { session } = work
  const walk = await walkRecord(session, id)
  const granter = walk.invitedBy
  if (walk.memberSince === null || granter === null) throw new AppError("NOT_ALLOWED")
  if (walk.head!.epoch >= mostEpochs)
    throw new AppError("BAD_INPUT_SIZE", "This record has had too many keys to be accepted.")
  // Whoever joins is owed every key.
  for (let epoch = 0; epoch <= walk.head!.epoch; epoch++)
    if (walk.keys[epoch] === undefined) throw walk.failed.get(epoch)?.error ?? firstFailure(walk, "CANNOT_OPEN").error
  if (!equal(demandPinned(session, granter.physician).fingerprint, granter.fingerprint))
    throw new AppError("NOT_ALLOWED_CHANGED_KEY")
  return walk
}

async function viewPage(work: Workspace, given: readonly Given[]): Promise<Invitation[]> {
  const read = given.map((one) => ({ one, entry: readEntry(one) }))
  await work.session.people.meet(read.flatMap(({ entry }) => (entry === null ? [] : [entry.author])))
  await Promise.all(newestOfEach(read).map(([one, entry]) => hearName(work, one, entry)))
  return Promise.all(read.map(({ one, entry }) => viewInvitation(work, one, entry)))
}

/** `null` where the server sent no entry that could invite. */
function readEntry({ record, statement }: Given): EntryStatement | null {
  try {
    const entry = parseEntry(statement)
    return entry.record === record && entry.kind === "members" ? entry : null
  } catch {
    return null
  }
}

async function viewInvitation(work: Workspace, given: Given, entry: EntryStatement | null): Promise<Invitation> {
  const { session } = work
  const problem = await problemOf(work, given, entry)
  return {
    id: given.record,
    from: entry === null ? nobody(given.record) : session.people.colleague(entry.author),
    role: given.role,
    until: given.until ?? null,
    time: entry?.time ?? given.leaf.time,
    problem: problem === null ? null : { code: problem.code, message: problem.message },
  }
}

/** Of each sender the newest that can be read. */
function newestOfEach(read: readonly { one: Given; entry: EntryStatement | null }[]): [Given, EntryStatement][] {
  const newest = new Map<PhysicianId, [Given, EntryStatement]>()
  for (const { one, entry } of read) if (entry !== null) newest.set(entry.author, [one, entry])
  return [...newest.values()]
}

/** What the sender calls themself stands in the grant, beside the keys. It is a claim, and theirs alone where they signed the entry;
 * without a grant that opens there is none. */
async function hearName({ session }: Workspace, given: Given, entry: EntryStatement): Promise<void> {
  try {
    const granter = await session.people.refresh(entry.author)
    await verifyStatement("entry", granter.signKey, given.statement, given.signature)
    const { by } = await openListed(session, entry, granter.fingerprint, given.grant)
    session.people.heard(entry.author, by)
  } catch (error) {
    if (!(error instanceof AppError) || error.code === "NOT_ALLOWED_SESSION") throw error
  }
}

/** The sender of what names none. */
function nobody(id: RecordId): Invitation["from"] {
  const physician = id as string as PhysicianId
  return { physician, username: "", name: "", state: "unverified", verified: null }
}

/** Why an invitation cannot be accepted, as far as it can be told without its chain. */
async function problemOf({ session }: Workspace, given: Given, entry: EntryStatement | null): Promise<AppError | null> {
  try {
    if (entry === null || memberOf(session, { members: entry.members ?? [] }) === null)
      throw new AppError("TAMPERED_CHAIN")
    // Of somebody who could not be met, the reason.
    if (session.people.colleague(entry.author).username === "") await session.people.refresh(entry.author)
    const granter = demandPinned(session, entry.author)
    const keys = await session.people.keysOf(entry.author, granter.fingerprint)
    if (keys === null) throw new AppError("TAMPERED_IDENTITY")
    await verifyStatement("entry", keys.signKey, given.statement, given.signature)
    return null
  } catch (error) {
    if (!(error instanceof AppError) || error.code === "NOT_ALLOWED_SESSION") throw error
    return error
  }
}

/** Somebody whom this physician verified, and whose keys are still those. @throws NOT_ALLOWED_UNVERIFIED, NOT_ALLOWED_CHANGED_KEY */
function demandPinned({ people }: Session, physician: PhysicianId): KnownColleague {
  const pinned = people.pinned(physician)
  if (pinned === undefined) throw new AppError("NOT_ALLOWED_UNVERIFIED")
  if (pinned.state === "changed") throw new AppError("NOT_ALLOWED_CHANGED_KEY")
  return pinned
}
