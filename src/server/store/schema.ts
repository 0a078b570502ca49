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
  identity: IdentityRow
  unlock: UnlockRow
  session: SessionRow
  read_mark: ReadMark
  record: RecordRow
  member: MemberRow
  entry: EntryRow
  self_grant: SelfGrantRow
  sealed_grant: SealedGrantRow
  segment: SegmentRow
  leaf: LeafRow
  node: NodeRow
}

type Bytes = Uint8Array

/** Names: `practice`, and `checkpoint` (the newest signed note). */
interface Meta {
  name: string
  value: string
}

interface PhysicianRow {
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
  keyring_number: number
  keyring: Bytes
  keyring_sha256: Bytes
  created: number
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
}

interface SegmentRow {
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
