import type { ColumnType } from "kysely"
import type { PhysicianId, RecordId, SegmentId, SessionId } from "../../encoding/ids.ts"
import type { Role } from "../../proof/entry.ts"
import type { LeafType, Stream } from "../../proof/leaf.ts"
import type { Carrier } from "../../protocol/accounts.ts"

/** The tables. Ids are TEXT of 22 characters; times are milliseconds since 1970; whatever is sealed or signed is a BLOB beside its
 * SHA-256 (`…_sha256`, 32 B), which `verify` recomputes. Nothing here opens anything. */
export interface Schema {
  meta: Meta
  physician: PhysicianRow
  invite: InviteRow
  usage: UsageRow
  identity: IdentityRow
  unlock: UnlockRow
  session: SessionRow
  read_mark: ReadMark
  record: RecordRow
  member: MemberRow
  entry: EntryRow
  self_grant: SelfGrantRow
  replaced_self_grant: ReplacedSelfGrantRow
  account_statement: AccountStatementRow
  replaced_keyring: ReplacedRow
  replaced_profile: ReplacedRow
  sealed_grant: SealedGrantRow
  segment: SegmentRow
  leaf: LeafRow
  node: NodeRow
  succession: SuccessionRow
}

type Bytes = Uint8Array

/** How this log goes on from another: see proof/succession.ts. */
interface SuccessionRow {
  /** 1 for the first. */
  number: number
  statement: Bytes
  statement_sha256: Bytes
  signature: Bytes
}

/** Names: `practice`, and `checkpoint` (the newest signed note). */
interface Meta {
  name: string
  value: string
}

export interface PhysicianRow {
  id: PhysicianId
  username: string
  /** What OPAQUE keeps of a password, as the library's text. */
  opaque_record: Bytes
  opaque_record_sha256: Bytes
  recovery_key: Bytes
  recovery_key_sha256: Bytes
  profile_number: number
  profile: Bytes
  profile_sha256: Bytes
  /** The account statement that stands for it, as all three are; null for one of version 0.2. */
  profile_statement: Bytes | null
  profile_statement_sha256: Bytes | null
  profile_signature: Bytes | null
  keyring_number: number
  keyring: Bytes
  keyring_sha256: Bytes
  keyring_statement: Bytes | null
  keyring_statement_sha256: Bytes | null
  keyring_signature: Bytes | null
  created: number
  /** Since when whoever runs the server lets them do nothing; null where they may. */
  suspended: number | null
}

/** What a physician has stored, and added to the log within the hour that was counted last: for quotas, which nobody else relies on. */
interface UsageRow {
  physician: PhysicianId
  bytes: number
  records: number
  /** Hours since 1970. */
  hour: number
  leaves: number
  /** Leaves for reads and exports, which the number before leaves out. */
  acts: number
}

/** A code with which one physician can sign up. It goes when it is used, or has expired. */
interface InviteRow {
  /** SHA-256 of the 16 bytes that only whoever was invited has, as base64url. */
  code_hash: string
  created: number
  expires: number
}

/** An account statement, and the physician's signature; null for what version 0.2 stored. */
interface StatementColumns {
  statement: Bytes | null
  statement_sha256: Bytes | null
  signature: Bytes | null
}

/** A keyring or profile that another has replaced: the ten newest, and one a day for a month. */
export interface ReplacedRow extends StatementColumns {
  physician: PhysicianId
  number: number
  token: Bytes
  token_sha256: Bytes
  /** When, milliseconds. */
  replaced: number
}

/** What self-grants are signed with, one for all of a request. */
interface AccountStatementRow {
  physician: PhysicianId
  statement: Bytes
  statement_sha256: Bytes
  signature: Bytes
}

interface IdentityRow {
  physician: PhysicianId
  seq: number
  statement: Bytes
  statement_sha256: Bytes
  signature: Bytes
}

interface UnlockRow {
  physician: PhysicianId
  method: string
  generation: number
  token: Bytes
  token_sha256: Bytes
}

export interface SessionRow {
  /** SHA-256 of the cookie's or bearer's 32 bytes, as base64url. */
  token_hash: string
  id: SessionId
  physician: PhysicianId
  /** 32 B for a browser, until it locks. */
  half: Bytes | null
  half_sha256: Bytes | null
  created: number
  touched: number
  expires: number
  /** SHA-256 of the page's 32 bytes, as base64url; null for a program. */
  page_hash: string | null
  /** When OPAQUE or a recovery signature last succeeded. */
  proven: number
  carrier: Carrier
}

/** Which records a session has an act leaf `read` for. */
interface ReadMark {
  session: SessionId
  record: RecordId
}

export interface RecordRow {
  id: RecordId
  head_seq: number
  head_hash: Bytes
  head_leaf: number
  /** encodeChainHead of the newest entry: what the next one is checked against. */
  chain: string
}

/** Everybody who is or was a member, derived from the chain and from `accept` leaves, for finding a physician's records. At most one
 * of `accepted` and `removed` is set. */
export interface MemberRow {
  record: RecordId
  physician: PhysicianId
  /** null for one who was removed, or left */
  role: Role | null
  /** When the membership runs out, milliseconds. */
  until: number | null
  /** The seq of the entry that named them last while they had not accepted: `open` for its author. */
  invited: number
  /** The author of that entry, */
  inviter: PhysicianId
  /** and its leaf. */
  invited_leaf: number
  /** The leaf of their `accept`, or of the entry by which they opened the record; null while invited and once removed. */
  accepted: number | null
  /** The leaf of the entry that took away what they had accepted: their feed ends with it, until they accept again. */
  removed: number | null
}

export interface EntryRow {
  record: RecordId
  seq: number
  author: PhysicianId
  kind: string
  epoch: number
  statement: Bytes
  statement_sha256: Bytes
  signature: Bytes
  /** The index of its leaf. */
  leaf: number
  summary: Bytes | null
  summary_sha256: Bytes | null
  body: Bytes | null
  body_sha256: Bytes | null
}

/** What the entry `seq` granted a member: enc ‖ ct. */
export interface SealedGrantRow {
  record: RecordId
  seq: number
  recipient: PhysicianId
  token: Bytes
  token_sha256: Bytes
}

export interface SelfGrantRow {
  physician: PhysicianId
  record: RecordId
  epoch: number
  token: Bytes
  token_sha256: Bytes
  /** Hash of the account statement that lists it; null for one that came with its author's own entry, or from version 0.2. */
  signed: Bytes | null
}

/** A self-grant that another has replaced: should the newest not open. */
interface ReplacedSelfGrantRow extends SelfGrantRow {
  /** When, milliseconds. */
  replaced: number
}

interface SegmentRow extends StatementColumns {
  id: SegmentId
  physician: PhysicianId
  token: Bytes
  token_sha256: Bytes
  created: number
}

/** What each leaf of the log was made from; `data` is the 64 bytes that were hashed. */
export interface LeafRow {
  idx: number
  data: Bytes
  salt: Bytes
  subject: string
  stream: Stream
  number: number
  type: ColumnType<LeafType>
  time: number
  actor: string
  statement_hash: Bytes
}

/** Complete subtrees of the log, leaves (level 0) included. */
export interface NodeRow {
  level: number
  idx: number
  hash: Bytes
}
