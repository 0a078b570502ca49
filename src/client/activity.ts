import type { z } from "zod"
import { equal } from "../encoding/bytes.ts"
import type { Id, PhysicianId, RecordId, SessionId } from "../encoding/ids.ts"
import { actTypes, type LeafType, noStatement, type Stream } from "../proof/leaf.ts"
import { keyringStep } from "../proof/succession.ts"
import { readSessions } from "../protocol/accounts.ts"
import { otherSessionPath, paths, recordActivityPath } from "../protocol/paths.ts"
import { readActivity } from "../protocol/records.ts"
import type { OpenRecord } from "./open-record.ts"
import { MemberLine, membersInWords } from "./record-views.ts"
import type { ActivityItem, ActivityPage, DeviceView, SessionView } from "./views.ts"
import type { Workspace } from "./workspace.ts"

type Leaf = z.output<typeof readActivity.reply>["leaves"][number]

const pageSize = 200

/** Where the page of a subject's activity that was read last ended, and the number that each stream goes on with. */
export interface ActivityEnd {
  readonly before: number
  readonly next: ReadonlyMap<Stream, number>
}

/** What the log says of a record, newest first, each line proved to be in the log. Who opened and who exported is the server's word;
 * who wrote and who shared is signed.
 * @param before the index of the last line shown, or null. */
export async function recordActivity(work: Workspace, id: RecordId, before: number | null): Promise<ActivityPage> {
  const record = await work.records.open(id)
  const { leaves, more } = await readLeaves(work, id, recordActivityPath(id), before, { entry: record.head.seq })
  await work.session.people.meet(leaves.map(({ actor }) => actor))
  return { items: leaves.map((leaf) => itemOfRecord(work, record, leaf)), more }
}

/** What the log says of the physician's own account, newest first. */
export async function accountActivity(work: Workspace, before: number | null): Promise<ActivityPage> {
  const { physician, identity, keyringNumber } = work.session
  const newest = { identity: identity.seq, keyring: keyringNumber }
  const { leaves, more } = await readLeaves(work, physician, paths.activity, before, newest)
  return { items: leaves.map((leaf) => itemOfAccount(work, leaf)), more }
}

/** The physician's sessions, newest first. */
export async function listSessions({ session }: Workspace): Promise<SessionView[]> {
  const { sessions } = await session.around.transport.call("GET", paths.sessions, { reply: readSessions.reply })
  return sessions.map(({ id, current, carrier, created, touched }) => ({
    id,
    current,
    carrier: carrier === "cookie" ? "browser" : "program",
    started: created,
    lastActive: touched,
  }))
}

/** Every device that the physician has signed in on since it is kept, newest first. */
export function listDevices({ session }: Workspace): DeviceView[] {
  const { devices } = session.keyring
  return devices
    .map(({ id, label, since }) => ({ label, since, current: id === session.pins.device }))
    .sort((a, b) => b.since - a.since)
}

export async function endSession({ session }: Workspace, id: SessionId): Promise<void> {
  await session.around.transport.call("DELETE", otherSessionPath(id))
}

/** @param newest numbers that are known to be in the log: each of these streams begins with this one, or a later one */
async function readLeaves(
  { session }: Workspace,
  subject: Id,
  path: string,
  before: number | null,
  newest: Readonly<Partial<Record<Stream, number>>>,
) {
  const { log, around, activity } = session
  const { answer, tree } = await log.exchange(
    (pinned) =>
      around.transport.call("GET", path, {
        query: { before: before ?? Number.MAX_SAFE_INTEGER, limit: pageSize, pinned: pinned.size },
        reply: readActivity.reply,
      }),
    (reply) => reply.log,
  )
  const demand = (holds: boolean) => {
    if (!holds) throw log.refuse("TAMPERED_LOG")
  }
  const above = activity.get(subject)
  const goesOn = before !== null && above?.before === before
  const whole = before === null || goesOn
  const next = new Map<Stream, number>(goesOn ? above.next : [])
  for (const leaf of answer.leaves) {
    const { index, stream, number, actor, statementHash, inclusion } = leaf
    const type = typeOf(leaf)
    demand(index < (before ?? tree.size) && type !== null)
    demand(log.has(leaf, inclusion, { subject, stream, number, type: type!, actor, statementHash }, tree))
    // Of each stream the numbers go down one by one, from page to page: none is left out.
    const expected = next.get(stream)
    // The first keyring after a restore stands far above the one before it.
    const jumped =
      stream === "keyring" && expected !== undefined && (expected + 1) % keyringStep === 0 && number < expected
    demand(expected === undefined ? !whole || number >= (newest[stream] ?? 0) : number === expected || jumped)
    next.set(stream, number - 1)
  }
  const last = answer.leaves.at(-1)
  demand(last !== undefined || !answer.more)
  if (whole && !answer.more) {
    const streams = new Set([...next.keys(), ...(Object.keys(newest) as Stream[])])
    for (const stream of streams) demand(next.get(stream) === -1)
  }
  if (whole && last !== undefined) activity.set(subject, { before: last.index, next })
  return answer
}

/** `null` where a leaf says what none may. */
function typeOf({ stream, type, statementHash }: Leaf): LeafType | null {
  if (stream !== "act") return type === stream ? stream : null
  const act = actTypes.find((one) => one === type)
  return act === undefined || !equal(statementHash, noStatement) ? null : act
}

function itemOfRecord(work: Workspace, record: OpenRecord, leaf: Leaf): ActivityItem {
  const { index, time } = leaf
  const { people } = work.session
  const item = (kind: ActivityItem["kind"], detail = "", invited: readonly string[] = []): ActivityItem => ({
    index,
    time,
    kind,
    actor: actorOf(work, leaf.actor),
    detail,
    invited,
  })
  if (leaf.stream === "act") {
    const kinds: Partial<Record<string, ActivityItem["kind"]>> = {
      read: "opened",
      export: "exported",
      accept: "accepted",
    }
    return item(kinds[leaf.type] ?? "other")
  }
  const step = record.steps[leaf.number]
  if (step === undefined) return item("other")
  const { entry } = step
  if (entry.kind === "open") return item("created")
  if (entry.kind === "write") return item("wrote", writtenInWords(record, entry.seq))
  const members = entry.members ?? []
  if (members.every(({ physician }) => physician !== entry.author)) return item("left")
  const line = MemberLine.before(record.steps, entry.seq)
  const old = new Set(line.members.map(({ physician }) => physician))
  const added = members.filter(({ physician }) => !old.has(physician))
  return item(
    "shared",
    membersInWords(people, line, entry).join(" · "),
    added.map(({ physician }) => actorOf(work, physician)),
  )
}

/** What an entry did, where that is more than writing: the record was archived, or brought back. */
function writtenInWords({ steps }: OpenRecord, seq: number): string {
  const number = `Entry ${seq + 1}`
  const archived = steps[seq]?.archived
  let at = seq - 1
  while (at >= 0 && steps[at]!.archived === undefined) at--
  const before = steps[at]?.archived ?? false
  if (archived === undefined || archived === before) return number
  return `${archived ? "Archived" : "Brought back"} · ${number}`
}

function itemOfAccount(work: Workspace, leaf: Leaf): ActivityItem {
  const { index, time, actor } = leaf
  const kinds: Partial<Record<string, readonly [ActivityItem["kind"], string]>> = {
    identity: leaf.number === 0 ? ["created", "This account"] : ["unlocks", "Password or recovery words changed"],
    keyring: ["keyring", ""],
    "sign-in": ["sign-in", ""],
    recover: ["recover", "With the recovery words"],
    "end-session": ["end-session", ""],
    admin: ["admin", ""],
  }
  const [kind, detail] = kinds[leaf.type] ?? ["other", ""]
  return { index, time, kind, actor: actorOf(work, actor), detail, invited: [] }
}

function actorOf({ session }: Workspace, physician: PhysicianId): string {
  if ((physician as Id) === session.practice.practice) return "Whoever runs the server"
  return session.people.isMe(physician) ? "You" : session.people.label(physician)
}
