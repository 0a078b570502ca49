import { encodeBase64url, parseBase64url } from "../encoding/base64.ts"
import type { PhysicianId, RecordId } from "../encoding/ids.ts"
import { AppError } from "../errors.ts"
import { awaitsOwner, type ChainHead } from "../proof/chain.ts"
import { parseChainHead } from "../proof/chain-head.ts"
import type { PinnedHead } from "./bound.ts"
import { returned, undecided } from "./decided.ts"
import { invitedTo } from "./invitation-pages.ts"
import type { KeptHead } from "./kept.ts"
import { keyOf, type OwnEntry } from "./own-entry.ts"
import { entriesIn, isSettled, type Past, pastOf } from "./past.ts"
import { membersOf, type RosterRow } from "./roster-row.ts"
import type { Session } from "./session.ts"
import type { LostRecord, WentBack } from "./views.ts"
import { walkRecord } from "./walk.ts"
import { type Workspace, workspaceOf } from "./workspace.ts"

/** What every way in does first where the server was put back since this device was last here, whoever has confirmed that: opens the roster,
 * holds the log to what this device has kept, and finds what it lacks. The pins move on once it is done: it is not asked for again. */
export async function lookBack(
  session: Session,
  isShown = session.restoration === null,
): Promise<{ work: Workspace; back: WentBack }> {
  const work = workspaceOf(session)
  await work.roster.load()
  await work.roster.sync()
  await work.roster.looked()
  return { work, back: await whatWentBack(work, isShown) }
}

/** What this device had seen, and the restored server does not have; and the members who were removed since, and are back in it. Once a device
 * has followed the restore, only what is still to be sent or decided, and records that nobody has written in since.
 * The roster is open and up to date. A record that the backup must hold, and that is missing, is refused there, and that one alone.
 * @param isShown whether the physician has seen it on this device: a page shows it as it follows */
export async function whatWentBack(work: Workspace, isShown = work.session.restoration === null): Promise<WentBack> {
  const { session, roster } = work
  /** By the newest head; own entries and who is back in it are of every log. */
  const found = new Map<RecordId, Found>()
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
    for (const one of former.own) if (!(await isSettled(work, one, past))) lost.push(one)
    own += lost.filter(({ body }) => body !== undefined).length
    const settled = former.own.filter((one) => !lost.includes(one))
    for (const head of former.heads) {
      const row = roster.rows.get(head.record)
      if (head.leaf < kept && !roster.toAccept.has(head.record)) continue
      const one = found.get(head.record) ?? { head, past, settled, own: 0, back: new Set() }
      one.own += lost.filter(({ record }) => record === head.record).length
      for (const physician of await stillBack(work, row, back(head, row))) one.back.add(physician)
      found.set(head.record, one)
    }
  }
  const records: LostRecord[] = []
  for (const one of found.values()) {
    const { head, own, back } = one
    const accept = roster.toAccept.has(head.record)
    const { has, isOpen } = await whatIsThere(work, one, isShown)
    if (isConfirmed && own === 0 && back.size === 0 && !isOpen && !accept) continue
    await session.people.meet([...back])
    const returned = [...back].map((physician) => session.people.label(physician))
    records.push({ id: head.record, name: head.name, had: head.seq + 1, has, own, returned, accept })
  }
  return {
    time: session.restoration?.time ?? 0,
    records: records.sort((a, b) => a.name.localeCompare(b.name)),
    own,
    renew: [...session.pins.renew],
    confirm: await awaiting(work),
  }
}

/** A record whose head went back. */
interface Found {
  readonly head: KeptHead
  /** The log that the head is of, */
  readonly past: Past
  /** and the physician's own entries in it of which nothing is left to do. */
  readonly settled: readonly OwnEntry[]
  /** How many of their own are still to be sent or decided, */
  own: number
  /** and who is back: of every log. */
  readonly back: Set<PhysicianId>
}

/** How many entries of a record were kept, and whether others are still missing from it: who confirms its members brings none of them back.
 * A device that has followed the restore has shown them, and asks no more once somebody has written in the record, or begun it again: another
 * device of the physician's, of which this one holds nothing. */
async function whatIsThere(
  work: Workspace,
  { head, past, settled }: Found,
  isShown: boolean,
): Promise<{ has: number; isOpen: boolean }> {
  const { roster } = work
  const { record, seq } = head
  const row = roster.rows.get(record)
  if (row === undefined) return { has: Math.min(seq, roster.toAccept.get(record) ?? -1) + 1, isOpen: true }
  // Where nothing was written since, the head says it all.
  const isUntouched = row.leaf < past.kept
  const entries = isUntouched ? [] : await entriesIn(work, record)
  if (entries.length === 0) {
    const isOpen = isUntouched ? !holds(row, head) : !isShown
    return { has: Math.min(seq, row.seq) + 1, isOpen }
  }
  const there = entries[seq + 1]?.prev ?? (row.seq === seq ? parseBase64url(row.hash) : null)
  if (there !== null && encodeBase64url(there) === head.hash) return { has: seq + 1, isOpen: false }
  const has = Math.min(seq, entries.filter(({ seen }) => seen.size <= past.kept).length)
  const isMissing = (one: { readonly seq: number }) => one.seq >= has && one.seq <= seq
  const explained = new Set(settled.filter((own) => own.record === record && isMissing(own)).map(keyOf))
  // What was sent again is known by what it stands for.
  for (const { leaf, again } of past.here) {
    const was = (again?.was ?? []).filter((one) => leaf !== undefined && one.record === record && isMissing(one))
    if (was.length > 0 && !was.some((one) => explained.has(keyOf(one)))) explained.add(keyOf(was[0]!))
  }
  const isDone = isShown && entries.some(({ kind, seen }) => kind !== "members" && seen.size > past.apart)
  return { has, isOpen: seq + 1 - has > explained.size && !isDone }
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

/** Whether a row stands where a head stood, or further on. */
function holds(row: RosterRow | undefined, head: KeptHead): boolean {
  return row !== undefined && (row.seq > head.seq || (row.seq === head.seq && row.hash === head.hash))
}
