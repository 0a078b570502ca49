import { sha256 } from "#sha256"
import { concat, putU64 } from "../encoding/bytes.ts"
import { context } from "../encoding/context.ts"
import { type Id, idBytes } from "../encoding/ids.ts"

export type Stream = "entry" | "identity" | "keyring" | "act" | "succession"

/** What an `act` leaf may say. Of a record: read, export, accept. Of a physician: the others. */
export const actTypes = ["read", "export", "accept", "sign-in", "recover", "end-session", "admin"] as const

/** What happened: the stream's name, or for `act` one of {@link actTypes}. */
export type LeafType = "entry" | "identity" | "keyring" | "succession" | (typeof actTypes)[number]

/** What a leaf speaks of. Only the subject's physicians learn it; everybody may see the 64 bytes made from it. */
export interface Leaf {
  /** A record, a physician, or, of a succession, the practice. */
  readonly subject: Id
  readonly stream: Stream
  /** seq for entry and identity, the keyring's number, a running number for acts. */
  readonly number: number
  readonly type: LeafType
  /** The server's clock, milliseconds since 1970. */
  readonly time: number
  readonly actor: Id
  /** SHA-256 of the statement: for a keyring its account statement, or of one of version 0.2 its token; 32 zero bytes for an act. */
  readonly statementHash: Uint8Array
  /** 16 random bytes, so that nobody can guess what a leaf says. */
  readonly salt: Uint8Array
}

export const leafDataBytes = 64

/** What an `act` leaf says instead of a statement's hash. */
export const noStatement: Uint8Array = new Uint8Array(32)

/** The public half of a leaf: SHA-256(CTX(leaf-tag, subject, stream, number)), 32 B. */
export function leafTag(subject: Id, stream: Stream, number: number): Uint8Array<ArrayBuffer> {
  return leafTagger(stream)(idBytes(subject), number)
}

/** Makes many tags of one stream: all of a context but its subject (16 B) and number is written once. */
export function leafTagger(stream: Stream): (subject: Uint8Array, number: number) => Uint8Array<ArrayBuffer> {
  const place = context("leaf-tag", new Uint8Array(16), stream, 0)
  const subjectAt = context("leaf-tag").length + 4
  const view = new DataView(place.buffer)
  return (subject, number) => {
    place.set(subject, subjectAt)
    putU64(view, place.length - 8, number)
    return sha256(place)
  }
}

/** A leaf's data, 64 B: SHA-256(CTX(leaf-tag, subject, stream, number)) ‖ SHA-256(CTX(leaf, salt, type, time, actor, subject, number, statement hash)).
 * The tag makes a number that is used twice visible to everybody; the salt hides the rest. Format: docs/formats/log.md */
export function leafData(leaf: Leaf): Uint8Array<ArrayBuffer> {
  const subject = idBytes(leaf.subject)
  return concat(
    leafTag(leaf.subject, leaf.stream, leaf.number),
    sha256(
      context("leaf", leaf.salt, leaf.type, leaf.time, idBytes(leaf.actor), subject, leaf.number, leaf.statementHash),
    ),
  )
}
