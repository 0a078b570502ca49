import { sql } from "kysely"
import { sha256 } from "#sha256"
import { equal } from "../../encoding/bytes.ts"
import type { PhysicianId } from "../../encoding/ids.ts"
import type { Member } from "../../proof/entry.ts"
import type { Db } from "./connection.ts"
import { prepare } from "./prepared.ts"
import type { MemberRow, SealedGrantRow, SelfGrantRow } from "./schema.ts"
import type { VerifiedEntry } from "./store.ts"

type Place = Pick<MemberRow, "record" | "physician">
/** The entry that invites. */
type Invited = Pick<MemberRow, "invited" | "inviter" | "invited_leaf">

/** Writes what an `open` or `members` entry changes about who belongs to a record, and the keys that came with it. */
export function membershipWriter(compiler: Db) {
  const invite = prepare<Place & Invited & Pick<MemberRow, "role" | "until" | "accepted">>((p) =>
    compiler
      .insertInto("member")
      .values({
        record: p.record,
        physician: p.physician,
        role: p.role,
        until: p.until,
        invited: p.invited,
        inviter: p.inviter,
        invited_leaf: p.invited_leaf,
        accepted: p.accepted,
      })
      .onConflict((conflict) =>
        conflict.columns(["record", "physician"]).doUpdateSet({
          role: p.role,
          until: p.until,
          invited: p.invited,
          inviter: p.inviter,
          invited_leaf: p.invited_leaf,
        }),
      ),
  )
  const change = prepare<Place & Pick<MemberRow, "role" | "until">>((p) =>
    compiler
      .updateTable("member")
      .set({ role: p.role, until: p.until })
      .where("record", "=", p.record)
      .where("physician", "=", p.physician),
  )
  /** Whoever accepted stays accepted; whoever did not is invited by this entry now. */
  const inviteAgain = prepare<Place & Invited>((p) =>
    compiler
      .updateTable("member")
      .set({ invited: p.invited, inviter: p.inviter, invited_leaf: p.invited_leaf })
      .where("record", "=", p.record)
      .where("physician", "=", p.physician)
      .where("accepted", "is", null),
  )
  const remove = prepare<Place & { leaf: number }>((p) =>
    compiler
      .updateTable("member")
      .set({
        role: null,
        removed: sql<number | null>`case when accepted is null then removed else ${p.leaf} end`,
        accepted: null,
      })
      .where("record", "=", p.record)
      .where("physician", "=", p.physician),
  )
  const putGrant = prepare<SealedGrantRow>((p) =>
    compiler.insertInto("sealed_grant").values({
      record: p.record,
      seq: p.seq,
      recipient: p.recipient,
      token: p.token,
      token_sha256: p.token_sha256,
    }),
  )
  const putSelfGrant = selfGrantWriter(compiler)

  return async (db: Db, { entry, before, head, selfGrant, grants }: VerifiedEntry, leaf: number): Promise<void> => {
    const { record, seq, author, epoch } = entry
    const old = byPhysician(before?.members ?? [])
    const now = byPhysician(head.members)
    const by = { invited: seq, inviter: author, invited_leaf: leaf }
    for (const physician of old.keys()) if (!now.has(physician)) await remove(db, { record, physician, leaf })
    for (const { physician, role, until = null, fingerprint } of head.members) {
      const was = old.get(physician)
      const accepted = before === null ? leaf : null
      if (was === undefined) await invite(db, { record, physician, role, until, ...by, accepted })
      else if (was.role !== role || (was.until ?? null) !== until) await change(db, { record, physician, role, until })
      if (was !== undefined && !equal(was.fingerprint, fingerprint)) await inviteAgain(db, { record, physician, ...by })
    }
    for (const { recipient, grant } of grants)
      await putGrant(db, { record, seq, recipient, token: grant, token_sha256: sha256(grant) })
    if (selfGrant !== undefined)
      await putSelfGrant(db, {
        physician: author,
        record,
        epoch,
        token: selfGrant,
        token_sha256: sha256(selfGrant),
        signed: null,
      })
  }
}

/** Inserts a self-grant; one that is there stays. */
export function selfGrantWriter(compiler: Db) {
  return prepare<SelfGrantRow>((p) =>
    compiler
      .insertInto("self_grant")
      .values({
        physician: p.physician,
        record: p.record,
        epoch: p.epoch,
        token: p.token,
        token_sha256: p.token_sha256,
        signed: p.signed,
      })
      .onConflict((conflict) => conflict.columns(["physician", "record", "epoch"]).doNothing()),
  )
}

function byPhysician(members: readonly Member[]): Map<PhysicianId, Member> {
  return new Map(members.map((member) => [member.physician, member]))
}
