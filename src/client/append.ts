import { sha256 } from "#sha256"
import { encodeSummary, type Summary } from "../clinical/summary.ts"
import type { PhysicianId, RecordId } from "../encoding/ids.ts"
import { AppError } from "../errors.ts"
import { type ChainHead, settledBy } from "../proof/chain.ts"
import { type EntryStatement, encodeEntry } from "../proof/entry.ts"
import { statementHash } from "../proof/statement.ts"
import type { RecordKey } from "../vault/keys.ts"
import { entryPlace, selfGrantPlace, summaryPlace } from "../vault/places.ts"
import { seal } from "../vault/seal.ts"
import type { Again } from "./own-entry.ts"
import { sendOwn } from "./send-own.ts"
import type { Session } from "./session.ts"

/** What an entry of this physician's says beyond its place in the chain. */
export type Act = Pick<EntryStatement, "kind"> & Partial<Pick<EntryStatement, "epoch" | "members" | "keyCommit">>

/** What comes along, still to be sealed. */
export interface Contents {
  readonly body?: Uint8Array
  /** Deflate the body: for what one author chose all at once. */
  readonly compress?: boolean
  readonly summary?: Summary
  readonly grants?: readonly { readonly recipient: PhysicianId; readonly grant: Uint8Array }[]
  /** What the entry stands for, where it sends again what a restore took back. */
  readonly again?: Again | undefined
  /** Who began the record, where it is there already. */
  readonly beganBy?: PhysicianId
}

/** What was appended, with the receipt checked. */
export interface Appended {
  readonly entry: EntryStatement
  readonly head: ChainHead
  readonly bodyToken: Uint8Array | null
  /** The server's time, milliseconds since 1970. */
  readonly serverTime: number
}

/** Seals, signs and appends one entry on top of `before`.
 * @param key the record key of the entry's epoch. It is sealed to the physician themself where the entry begins that epoch.
 * @throws CONFLICT_HEAD when the record has moved on; nothing is stored then */
export async function append(
  session: Session,
  record: RecordId,
  before: ChainHead | null,
  key: RecordKey,
  act: Act,
  contents: Contents,
): Promise<Appended> {
  const { physician, signer, pins, around } = session
  const seq = before === null ? 0 : before.seq + 1
  const epoch = act.epoch ?? before?.epoch ?? 0
  const now = around.now()
  const { body, summary, grants, again } = contents
  const [bodyToken, summaryToken] = await Promise.all([
    body && seal(key, entryPlace(record, epoch, seq, physician), body, { now, compress: contents.compress === true }),
    summary && seal(key, summaryPlace(record, epoch, seq), encodeSummary(summary), { now }),
  ])
  const entry: EntryStatement = {
    v: 1,
    suite: "F1",
    record,
    seq,
    ...(before === null ? {} : { prev: before.hash }),
    ...act,
    epoch,
    author: physician,
    time: now,
    seen: { size: pins.tree.size, root: pins.tree.root },
    ...(bodyToken && { body: { hash: sha256(bodyToken), size: bodyToken.length } }),
    ...(summaryToken && { summary: { hash: sha256(summaryToken), size: summaryToken.length } }),
    ...(grants && { grants: grants.map(({ recipient, grant }) => ({ recipient, hash: sha256(grant) })) }),
  }
  const statement = encodeEntry(entry)
  const begins = act.keyCommit !== undefined
  const place = selfGrantPlace(physician, record, epoch)
  const sent = {
    statement,
    signature: await signer.sign("entry", statement),
    ...(bodyToken && { body: bodyToken }),
    ...(summaryToken && { summary: summaryToken }),
    ...(begins && { selfGrant: await seal(session.key, place, key, { exact: true, now }) }),
    ...(grants && { grants: [...grants] }),
  }
  const hash = statementHash(statement)
  const own = { record, seq, time: now, hash, sent }
  const beganBy = before === null ? physician : contents.beganBy
  const kept = { ...own, ...(body && { body }), ...(body && beganBy && { beganBy }), ...(again && { again }) }
  const { leaf } = await sendOwn(session, kept)
  const head = { ...follow(before, entry), hash, leaf: leaf.index }
  return { entry, head, bodyToken: bodyToken ?? null, serverTime: leaf.time }
}

/** The head after an entry of one's own making: what `extendChain` would come to. */
function follow(before: ChainHead | null, entry: EntryStatement): Omit<ChainHead, "hash" | "leaf"> {
  const members = entry.members ?? before?.members
  if (members === undefined) throw new AppError("TAMPERED_CHAIN")
  const commits = new Map(before?.commits)
  if (entry.keyCommit !== undefined) commits.set(entry.epoch, entry.keyCommit)
  const settled = settledBy(before, entry)
  const stays = members.some((member) => member.physician === entry.author)
  return {
    record: entry.record,
    seq: entry.seq,
    epoch: entry.epoch,
    members,
    commits,
    mustRaise: !stays,
    ...(settled === undefined ? {} : { settled }),
    seen: new Map(before?.seen).set(entry.author, entry.seen),
  }
}
