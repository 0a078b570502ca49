import { z } from "zod"
import { encodeBase64url } from "../encoding/base64.ts"
import { equal } from "../encoding/bytes.ts"
import { isId, type PhysicianId, type RecordId } from "../encoding/ids.ts"
import { parseEntry } from "../proof/entry.ts"
import { anyBytes, bytesOf, count } from "../proof/statement.ts"
import type { Former } from "./kept.ts"

const physicianId = z.custom<PhysicianId>(isId)
const recordId = z.custom<RecordId>(isId)

const again = z.strictObject({
  /** How many restores this device had taken when the first of these was written. */
  restores: count,
  /** The entries of former logs that it stands for, the last one first. */
  was: z.array(z.strictObject({ record: recordId, seq: count, hash: bytesOf(32) })).min(1),
})

const sentParts = z.strictObject({
  statement: anyBytes,
  signature: anyBytes,
  body: anyBytes.optional(),
  summary: anyBytes.optional(),
  selfGrant: anyBytes.optional(),
  grants: z.array(z.strictObject({ recipient: physicianId, grant: anyBytes })).optional(),
})

export const ownEntry = z.strictObject({
  /** Its leaf has this index at most. Left out until it was seen in the log. */
  leaf: count.optional(),
  record: recordId,
  seq: count,
  /** When it was sent last: milliseconds since 1970. When it was written stands in its statement. */
  time: count,
  /** SHA-256 of its statement: what it is known by. */
  hash: bytesOf(32),
  /** What the request by which it was sent carries. */
  sent: sentParts,
  /** What was sealed into its body: where it carries one. */
  body: anyBytes.optional(),
  /** Who began the record: where the entry carries a body. */
  beganBy: physicianId.optional(),
  /** Left out where the physician wrote it in this log. */
  again: again.optional(),
  /** The server said last that it did not take it, and nothing else was seen of it so far. */
  refused: z.literal(true).optional(),
})

/** An entry of this physician's own, as this device sent it. */
export type OwnEntry = z.output<typeof ownEntry>

/** What an entry that is sent again, unchanged or anew, stands for. */
export type Again = z.output<typeof again>

/** What an own entry is known by, as text. */
export function keyOf({ hash }: Pick<OwnEntry, "hash">): string {
  return encodeBase64url(hash)
}

/** What an entry of a former log is, as one that is sent again. The physician wrote it when its first one was written. */
export function againOf({ record, seq, hash, again }: OwnEntry, restores: number): Again {
  const was = (again?.was ?? []).filter((one) => !equal(one.hash, hash))
  return { restores: again?.restores ?? restores, was: [{ record, seq, hash }, ...was] }
}

/** Whether `own` is this entry, or was made of it. */
export function standsFor(own: Pick<OwnEntry, "hash" | "again">, { hash }: Pick<OwnEntry, "hash">): boolean {
  return equal(own.hash, hash) || (own.again?.was.some((one) => equal(one.hash, hash)) ?? false)
}

/** By when the physician wrote them. */
export function order(a: Again, b: Again): number {
  return a.restores - b.restores || a.was.at(-1)!.seq - b.was.at(-1)!.seq
}

/** Whether what was sent was never taken, by what else the device knows of its log. */
export function wasRefused(own: OwnEntry, former: Pick<Former, "own" | "heads">): boolean {
  return wasTaken(own, former) === false
}

/** Whether nothing but the server's refusal is known of an entry. It is nobody's to send but the physician's. */
export function isRefusedAlone(own: OwnEntry, former: Pick<Former, "own" | "heads">): boolean {
  return own.refused === true && wasTaken(own, former) === null
}

/** What else the device knows of an entry's log says of it: `null` where that is nothing. */
function wasTaken(own: OwnEntry, { own: all, heads }: Pick<Former, "own" | "heads">): boolean | null {
  if (own.leaf !== undefined) return true
  const known = all.filter(({ record }) => record === own.record)
  const head = heads.find(({ record }) => record === own.record)
  if (head?.seq === own.seq) return head.hash === keyOf(own)
  if (known.some(({ seq, leaf }) => seq === own.seq && leaf !== undefined)) return false
  // Whatever became of that one: it was made on a head that was verified.
  const next = known.find(({ seq }) => seq === own.seq + 1)
  return next === undefined ? null : equal(entryOf(next).prev ?? new Uint8Array(0), own.hash)
}

export function entryOf({ sent }: OwnEntry) {
  return parseEntry(sent.statement)
}

/** How much of a device it takes, but for a few bytes. */
export function sizeOf({ sent, body }: OwnEntry): number {
  const { statement, summary, body: token, grants = [] } = sent
  const parts = [statement, token, summary, body, ...grants.map(({ grant }) => grant)]
  return parts.reduce((sum, part) => sum + (part?.length ?? 0), 0)
}
