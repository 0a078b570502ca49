import type { Body } from "../clinical/body.ts"
import { dayOf } from "../clinical/days.ts"
import { foldInto } from "../clinical/fold.ts"
import { changesBetween } from "../clinical/history.ts"
import { viewOf } from "../clinical/view.ts"
import type { PhysicianId, RecordId } from "../encoding/ids.ts"
import type { EntryStatement, Member } from "../proof/entry.ts"
import { chartAt } from "./edits.ts"
import type { OpenRecord } from "./open-record.ts"
import type { People } from "./people.ts"
import type { HistoryItem, RecordView } from "./views.ts"
import type { Workspace } from "./workspace.ts"

/** A record in words, as of one of its entries. */
export function viewRecord({ session }: Workspace, record: OpenRecord, seq: number): RecordView {
  const chart = chartAt(record, seq)
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
      .map(({ entry }) => ({
        seq: entry.seq,
        author: people.label(entry.author),
        keyBy: record.keys[entry.epoch] === undefined ? people.label(keyGiverOf(record, entry.epoch)) : null,
      })),
    summaryDiffers: record.summaryDiffers,
    readers:
      members.length === 1
        ? ["Only you"]
        : members.map(({ physician }) => (people.isMe(physician) ? "You" : people.label(physician))),
    role: members.find(({ physician }) => people.isMe(physician))?.role ?? "reader",
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

/** Every entry, newest first: who, when, what changed. */
export function viewHistory({ session }: Workspace, record: OpenRecord): HistoryItem[] {
  const { people } = session
  const resources = new Map<string, string>()
  let archived = false
  const items = record.steps.map((step): HistoryItem => {
    const { entry, body } = step
    // Of a body's own resources alone: a chart is not copied for every entry.
    const before = body === null ? null : onlyNamed(resources, body)
    const wasArchived = archived
    if (body !== null) foldInto(resources, body)
    archived = body?.archived ?? archived
    const none = { changes: [], resources: { added: 0, changed: 0, removed: 0 } }
    const sharing = entry.kind === "members" ? membersInWords(people, record.steps, entry) : []
    if (entry.keyCommit !== undefined && record.keys[entry.epoch] === undefined)
      sharing.push("The key that you were given does not open")
    return {
      seq: entry.seq,
      kind: entry.kind,
      ...(people.isMe(entry.author)
        ? { author: session.fullName, name: "" }
        : { author: people.label(entry.author), name: body?.by ?? people.colleague(entry.author).name }),
      sharing,
      time: entry.time,
      serverTime: step.serverTime,
      ...(body === null || before === null ? none : changesBetween(before, resources, body)),
      archived: archived === wasArchived ? null : archived,
      note: body?.note ?? "",
      readable: !step.unreadable,
    }
  })
  return items.reverse()
}

function onlyNamed(resources: ReadonlyMap<string, string>, { changes }: Body): Map<string, string> {
  return new Map(
    changes.flatMap(([key]) => {
      const text = resources.get(key)
      return text === undefined ? [] : [[key, text] as const]
    }),
  )
}

/** Everybody who is named in a record's chain. */
export function namedIn(record: OpenRecord): Set<PhysicianId> {
  const named = new Set<PhysicianId>()
  for (const { entry } of record.steps) {
    named.add(entry.author)
    for (const { physician } of entry.members ?? []) named.add(physician)
  }
  return named
}

/** The members that a record had before one of its entries. */
export function membersBefore(steps: OpenRecord["steps"], seq: number): readonly Member[] {
  return steps.slice(0, seq).findLast(({ entry }) => entry.members !== undefined)?.entry.members ?? []
}

/** What a `members` entry changed, a line each. */
export function membersInWords(people: People, steps: OpenRecord["steps"], entry: EntryStatement): string[] {
  const before = membersBefore(steps, entry.seq)
  const after = entry.members ?? []
  const find = (list: readonly Member[], who: PhysicianId) => list.find(({ physician }) => physician === who)
  const until = (member: Member) => (member.until === undefined ? "" : ` until ${dayOf(member.until)}`)
  const lines: string[] = []
  for (const member of after) {
    const old = find(before, member.physician)
    const name = people.label(member.physician)
    if (old === undefined) lines.push(`Shared with ${name} as ${member.role}${until(member)}`)
    else if (old.role !== member.role || old.until !== member.until)
      lines.push(`${name}: ${old.role}${until(old)} → ${member.role}${until(member)}`)
  }
  for (const old of before) {
    if (find(after, old.physician) !== undefined) continue
    const name = people.label(old.physician)
    if (old.physician !== entry.author) lines.push(`Removed ${name}`)
    else lines.push(signedAsMember(steps, entry) ? `${name} left` : `${name} left, or declined the invitation`)
  }
  if (entry.keyCommit !== undefined) lines.push("From here on with a fresh key")
  return lines
}

/** Whether an entry's author signed one before it since they became a member: by the chain alone, only they are known to have accepted. */
function signedAsMember(steps: OpenRecord["steps"], { author, seq }: EntryStatement): boolean {
  const without = ({ entry: { members } }: OpenRecord["steps"][number]) =>
    members?.every(({ physician }) => physician !== author)
  const before = steps.slice(0, seq)
  return before.slice(before.findLastIndex(without) + 1).some(({ entry }) => entry.author === author)
}
