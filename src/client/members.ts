import type { Summary } from "../clinical/summary.ts"
import { compare } from "../encoding/bytes.ts"
import { idBytes } from "../encoding/ids.ts"
import { AppError } from "../errors.ts"
import { type ChainHead, sameKeys } from "../proof/chain.ts"
import type { Member } from "../proof/entry.ts"
import { type Granted, importRecipient, sealGrant } from "../vault/grants.ts"
import { commitTo, newSecretKey, type RecordKey } from "../vault/keys.ts"
import { type Appended, append } from "./append.ts"
import type { EpochKeys } from "./roster-row.ts"
import type { Session } from "./session.ts"
import { memberOf } from "./walk.ts"

/** Appends one `members` entry: whoever is added gets every key so far, and where somebody is removed, or left before, everybody else
 * gets a fresh one, in the same entry.
 * @param keys of all epochs so far.
 * @param list the members from now on, in any order; this physician among them.
 * @returns what was appended, and the keys with the new one.
 * @throws NOT_ALLOWED_ROLE, NOT_ALLOWED_LAST_OWNER, NOT_ALLOWED_CHANGED_KEY, CONFLICT_HEAD; CANNOT_OPEN where somebody who joins would
 * need a key that this physician does not have. Nothing is stored then */
export async function changeMembers(
  session: Session,
  head: ChainHead,
  keys: EpochKeys,
  list: readonly Member[],
  summary: Summary,
  raise: boolean,
): Promise<{ appended: Appended; keys: EpochKeys }> {
  const me = memberOf(session, head)
  if (me === null) throw new AppError("NOT_ALLOWED")
  demandOwner(head.members, list)
  const members = [...list].sort((a, b) => compare(idBytes(a.physician), idBytes(b.physician)))
  const removed = head.members.some((old) => !members.some((member) => sameKeys(old, member)))
  const raised = raise || removed || head.mustRaise
  const epoch = raised ? head.epoch + 1 : head.epoch
  const fresh = raised ? newSecretKey<"record">() : null
  const all = Array.from({ length: epoch + 1 }, (_, i) => (i > head.epoch && fresh !== null ? fresh : keys[i]))
  const key = all[epoch]
  if (key === undefined) throw new AppError("CANNOT_OPEN")
  const owed = raised
    ? members.filter((member) => member.physician !== session.physician)
    : members.filter((member) => !head.members.some((old) => sameKeys(old, member)))
  demandGivable(session, me, owed)
  const grants = await Promise.all(
    owed.map(async (member) => {
      const joins = !head.members.some((old) => old.physician === member.physician)
      const granted = joins ? everyKey(all) : new Map([[epoch, key]])
      return { recipient: member.physician, grant: await grantTo(session, head, me, member, granted) }
    }),
  )
  const commit = fresh === null ? {} : { keyCommit: await commitTo(fresh, head.record, epoch) }
  const appended = await append(
    session,
    head.record,
    head,
    key,
    { kind: "members", epoch, members, ...commit },
    { ...(fresh === null ? {} : { summary }), ...(grants.length === 0 ? {} : { grants }) },
  )
  return { appended, keys: all }
}

/** Appends the entry by which this physician leaves. The others get a fresh key with the next entry of one of them.
 * @throws NOT_ALLOWED_LAST_OWNER, CONFLICT_HEAD */
export async function leaveRecord(session: Session, head: ChainHead): Promise<void> {
  const me = memberOf(session, head)
  if (me === null) throw new AppError("NOT_ALLOWED")
  const members = head.members.filter((member) => member !== me)
  demandOwner(head.members, members)
  // Nothing is sealed: any key will do.
  await append(session, head.record, head, newSecretKey<"record">(), { kind: "members", members }, {})
}

/** Demands that a fresh key can be given to all who are owed it. @throws NOT_ALLOWED_CHANGED_KEY */
function demandGivable({ people }: Session, me: Member, owed: readonly Member[]): void {
  const changed = owed.filter((member) => people.isChanged(member))
  if (changed.length === 0) return
  const names = changed.map(({ physician }) => people.label(physician)).join(", ")
  const way =
    me.role === "owner"
      ? "Remove them under Sharing, or with `healthcrypt unshare`. Once you have compared the safety number again, you can share it with them anew."
      : "Ask one of its owners to remove them."
  throw new AppError(
    "NOT_ALLOWED_CHANGED_KEY",
    `The keys of ${names} have changed since you verified them. This record needs a fresh key, and nothing is given to them. ${way}`,
  )
}

/** What a joiner is owed. */
function everyKey(keys: EpochKeys): Map<number, RecordKey> {
  const all = new Map<number, RecordKey>()
  for (const [epoch, key] of keys.entries()) {
    if (key === undefined)
      throw new AppError(
        "CANNOT_OPEN",
        "Part of this record does not open for you, so you cannot give it to somebody new. Export it, import it as a new record (“As new records” on the page, or `healthcrypt import --new`), and share that one.",
      )
    all.set(epoch, key)
  }
  return all
}

/** Seals keys to exactly the keys that the member list names. */
async function grantTo(
  session: Session,
  head: ChainHead,
  me: Member,
  member: Member,
  keys: Granted["keys"],
): Promise<Uint8Array> {
  const { people, physician } = session
  const found = await people.keysOf(member.physician, member.fingerprint)
  if (found === null) throw new AppError("TAMPERED_IDENTITY")
  const place = {
    record: head.record,
    granter: physician,
    granterFingerprint: me.fingerprint,
    recipient: member.physician,
    recipientFingerprint: member.fingerprint,
    seq: head.seq + 1,
    role: member.role,
  }
  return sealGrant(await importRecipient(found.sealKey), place, { by: session.fullName, keys })
}

/** Whether somebody is left who can always decide about a record: an owner until some day is none from then on. */
export function keepsOwner(before: readonly Member[], after: readonly Member[]): boolean {
  const lasting = ({ role, until }: Member) => role === "owner" && until === undefined
  return after.some(before.some(lasting) ? lasting : ({ role }) => role === "owner")
}

function demandOwner(before: readonly Member[], after: readonly Member[]): void {
  if (!keepsOwner(before, after)) throw new AppError("NOT_ALLOWED_LAST_OWNER")
}
