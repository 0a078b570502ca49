import type { z } from "zod"
import type { PhysicianId, PracticeId, RecordId, SegmentId, SessionId } from "../../encoding/ids.ts"
import type { VerifiedAccount } from "../../proof/account-statement.ts"
import type { ChainHead, Link, PublicKeys } from "../../proof/chain.ts"
import type { TreeHead } from "../../proof/checkpoint.ts"
import type { LeafRange } from "../../proof/merkle.ts"
import type { Signed } from "../../proof/statement.ts"
import type { AccountReply, Carrier, formerAccount, readIdentity, UnlockSeal } from "../../protocol/accounts.ts"
import type { LogState, Receipt } from "../../protocol/log.ts"
import type {
  readActivity,
  readChanges,
  readEntries,
  readInvitations,
  readLeaves,
  readSelfGrants,
} from "../../protocol/records.ts"
import type { SuccessionStore } from "./successions.ts"

export type EntriesReply = z.output<typeof readEntries.reply>
export type ChangesReply = z.output<typeof readChanges.reply>
export type LeavesReply = z.output<typeof readLeaves.reply>
export type InvitationsReply = z.output<typeof readInvitations.reply>
export type WantedInvitations = z.output<typeof readInvitations.query>
export type ActivityReply = z.output<typeof readActivity.reply>
export type IdentityReply = z.output<typeof readIdentity.reply>
export type FormerReply = z.output<typeof formerAccount.reply>
export type SelfGrantsReply = z.output<typeof readSelfGrants.reply>

/** Everything the server keeps. A method that writes is durable when it returns; refused, it has stored nothing.
 * Every method may throw UNAVAILABLE or UNAVAILABLE_STORAGE. */
export interface Store
  extends LogStore,
    SuccessionStore,
    AccountStore,
    AccessStore,
    SessionStore,
    EntryStore,
    SharingStore,
    ActivityStore,
    TileStore,
    SegmentStore {
  /** Made at the first start, for ever. */
  readonly practice: PracticeId
  /** Whether storage refused the last write, and takes nothing since: then only reading works. */
  readOnly(): boolean
  /** What the log is called. */
  readonly origin: string
  /** The index of the leaf that binds the newest restore; -1 where there was none. */
  readonly restoredAt: number
  close(): Promise<void>
}

interface LogStore {
  /** The newest committed size and root, with the signed note. */
  treeHead(): TreeHead & { readonly note: string }
  /** The newest checkpoint, proved to hold the tree of size `since` as a prefix. */
  logState(since: number): Promise<LogState>
  /** The root at `size`, null where the log has not grown so far. */
  rootAt(size: number): Promise<Uint8Array | null>
  /** Proofs that the trees of these sizes are prefixes of that of `to` leaves, none of them larger than the log. */
  prefixes(sizes: readonly number[], to: number): Promise<Uint8Array[][]>
}

/** A registration, checked by its route. */
export interface NewPhysician {
  readonly physician: PhysicianId
  readonly username: string
  readonly opaqueRecord: string
  readonly identity: Signed
  readonly unlocks: readonly UnlockSeal[]
  readonly recoveryKey: Uint8Array
  readonly profile: SignedToken
  readonly keyring: SignedToken
}

/** A sealed token with the account statement that stands for it, verified by its route. */
export interface SignedToken {
  readonly token: Uint8Array
  readonly signed: Signed
}

/** A keyring or profile that takes the place of the one with this hash. */
export interface NextToken extends SignedToken {
  readonly physician: PhysicianId
  readonly number: number
  /** SHA-256 of the token that it replaces. */
  readonly prev: Uint8Array
}

export interface NextKeyring extends NextToken {
  /** The roster's segments that stay. */
  readonly stays: ReadonlySet<SegmentId>
  readonly since: number
}

/** Self-grants with the one account statement that lists them, in its order. */
export interface SignedGrants {
  readonly account: VerifiedAccount
  readonly signed: Signed
  readonly tokens: readonly Uint8Array[]
}

/** Ways to unlock that take the place of the stored ones of their method. */
export interface NewUnlocks {
  readonly physician: PhysicianId
  /** Stored as number `seq` of the physician's identities. */
  readonly identity: Signed
  readonly seq: number
  readonly password?: { readonly opaqueRecord: string; readonly seal: UnlockSeal }
  readonly recovery?: { readonly recoveryKey: Uint8Array; readonly seal: UnlockSeal }
  /** The session that stays when a new password ends all others. */
  readonly session: SessionId
  readonly since: number
}

type Account = Omit<AccountReply, "session">

export interface AccountStore {
  usernameTaken(username: string): Promise<boolean>
  /** null for an unknown username. */
  findCredential(username: string): Promise<Credential | null>
  /** Stores physician, identity 0, keyring 0, unlocks and a session, with two leaves, and uses an invitation's code up.
   * @param codeHash left out where none is needed. @throws CONFLICT_USERNAME, CONFLICT_EXISTS, NOT_ALLOWED_INVITATION */
  register(
    physician: NewPhysician,
    session: NewSession,
    codeHash?: string | null,
  ): Promise<{ identity: Receipt; keyring: Receipt }>
  account(physician: PhysicianId): Promise<Account>
  usernameOf(physician: PhysicianId): Promise<string>
  /** A physician's newest identity, after the one before it where there is one. */
  newestIdentities(physician: PhysicianId): Promise<Signed[]>
  /** When the log took this identity in, milliseconds; null where there is none. */
  identityTime(physician: PhysicianId, seq: number): Promise<number | null>
  unlocks(physician: PhysicianId): Promise<UnlockSeal[]>
  /** The keys behind a fingerprint, from the physician's newest identity that has it. */
  findKeys(physician: PhysicianId, fingerprint: Uint8Array): Promise<PublicKeys | null>
  /** The fingerprint of a physician's newest identity; null for an unknown physician. */
  newestFingerprint(physician: PhysicianId): Promise<Uint8Array | null>
  /** null for an unknown username. */
  findPhysician(username: string): Promise<PhysicianId | null>
  /** An identity chain, with the proof that its newest statement is in the log; null for an unknown physician. */
  readIdentity(physician: PhysicianId, since: number): Promise<IdentityReply | null>
  /** @throws CONFLICT_IDENTITY unless `seq` is the next. */
  replaceUnlocks(change: NewUnlocks): Promise<Receipt>
  keyring(physician: PhysicianId): Promise<AccountReply["keyring"]>
  /** Replaces the keyring, keeps the one before among the former ones, and drops segments that do not stay. The very same keyring again
   * is answered with its receipt. @throws CONFLICT_KEYRING unless it is the next */
  putKeyring(keyring: NextKeyring): Promise<Receipt>
  /** The same of the profile, which has no leaf. @throws CONFLICT_KEYRING unless it is the next */
  putProfile(profile: NextToken): Promise<void>
  /** What was replaced and is still kept, the newest first. */
  formerAccount(physician: PhysicianId): Promise<FormerReply>
}

interface Credential {
  readonly physician: PhysicianId
  readonly opaqueRecord: string
  readonly recoveryKey: Uint8Array
}

export interface AccessStore {
  /** Keeps an invitation's code, for one registration before `expires`. @param codeHash base64url of SHA-256 of the code */
  invite(codeHash: string, expires: number): Promise<void>
  /** Whether a code is good now. */
  isInvited(codeHash: string): Promise<boolean>
  /** Codes that nobody has used and that are still good, oldest first. */
  openInvites(): Promise<{ readonly created: number; readonly expires: number }[]>
  /** Everybody, by username. */
  accounts(): Promise<AccountState[]>
  /** From now on a physician can do nothing. @returns who; null where they were suspended already. @throws NOT_ALLOWED for nobody */
  suspend(username: string): Promise<PhysicianId | null>
  /** Takes that back; their sessions stay over. @returns who; null where they were not. @throws NOT_ALLOWED for nobody */
  resume(username: string): Promise<PhysicianId | null>
}

export interface AccountState {
  readonly username: string
  readonly created: number
  /** Since when; null where they may sign in. */
  readonly suspended: number | null
  /** By password or words, as far as the log knows. */
  readonly lastSignIn: number | null
}

export interface NewSession {
  readonly id: SessionId
  readonly physician: PhysicianId
  /** base64url of SHA-256 of the secret that the client holds. */
  readonly tokenHash: string
  /** base64url of SHA-256 of the secret that a browser's page keeps; null for a program. */
  readonly pageHash: string | null
  /** 32 B for a browser; null for a program. */
  readonly half: Uint8Array | null
  readonly carrier: Carrier
  readonly created: number
  readonly expires: number
}

export interface StoredSession extends NewSession {
  readonly touched: number
  readonly proven: number
  /** Whether its physician is suspended: then it is good for nothing. */
  readonly suspended: boolean
}

export interface SessionStore {
  /** Starts a session with an `act` leaf, in one transaction. Where storage refuses, the session is held in memory, without a leaf. @throws NOT_ALLOWED_SUSPENDED */
  startSession(session: NewSession, act: "sign-in" | "recover"): Promise<void>
  findSession(tokenHash: string): Promise<StoredSession | null>
  /** A browser's session, by the hash of its page's secret. */
  findPageSession(pageHash: string): Promise<StoredSession | null>
  touchSession(id: SessionId, time: number): Promise<void>
  /** Lock: the half is gone, the session goes on. */
  dropHalf(id: SessionId): Promise<void>
  endSession(id: SessionId): Promise<void>
  /** Newest first. */
  sessionsOf(physician: PhysicianId): Promise<StoredSession[]>
  /** Ends one of a physician's sessions with an `act` leaf. @returns false where it is not theirs */
  endSessionOf(physician: PhysicianId, id: SessionId): Promise<boolean>
  /** Ends what expired by `now` or was last touched at `touchedBefore` or earlier. */
  purgeSessions(now: number, touchedBefore: number): Promise<void>
}

/** An entry that was verified on top of `before`. */
export interface VerifiedEntry extends Link {
  readonly before: ChainHead | null
  readonly signed: Signed
  readonly body: Uint8Array | undefined
  readonly summary: Uint8Array | undefined
  /** The author's own, with whatever begins an epoch. */
  readonly selfGrant: Uint8Array | undefined
  /** Those whose hashes the statement lists. */
  readonly grants: readonly Grant[]
  readonly since: number
}

export interface Grant {
  readonly recipient: PhysicianId
  /** enc ‖ ct */
  readonly grant: Uint8Array
}

export interface ReadStretch {
  readonly record: RecordId
  readonly from: number
  readonly bodies: boolean
  /** Physicians whose bodies are left out. */
  readonly without?: readonly PhysicianId[]
  /** The tree that the client has pinned. */
  readonly since: number
  /** Milliseconds since 1970. */
  readonly now: number
}

export interface EntryStore {
  /** null for an unknown record. */
  chainHead(record: RecordId): Promise<ChainHead | null>
  /** @throws CONFLICT_HEAD unless `before` still is the record's head, CONFLICT_EXISTS for a new record with a physician's id */
  append(entry: VerifiedEntry): Promise<Receipt>
  /** The receipt of a record's head once more. */
  receiptAgain(head: ChainHead, since: number): Promise<Receipt>
  readEntries(physician: PhysicianId, stretch: ReadStretch): Promise<EntriesReply>
  /** One entry's body; null where it has none. @throws NOT_ALLOWED */
  readBody(physician: PhysicianId, record: RecordId, seq: number, now: number): Promise<Uint8Array | null>
  /** Leaves [from, to), or as many of them as one answer holds, with what proves them. */
  readLeaves(from: number, to: number, pinned: number): Promise<LeavesReply>
  readChanges(physician: PhysicianId, since: number, limit: number, pinned: number): Promise<ChangesReply>
  /** An `act` leaf; for `read` only the first in a session and record. */
  recordAct(physician: PhysicianId, session: SessionId, record: RecordId, act: "read" | "export"): Promise<void>
}

export interface SharingStore {
  /** Stores self-grants of records that the physician is a member of, each once: one that is there stays, unless an item replaces it by
   * name. Accepts the records of which every epoch has one then.
   * @returns the records that were accepted. @throws BAD_INPUT_FORMAT for an epoch that a record has not reached, CONFLICT_EXISTS for an
   * item that replaces another one than is there */
  putSelfGrants(physician: PhysicianId, grants: SignedGrants): Promise<RecordId[]>
  /** The physician's self-grants of one epoch of a record, the newest first. */
  selfGrants(physician: PhysicianId, record: RecordId, epoch: number): Promise<SelfGrantsReply["tokens"]>
  invitations(physician: PhysicianId, wanted: WantedInvitations): Promise<InvitationsReply>
  /** Members of a record who have accepted it, or opened it. */
  whoAccepted(record: RecordId): Promise<ReadonlySet<PhysicianId>>
  /** Members of a record whose accounts are suspended. */
  whoIsSuspended(record: RecordId): Promise<PhysicianId[]>
}

/** Leaves that speak of one subject, newest first, with an index below `before`. */
export interface ActivityStore {
  recordActivity(record: RecordId, before: number, limit: number, pinned: number): Promise<ActivityReply>
  accountActivity(physician: PhysicianId, before: number, limit: number, pinned: number): Promise<ActivityReply>
}

export interface TileStore {
  /** Hashes of the complete subtrees of 2^level leaves with these numbers; null unless the newest checkpoint covers them all. */
  nodeHashes(level: number, range: LeafRange): Promise<Uint8Array[] | null>
  /** The 64 bytes of each leaf; null unless the newest checkpoint covers them all. */
  leafData(range: LeafRange): Promise<Uint8Array[] | null>
}

export interface Segment {
  readonly id: SegmentId
  readonly token: Uint8Array
}

export interface SignedSegment extends Segment, SignedToken {}

export interface SegmentStore {
  /** One after the other, each read when it is asked for. */
  segments(physician: PhysicianId): AsyncIterable<Segment>
  /** The very same again changes nothing. @throws CONFLICT_EXISTS for other content, BAD_INPUT_SIZE beyond 1,024 segments */
  putSegment(physician: PhysicianId, segment: SignedSegment): Promise<void>
}
