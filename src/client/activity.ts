import type { z } from "zod"
import type { Id, PhysicianId, RecordId, SessionId } from "../encoding/ids.ts"
import { AppError } from "../errors.ts"
import { actTypes, type LeafType } from "../proof/leaf.ts"
import { readSessions } from "../protocol/accounts.ts"
import { otherSessionPath, paths, recordActivityPath } from "../protocol/paths.ts"
import { readActivity } from "../protocol/records.ts"
import { membersInWords } from "./record-views.ts"
import type { OpenRecord } from "./records.ts"
import type { ActivityItem, ActivityPage, SessionView } from "./views.ts"
import type { Workspace } from "./workspace.ts"

type Leaf = z.output<typeof readActivity.reply>["leaves"][number]

const pageSize = 200
const noStatement = new Uint8Array(32)

/** What the log says of a record, newest first, each line proved to be in the log. Who opened and who exported is the server's word;
 * who wrote and who shared is signed.
 * @param before the index of the last line shown, or null. */
export async function recordActivity(work: Workspace, id: RecordId, before: number | null): Promise<ActivityPage> {
  const record = await work.records.open(id)
  const { leaves, more } = await readLeaves(work, id, recordActivityPath(id), before)
  await work.session.people.meet(leaves.map(({ actor }) => actor))
  return { items: leaves.map((leaf) => itemOfRecord(work, record, leaf)), more }
}

/** What the log says of the physician's own account, newest first. */
export async function accountActivity(work: Workspace, before: number | null): Promise<ActivityPage> {
  const { leaves, more } = await readLeaves(work, work.session.physician, paths.activity, before)
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

export async function endSession({ session }: Workspace, id: SessionId): Promise<void> {
  await session.around.transport.call("DELETE", otherSessionPath(id))
}

async function readLeaves({ session }: Workspace, subject: Id, path: string, before: number | null) {
  const { log, around } = session
  const { answer, tree } = await log.exchange(
    (pinned) =>
      around.transport.call("GET", path, {
        query: { before: before ?? Number.MAX_SAFE_INTEGER, limit: pageSize, pinned: pinned.size },
        reply: readActivity.reply,
      }),
    (reply) => reply.log,
  )
  const next = new Map<string, number>()
  for (const leaf of answer.leaves) {
    const { index, time, salt, stream, number, actor, statementHash, inclusion } = leaf
    if (index >= (before ?? tree.size)) throw log.refuse("TAMPERED_LOG")
    const type = typeOf(leaf)
    log.checkLeaf({ index, time, salt }, inclusion, { subject, stream, number, type, actor, statementHash }, tree)
    // Of each stream the numbers go down one by one: none is left out in between.
    const expected = next.get(stream)
    if (expected !== undefined && number !== expected) throw log.refuse("TAMPERED_LOG")
    next.set(stream, number - 1)
  }
  return answer
}

function typeOf({ stream, type, statementHash }: Leaf): LeafType {
  if (stream !== "act") {
    if (type !== stream) throw new AppError("TAMPERED_LOG")
    return stream
  }
  const act = actTypes.find((one) => one === type)
  if (act === undefined || statementHash.some((byte, i) => byte !== noStatement[i])) throw new AppError("TAMPERED_LOG")
  return act
}

function itemOfRecord(work: Workspace, record: OpenRecord, leaf: Leaf): ActivityItem {
  const { index, time } = leaf
  const { people } = work.session
  const item = (kind: ActivityItem["kind"], detail = ""): ActivityItem => ({
    index,
    time,
    kind,
    actor: actorOf(work, leaf.actor),
    detail,
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
  if (entry.kind === "write") return item("wrote", `Entry ${entry.seq}`)
  const before = record.steps.slice(0, leaf.number).findLast((one) => one.entry.members !== undefined)
  const lines = membersInWords(people, before?.entry.members ?? [], entry)
  const left = entry.members?.every(({ physician }) => physician !== entry.author) === true
  return item(left ? "left" : "shared", left ? "" : lines.join(" · "))
}

function itemOfAccount(work: Workspace, leaf: Leaf): ActivityItem {
  const { index, time, actor } = leaf
  const kinds: Partial<Record<string, readonly [ActivityItem["kind"], string]>> = {
    identity: leaf.number === 0 ? ["unlocks", "Account made"] : ["unlocks", "Password or recovery words changed"],
    keyring: ["keyring", "Settings or what this account remembers were saved"],
    "sign-in": ["sign-in", ""],
    recover: ["recover", "With the recovery words"],
    "end-session": ["end-session", ""],
  }
  const [kind, detail] = kinds[leaf.type] ?? ["other", ""]
  return { index, time, kind, actor: actorOf(work, actor), detail }
}

function actorOf({ session }: Workspace, physician: PhysicianId): string {
  return session.people.isMe(physician) ? "You" : session.people.label(physician)
}
