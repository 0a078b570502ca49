import { type Body, parseBody } from "../clinical/body.ts"
import { parseBase64url } from "../encoding/base64.ts"
import { equal } from "../encoding/bytes.ts"
import type { PhysicianId, RecordId } from "../encoding/ids.ts"
import { AppError } from "../errors.ts"
import { awaitsOwner, type ChainHead, sameMembers } from "../proof/chain.ts"
import { parseChainHead } from "../proof/chain-head.ts"
import { type EntryStatement, type Member, parseEntry } from "../proof/entry.ts"
import { entriesPath } from "../protocol/paths.ts"
import { appendEntry } from "../protocol/records.ts"
import type { PinnedHead } from "./bound.ts"
import { decidesSince, demandDecided, returned, undecided } from "./decided.ts"
import { invitedTo } from "./invitation-pages.ts"
import type { Former, KeptHead, OwnEntry } from "./kept.ts"
import { keptSince, sameLine } from "./line.ts"
import { membersOf, type RosterRow } from "./roster-row.ts"
import type { Session } from "./session.ts"
import { resend } from "./transport.ts"
import type { LostRecord, NotSent, SentAgain, WentBack } from "./views.ts"
import { walkRecord } from "./walk.ts"
import type { Workspace } from "./workspace.ts"

/** A former log with what is left of it. */
interface Past {
  readonly former: Former
  /** Its first leaves, which the practice's log still has. */
  readonly kept: number
  /** The physician's own entries in later former logs. */
  readonly later: readonly OwnEntry[]
}

/** What this device had seen, and the restored server does not have; and the members who were removed since, and are back in it. Once the
 * restore is confirmed, only what is still to be sent or decided, and records that nobody has written in since.
 * The roster is open and up to date. A record that the backup must hold, and that is missing, is refused there, and that one alone. */
export async function whatWentBack(work: Workspace): Promise<WentBack> {
  const { session, roster } = work
  /** By the newest head; own entries and who is back in it are of every log. */
  const found = new Map<RecordId, { readonly head: KeptHead; own: number; readonly back: Set<PhysicianId> }>()
  const back = (head: KeptHead, row: RosterRow | undefined) =>
    returned(
      head.chain === "" ? [] : parseChainHead(head.chain).members,
      row === undefined ? [] : (membersOf(row) ?? []),
      session.physician,
    )
  const isConfirmed = session.restoration?.confirmed !== false
  let own = 0
  const all = await pastOf(work)
  await holdToKept(work, all)
  for (const past of all) {
    const { former, kept } = past
    const lost: OwnEntry[] = []
    for (const one of former.own) if (one.leaf >= kept && !(await isSettled(work, one, past))) lost.push(one)
    own += lost.filter(({ body }) => body !== undefined).length
    for (const head of former.heads) {
      const row = roster.rows.get(head.record)
      if (head.leaf < kept && !roster.toAccept.has(head.record)) continue
      const one = found.get(head.record) ?? { head, own: 0, back: new Set() }
      one.own += lost.filter(({ record }) => record === head.record).length
      for (const physician of await stillBack(work, row, back(head, row))) one.back.add(physician)
      found.set(head.record, one)
    }
  }
  const records: LostRecord[] = []
  for (const { head, own, back } of found.values()) {
    const row = roster.rows.get(head.record)
    const had = head.seq + 1
    const accept = roster.toAccept.has(head.record)
    const has = Math.min(had, (row?.seq ?? roster.toAccept.get(head.record) ?? -1) + 1)
    const goesOn = has === had || (row !== undefined && row.leaf > session.restoredAt)
    if (isConfirmed && own === 0 && back.size === 0 && goesOn && !accept) continue
    await session.people.meet([...back])
    const returned = [...back].map((physician) => session.people.label(physician))
    records.push({ id: head.record, name: head.name, had, has, own, returned, accept })
  }
  return {
    time: session.restoration?.time ?? 0,
    records: records.sort((a, b) => a.name.localeCompare(b.name)),
    own,
    renew: [...session.pins.renew],
    confirm: await awaiting(work),
  }
}

/** Holds the restored log to the heads that this device has kept. Of a record whose newest entries went back, the head counts that the log has
 * where the physician is invited to it: they may have accepted it before the backup. */
async function holdToKept({ session, roster }: Workspace, all: readonly Past[]): Promise<void> {
  const heads = all.flatMap(({ former, kept }) => former.heads.map((head) => ({ ...head, isThere: head.leaf < kept })))
  const missing = heads.filter((head) => !holds(roster.rows.get(head.record), head))
  const there = missing
    .filter(({ isThere }) => isThere)
    .map(({ record, seq, hash, leaf }) => {
      return [record, { seq, hash: parseBase64url(hash), leaf }] as [RecordId, PinnedHead & { leaf: number }]
    })
  const known = new Set(there.map(([record]) => record))
  const gone = missing.map(({ record }) => record).filter((record) => !known.has(record) && !roster.rows.has(record))
  const invited = gone.length === 0 ? new Set<RecordId>() : await invitedTo(session)
  for (const record of new Set(gone)) {
    const head = invited.has(record) ? await headNow(session, record) : null
    if (head !== null) there.push([record, head])
  }
  await roster.holdTo(there)
}

/** A record's head as the log has it; `null` where the physician is no member. */
async function headNow(session: Session, record: RecordId) {
  try {
    const { head, memberSince } = await walkRecord(session, record)
    return memberSince === null ? null : head
  } catch (error) {
    if (error instanceof AppError && !error.is("UNAVAILABLE") && error.code !== "NOT_ALLOWED_SESSION") return null
    throw error
  }
}

/** Of those who are back in a record, the ones that nobody has decided about since. */
async function stillBack(work: Workspace, row: RosterRow | undefined, back: PhysicianId[]): Promise<PhysicianId[]> {
  if (back.length === 0 || row === undefined || row.chain === "") return back
  const open = await undecidedIn(work, parseChainHead(row.chain))
  return back.filter((physician) => open.includes(physician))
}

/** Who reads a record again, and nobody has decided about since: see {@link undecided}. */
export function undecidedIn(work: Workspace, head: ChainHead): Promise<PhysicianId[]> {
  return undecided(work.session, head, () => entriesIn(work, head.record))
}

/** A record's entries; none of one that does not open, so that nothing in it counts as decided. */
export async function entriesIn({ records, roster }: Workspace, id: RecordId): Promise<EntryStatement[]> {
  try {
    return (await records.open(id)).steps.map(({ entry }) => entry)
  } catch (error) {
    if (!roster.refused.has(id)) throw error
    return []
  }
}

/** Records of which an owner has to confirm first who may read them. */
async function awaiting(work: Workspace): Promise<RecordId[]> {
  const { session, roster } = work
  const found: RecordId[] = []
  if (session.restoredAt < 0) return found
  for (const { id, chain } of roster.rows.values()) {
    if (chain === "") continue
    const head = parseChainHead(chain)
    if (awaitsOwner(head, session.restoredAt) || (await undecidedIn(work, head)).length > 0) found.push(id)
  }
  return found
}

/** Sends what the physician wrote on this device and the server lost: unchanged where it still fits, else its changes as a new entry. What
 * cannot be sent, or is older than what the physician wrote in a later log, stays, and is named. */
export async function sendAgain(work: Workspace): Promise<SentAgain> {
  const report = { unchanged: 0, anew: 0, waiting: 0, left: [] as NotSent[] }
  const made = new Set<string>()
  // The oldest log first: what was written later is sent later.
  for (const past of (await pastOf(work)).reverse()) {
    const { former, kept } = past
    for (const own of former.own) {
      if (own.leaf < kept) {
        // What this backup holds, an earlier one may not hold: it is kept as an entry of the log that it is in.
        work.session.kept.note(own)
        await work.session.kept.done(former, [own])
        continue
      }
      const outcome = await sendOne(work, own, past, made)
      if (outcome === "unchanged" || outcome === "anew") report[outcome]++
      else if (outcome === "waiting") report.waiting++
      else if (outcome !== "there" && outcome !== "nothing") {
        const name = former.heads.find(({ record }) => record === own.record)?.name ?? ""
        const { record: id, time, body } = own
        report.left.push({ id, name, time, reason: outcome.left, hasContent: body !== undefined })
      }
      if (outcome === "unchanged" || outcome === "anew" || outcome === "there")
        await work.session.kept.done(former, [own])
    }
  }
  return report
}

/** What was written on this device and is not in the restored log, as its author wrote it: FHIR resources, in plain, as JSON.
 * @returns null where there is nothing of the kind */
export async function lostAsText(work: Workspace): Promise<string | null> {
  const all: { record: RecordId; time: number; changes: Body["changes"] }[] = []
  for (const { former, kept } of await pastOf(work))
    for (const { leaf, record, time, body } of former.own)
      if (leaf >= kept && body !== undefined) all.push({ record, time, changes: parseBody(body).changes })
  return all.length === 0 ? null : `${JSON.stringify(all, null, 2)}\n`
}

type Outcome = "unchanged" | "anew" | "there" | "nothing" | "waiting" | { readonly left: string }

/** @param made the entries that were made anew so far: record and seq */
async function sendOne(work: Workspace, own: OwnEntry, past: Past, made: Set<string>): Promise<Outcome> {
  const { session, roster, records } = work
  const { kept } = past
  const sent = appendEntry.body.decode(JSON.parse(own.sent))
  const entry = parseEntry(sent.statement)
  const row = roster.rows.get(own.record)
  if (row !== undefined && (isThere(row, own) || (await isBelow(work, own)))) {
    session.kept.note({ ...own, leaf: row.leaf })
    return "there"
  }
  if (isKeptLater(own, past)) return "there"
  if (roster.toAccept.has(own.record)) return { left: acceptFirst }
  const isOlder = past.later.some(({ record, body }) => record === own.record && body !== undefined)
  if (own.body !== undefined && isOlder) return { left: writtenSince }
  try {
    if (fits(entry, row, kept)) {
      await post(work, own, entry)
      return "unchanged"
    }
    if (own.body === undefined)
      return (await isDecided(work, own, past)) ? "nothing" : { left: "It says who may read the record." }
    const body = parseBody(own.body)
    const compress = (sent.body?.length ?? 0) < own.body.length
    if (row === undefined) {
      if (entry.kind !== "open") return { left: withoutBeginning(own, past) }
      await records.create(body, compress, own.record)
      return "anew"
    }
    const opened = await records.open(own.record)
    await demandDecided(session, opened.head, async () => opened.steps.map(({ entry }) => entry))
    // What was written since is not written over, by a colleague or by the physician: such an entry knows it, by what its author had seen.
    const since = opened.steps.filter(
      ({ entry: { kind, seq, seen } }) => kind === "write" && seen.size > kept && !made.has(`${own.record} ${seq}`),
    )
    if (since.some(({ entry: { author } }) => author !== session.physician))
      return { left: "A colleague has written in this record since." }
    if (since.length > 0) return { left: writtenSince }
    const { head } = await records.write(opened, body, compress)
    made.add(`${own.record} ${head.seq}`)
    return "anew"
  } catch (error) {
    if (!(error instanceof AppError) || error.is("UNAVAILABLE") || error.code === "NOT_ALLOWED_SESSION") throw error
    if (session.log.refusal !== null) throw error
    return error.code === "NOT_ALLOWED_RESTORED" ? "waiting" : { left: error.message }
  }
}

const writtenSince = "You have written in this record since."

const acceptFirst =
  "You are invited to this record again: accept it once more. What you wrote in it is sent again after that."

/** Why an entry has no record to go into. */
function withoutBeginning({ record }: OwnEntry, { former }: Past): string {
  const isKept = former.own.some((one) => one.record === record && one.seq === 0)
  const why = isKept
    ? "the entry that began it cannot be sent again."
    : "this device has not kept the entry that began it: it was written elsewhere, or it was too large or too long ago."
  return `The record is not there any more, and ${why}`
}

/** Whether nothing is left to do about an entry of the physician's own. */
async function isSettled(work: Workspace, own: OwnEntry, past: Past): Promise<boolean> {
  if (isThere(work.roster.rows.get(own.record), own) || isKeptLater(own, past)) return true
  return (await isBelow(work, own)) || (own.body === undefined && isDecided(work, own, past))
}

/** Whether an entry about members needs no decision: what it led to is so again, or the physician has decided since.
 * A record that is gone, and that no entry brings back, has nobody to decide about. */
async function isDecided(work: Workspace, { record }: OwnEntry, { former, kept }: Past): Promise<boolean> {
  const { session, roster } = work
  const me = session.physician
  const row = roster.rows.get(record)
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
  return sameMembers(others(then), others(now)) || decidesSince(kept, await entriesIn(work, record), now, me)
}

function isThere(row: RosterRow | undefined, { hash }: OwnEntry): row is RosterRow {
  return row !== undefined && equal(parseBase64url(row.hash), hash)
}

/** Whether an entry stands in its record with others above it. */
async function isBelow(work: Workspace, { record, seq, hash }: OwnEntry): Promise<boolean> {
  if ((work.roster.rows.get(record)?.seq ?? -1) <= seq) return false
  const prev = (await entriesIn(work, record))[seq + 1]?.prev
  return prev !== undefined && equal(prev, hash)
}

/** Whether it was sent again in a later log, and is kept as an entry of that one. */
function isKeptLater(own: OwnEntry, { later }: Past): boolean {
  return later.some(({ hash }) => equal(hash, own.hash))
}

/** Whether an entry can go as it is: on the head that it was made for, knowing nothing of what is lost, in a record of one's own alone. */
function fits(entry: EntryStatement, row: RosterRow | undefined, kept: number): boolean {
  if (entry.kind === "members" || entry.seen.size > kept) return false
  if (row === undefined) return entry.kind === "open"
  return (
    isAlone(row) && entry.prev !== undefined && equal(entry.prev, parseBase64url(row.hash)) && entry.epoch === row.epoch
  )
}

function isAlone(row: RosterRow | undefined): boolean {
  return row !== undefined && membersOf(row) === null
}

/** The very same request once more; the entry is kept as one of the log that it is in now. */
async function post({ session, roster }: Workspace, own: OwnEntry, { seq, author }: EntryStatement): Promise<void> {
  const { log, around, kept } = session
  const { answer, tree } = await log.exchange(
    ({ size }) => {
      const json = { ...JSON.parse(own.sent), since: size }
      return resend(() => around.transport.call("POST", entriesPath(own.record), { json, reply: appendEntry.reply }))
    },
    (receipt) => receipt.log,
  )
  const about = { subject: own.record, stream: "entry", type: "entry", number: seq, actor: author } as const
  log.checkReceipt(answer, { ...about, statementHash: own.hash }, tree)
  kept.note({ ...own, leaf: answer.leaf.index })
  await roster.syncAfresh()
}

/** The former logs, the newest first. */
async function pastOf({ session }: Workspace): Promise<Past[]> {
  const past: Past[] = []
  let later: readonly OwnEntry[] = []
  for (const former of await session.kept.former()) {
    const kept = keptSince(former.line, session.line)
    if (kept === null) continue
    past.push({ former, kept: kept.size, later })
    later = [...later, ...former.own]
  }
  return past
}

/** Whether a row stands where a head stood, or further on. */
function holds(row: RosterRow | undefined, head: KeptHead): boolean {
  return row !== undefined && (row.seq > head.seq || (row.seq === head.seq && row.hash === head.hash))
}
