import { equal } from "../../encoding/bytes.ts"
import type { PhysicianId, RecordId } from "../../encoding/ids.ts"
import type { Link } from "../../proof/chain.ts"
import type { Db } from "../store/connection.ts"
import type { MemberRow } from "../store/schema.ts"
import { type Findings, rowName } from "./findings.ts"

type Standing = Omit<MemberRow, "record" | "physician">
type ActRow = Awaited<ReturnType<typeof readActs>>[number]
type SelfGrantRow = Awaited<ReturnType<typeof readSelfGrants>>[number]

/** What `act` leaves say of records. */
export function readActs(db: Db, records: readonly RecordId[]) {
  return db
    .selectFrom("leaf")
    .select(["idx", "subject", "type", "actor"])
    .where("subject", "in", records)
    .where("stream", "=", "act")
    .orderBy("idx")
    .execute()
}

export function readMembers(db: Db, records: readonly RecordId[]) {
  return db.selectFrom("member").selectAll().where("record", "in", records).execute()
}

export function readSelfGrants(db: Db, records: readonly RecordId[]) {
  return db.selectFrom("self_grant").select(["physician", "record", "epoch"]).where("record", "in", records).execute()
}

/** Rows that hang on a record that is not there. */
export async function auditOrphans(db: Db, findings: Findings): Promise<void> {
  for (const table of ["member", "self_grant", "sealed_grant"] as const) {
    const lost = await db
      .selectFrom(table)
      .leftJoin("record", "record.id", `${table}.record`)
      .select(`${table}.record`)
      .where("record.id", "is", null)
      .groupBy(`${table}.record`)
      .execute()
    for (const { record } of lost) findings.tampered(rowName(table, { record }), "there is no such record")
  }
}

/** Works out from a record's chain and its `act` leaves who belongs to it, as the server did, and compares. */
export function compareMembers(
  findings: Findings,
  record: RecordId,
  links: readonly Link[],
  acts: readonly ActRow[],
  rows: readonly MemberRow[],
  selfGrants: readonly SelfGrantRow[],
): void {
  const derived = derive(findings, links, acts)
  for (const row of rows) {
    const standing = derived.members.get(row.physician)
    const name = rowName("member", { record, physician: row.physician })
    if (standing === undefined || !isSame(standing, row))
      findings.tampered(name, "it is not what the chain and the log say of this member")
  }
  const missing = [...derived.members.keys()].filter((id) => !rows.some((row) => row.physician === id))
  findings.demand(missing.length === 0, rowName("record", { id: record }), "a member that its chain names is missing")
  const epoch = links.at(-1)?.head.epoch ?? 0
  for (const grant of selfGrants)
    if (grant.epoch > epoch || !derived.members.has(grant.physician))
      findings.tampered(rowName("self_grant", { ...grant }), "the chain has no such member or epoch")
  for (const [physician, epochs] of derived.held)
    for (const wanted of epochs)
      if (!selfGrants.some((grant) => grant.physician === physician && grant.epoch === wanted))
        findings.tampered(rowName("self_grant", { physician, record, epoch: wanted }), "it is missing")
}

interface Derived {
  readonly members: ReadonlyMap<PhysicianId, Standing>
  /** The epochs of which a physician must have a self-grant: all up to their acceptance, and those they began. */
  readonly held: ReadonlyMap<PhysicianId, ReadonlySet<number>>
}

function derive(findings: Findings, links: readonly Link[], acts: readonly ActRow[]): Derived {
  const members = new Map<PhysicianId, Standing>()
  const held = new Map<PhysicianId, Set<number>>()
  const hold = (physician: PhysicianId, epoch: number) =>
    held.set(physician, (held.get(physician) ?? new Set()).add(epoch))
  links.forEach((link, i) => {
    follow(members, links[i - 1] ?? null, link)
    if (link.entry.keyCommit !== undefined) hold(link.entry.author, link.entry.epoch)
    const until = links[i + 1]?.head.leaf ?? Number.POSITIVE_INFINITY
    for (const { idx, type, actor } of acts.filter((act) => act.idx > link.head.leaf && act.idx < until)) {
      const physician = actor as PhysicianId
      const standing = members.get(physician)
      const name = rowName("leaf", { idx })
      if (standing === undefined) findings.tampered(name, "its actor was never a member of the record")
      else if (type === "accept") {
        const invited = standing.role !== null && standing.accepted === null
        findings.demand(invited, name, "it accepts what its actor was not invited to")
        members.set(physician, { ...standing, accepted: idx, removed: null })
        for (let epoch = 0; epoch <= link.head.epoch; epoch++) hold(physician, epoch)
      } else findings.demand(type === "read" || type === "export", name, "no record has such an act")
    }
  })
  const first = links[0]
  for (const { idx } of acts.filter((act) => first === undefined || act.idx < first.head.leaf))
    findings.tampered(rowName("leaf", { idx }), "it is older than the record")
  return { members, held }
}

/** What one entry changes. */
function follow(members: Map<PhysicianId, Standing>, before: Link | null, { entry, head }: Link): void {
  if (entry.members === undefined) return
  const by = { invited: entry.seq, inviter: entry.author, invited_leaf: head.leaf }
  const old = new Map(before?.head.members.map((member) => [member.physician, member]))
  for (const { physician, role, until = null, fingerprint } of head.members) {
    const was = old.get(physician)
    const standing = members.get(physician) ?? { ...by, accepted: null, removed: null }
    const named = was === undefined || (standing.accepted === null && !equal(was.fingerprint, fingerprint))
    const accepted = before === null ? head.leaf : standing.accepted
    members.set(physician, { ...standing, role, until, accepted, ...(named && by) })
    old.delete(physician)
  }
  for (const physician of old.keys()) {
    const standing = members.get(physician)!
    const removed = standing.accepted === null ? standing.removed : head.leaf
    members.set(physician, { ...standing, role: null, accepted: null, removed })
  }
}

function isSame(a: Standing, b: Standing): boolean {
  const all = ["role", "until", "invited", "inviter", "invited_leaf", "accepted", "removed"] as const
  return all.every((name) => a[name] === b[name])
}
