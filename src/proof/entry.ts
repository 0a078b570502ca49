import { z } from "zod"
import { limits } from "../encoding/limits.ts"
import { bytesOf, count, encodeStatement, idOf, moment, parseStatement } from "./statement.ts"

const token = z.strictObject({ hash: bytesOf(32), size: count })
const role = z.enum(["owner", "writer", "reader"])
const member = z.strictObject({
  physician: idOf<"physician">(),
  fingerprint: bytesOf(32),
  role,
  until: moment.optional(),
})

const schema = z.strictObject({
  v: z.literal(1),
  suite: z.literal("F1"),
  record: idOf<"record">(),
  seq: count,
  prev: bytesOf(32).optional(),
  epoch: count,
  kind: z.enum(["open", "write", "members"]),
  author: idOf<"physician">(),
  time: moment,
  seen: z.strictObject({ size: count, root: bytesOf(32) }),
  body: token.optional(),
  summary: token.optional(),
  attachments: z
    .array(z.strictObject({ id: idOf<"attachment">(), size: count, total: count, hash: bytesOf(32) }))
    .min(1)
    .max(256)
    .optional(),
  members: z.array(member).min(1).max(limits.members).optional(),
  keyCommit: bytesOf(32).optional(),
  grants: z
    .array(z.strictObject({ recipient: idOf<"physician">(), hash: bytesOf(32) }))
    .min(1)
    .max(limits.members)
    .optional(),
})

/** The public part of one act on a record. Format: docs/formats/entry.md */
export type EntryStatement = z.output<typeof schema>
export type Member = z.output<typeof member>
export type Role = z.output<typeof role>
/** Hash and size in bytes of a token. */
export type TokenRef = z.output<typeof token>

export function encodeEntry(statement: EntryStatement): Uint8Array<ArrayBuffer> {
  return encodeStatement(schema, statement)
}

/** What was read, by the very bytes that it was read from: the feed, a chain and its leaves ask for the same. */
const read = new WeakMap<Uint8Array, EntryStatement>()

/** Reads an entry's statement. Nothing of it may be believed before `extendChain` has verified it.
 * @param statement is not written to afterwards. @throws BAD_INPUT_STATEMENT, BAD_INPUT_SIZE */
export function parseEntry(statement: Uint8Array): EntryStatement {
  const known = read.get(statement)
  if (known !== undefined) return known
  const entry = parseStatement(schema, statement)
  read.set(statement, entry)
  return entry
}
