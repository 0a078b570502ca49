import { clipper } from "../clinical/clip.ts"
import { dayOf } from "../clinical/days.ts"
import { Fold } from "../clinical/fold.ts"
import { changesBetween } from "../clinical/history.ts"
import { viewOf } from "../clinical/view.ts"
import type { PhysicianId, RecordId } from "../encoding/ids.ts"
import { awaitsOwner } from "../proof/chain.ts"
import type { EntryStatement, Member } from "../proof/entry.ts"
import { undecided } from "./decided.ts"
import type { OpenRecord } from "./open-record.ts"
import type { People } from "./people.ts"
import type { Session } from "./session.ts"
import type { HistoryItem, RecordView } from "./views.ts"
import type { Workspace } from "./workspace.ts"

/** A record in words, as of one of its entries. @throws BAD_INPUT_FORMAT for an entry that is not there */
export async function viewRecord(
  { session, records }: Workspace,
  record: OpenRecord,
  seq: number,
): Promise<RecordView> {
  const chart = await records.chartAt(record, seq)
  const { people } = session
  const { members } = record.head
  return {
    ...viewOf(chart),
    id: record.id,
    seq,
    head: record.head.seq,
    updated: record.steps[seq]!.entry.time,
    unreadable: record.steps
      .filter((step) => step.unreadable)
      .map(({ entry, newer }) => ({
        seq: entry.seq,
        author: people.label(entry.author),
        newer,
        keyBy: record.keys[entry.epoch] === undefined ? people.label(keyGiverOf(record, entry.epoch)) : null,
      })),
    summaryDiffers: record.summaryDiffers,
    readers:
      members.length === 1
        ? ["Only you"]
        : members.map(({ physician }) => (people.isMe(physician) ? "You" : people.label(physician))),
    keysChanged: members
      .filter((member) => people.isChanged(member))
      .map(({ physician }) => people.label(physician))
      .sort(),
    role: members.find(({ physician }) => people.isMe(physician))?.role ?? "reader",
    waits: await waitsFor(session, record),
  }
}

/** Who has to confirm, after a restore, who may read a record. Whoever is back is nobody to ask. */
async function waitsFor(session: Session, { head, steps }: OpenRecord): Promise<RecordView["waits"]> {
  const back = await undecided(session, head, async () => steps.map(({ entry }) => entry))
  if (back.length === 0 && !awaitsOwner(head, session.restoredAt)) return null
  const { people } = session
  const owners = head.members.filter(({ physician, role }) => role === "owner" && !back.includes(physician))
  return {
    mine: owners.some(({ physician }) => people.isMe(physician)),
    owners: owners.filter(({ physician }) => !people.isMe(physician)).map(({ physician }) => people.label(physician)),
  }
}

/** Who gave an epoch its key. */
function keyGiverOf({ steps }: OpenRecord, epoch: number): PhysicianId {
  return steps.find(({ entry }) => entry.epoch === epoch)!.entry.author
}

/** A record's history, with everybody in it by name. */
export async function history(work: Workspace, id: RecordId): Promise<HistoryItem[]> {
  const record = await work.records.open(id)
  await work.session.people.meet(namedIn(record))
  return viewHistory(work, record)
}

/** Every entry, newest first: who, when, what changed. Their contents are fetched for it, and none of them is kept. */
export async function viewHistory({ session, records }: Workspace, record: OpenRecord): Promise<HistoryItem[]> {
  const { people } = session
  const fold = new Fold(null, record.chart)
  const clip = clipper(record.steps.length * textsOfItem)
  const items: HistoryItem[] = []
  const line = new MemberLine()
  await records.replay(record, (step, content) => {
    const { entry } = step
    const { archived: wasArchived } = fold.chart
    const keys = content?.changes.map(({ key }) => key) ?? []
    const before = fold.pick(keys)
    if (content !== null) fold.take(entry.author, content)
    const { archived } = fold.chart
    const sharing = entry.kind === "members" ? membersInWords(people, line, entry) : []
    line.pass(entry)
    if (entry.keyCommit !== undefined && record.keys[entry.epoch] === undefined)
      sharing.push("The key that you were given does not open")
    const { changes, resources: counts } = changesBetween(before, fold.chart.resources, keys)
    items.push({
      seq: entry.seq,
      kind: entry.kind,
      ...(people.isMe(entry.author)
        ? { author: session.fullName, name: "" }
        : { author: people.label(entry.author), name: content?.by ?? people.colleague(entry.author).name }),
      sharing: sharing.map(clip),
      time: entry.time,
      serverTime: step.serverTime,
      changes: changes.map((change) => ({
        label: clip(change.label),
        before: clip(change.before),
        after: clip(change.after),
      })),
      resources: counts,
      archived: archived === wasArchived ? null : archived,
      note: clip(content?.note ?? ""),
      readable: !step.unreadable,
    })
    if (content !== null) fold.giveBack(content)
  })
  return items.reverse()
}

/** About so many texts stand in a line of the history. */
const textsOfItem = 4

/** Everybody who is named in a record's chain. */
export function namedIn(record: OpenRecord): Set<PhysicianId> {
  const named = new Set<PhysicianId>()
  for (const { entry } of record.steps) {
    named.add(entry.author)
    for (const { physician } of entry.members ?? []) named.add(physician)
  }
  return named
}

/** A record's members before one of its entries, carried along from its first. */
export class MemberLine {
  #members: readonly Member[] = []
  /** Who signed an entry since they became a member: by the chain alone, only they are known to have accepted. */
  readonly #signed = new Set<PhysicianId>()

  /** @param steps of which the first are passed, so many as `seq` says */
  static before(steps: OpenRecord["steps"], seq: number): MemberLine {
    const line = new MemberLine()
    for (let at = 0; at < seq; at++) line.pass(steps[at]!.entry)
    return line
  }

  get members(): readonly Member[] {
    return this.#members
  }

  hasSigned(physician: PhysicianId): boolean {
    return this.#signed.has(physician)
  }

  pass({ author, members }: EntryStatement): void {
    this.#signed.add(author)
    // A list that did not change is the very same one.
    if (members === undefined || members === this.#members) return
    this.#members = members
    const now = new Set(members.map(({ physician }) => physician))
    for (const physician of this.#signed) if (!now.has(physician)) this.#signed.delete(physician)
  }
}

/** What a `members` entry changed, a line each. @param line before it */
export function membersInWords(people: People, line: MemberLine, entry: EntryStatement): string[] {
  const after = entry.members ?? []
  const lines = after === line.members ? [] : membersChanged(people, line, entry.author, after)
  if (entry.keyCommit !== undefined) lines.push("From here on with a fresh key")
  return lines
}

function membersChanged(people: People, line: MemberLine, author: PhysicianId, after: readonly Member[]): string[] {
  const until = (member: Member) => (member.until === undefined ? "" : ` until ${dayOf(member.until)}`)
  const before = new Map(line.members.map((member) => [member.physician, member]))
  const lines: string[] = []
  for (const member of after) {
    const old = before.get(member.physician)
    before.delete(member.physician)
    const name = people.label(member.physician)
    if (old === undefined) lines.push(`Shared with ${name} as ${member.role}${until(member)}`)
    else if (old.role !== member.role || old.until !== member.until)
      lines.push(`${name}: ${old.role}${until(old)} → ${member.role}${until(member)}`)
  }
  for (const physician of before.keys()) {
    const name = people.label(physician)
    if (physician !== author) lines.push(`Removed ${name}`)
    else lines.push(line.hasSigned(author) ? `${name} left` : `${name} left, or declined the invitation`)
  }
  return lines
}
