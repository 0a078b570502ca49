import { z } from "zod"
import { sha256 } from "#sha256"
import { compare, equal } from "../encoding/bytes.ts"
import { type Id, idBytes, idFromBytes, type PhysicianId } from "../encoding/ids.ts"
import { AppError } from "../errors.ts"
import { verifyStatement } from "./signature.ts"
import {
  bytesOf,
  count,
  encodeStatement,
  idOf,
  moment,
  parseStatement,
  type Signed,
  statementHash,
} from "./statement.ts"

/** One sealed thing that an account statement stands for. */
export interface AccountItem {
  /** The physician for a keyring or a profile, the record for a self-grant, the segment for a segment. */
  readonly subject: Id
  /** The number of a keyring or profile, the epoch of a self-grant, 0 for a segment. */
  readonly number: number
  /** SHA-256 of the token that is replaced, 32 B; none where nothing is. */
  readonly prev?: Uint8Array | undefined
  /** SHA-256 of the token, 32 B. */
  readonly hash: Uint8Array
}

const subject = bytesOf(16)
const hash = bytesOf(32)

/** In the statement: [subject, number, hash] or [subject, number, prev, hash]. */
const wire = z.union([z.tuple([subject, count, hash]), z.tuple([subject, count, hash, hash])])
const item = z.codec(
  wire,
  z.custom<AccountItem>((value) => typeof value === "object" && value !== null),
  {
    decode: ([about, number, ...hashes]) => ({
      subject: idFromBytes(about),
      number,
      ...(hashes.length === 2 && { prev: hashes[0] }),
      hash: hashes.at(-1)!,
    }),
    encode: ({ subject: about, number, prev, hash: now }): z.output<typeof wire> =>
      prev === undefined ? [idBytes(about), number, now] : [idBytes(about), number, prev, now],
  },
)

const schema = z.strictObject({
  v: z.literal(1),
  suite: z.literal("F1"),
  physician: idOf<"physician">(),
  identity: count,
  what: z.enum(["keyring", "profile", "self-grants", "segments"]),
  items: z.array(item).min(1),
  time: moment,
})

/** What a physician signs for sealed things of their account that nobody could make again. A keyring's items are the keyring itself and,
 * after it, the segments that stay. Format: docs/formats/account.md */
export type AccountStatement = z.output<typeof schema>
export type AccountKind = AccountStatement["what"]

export interface VerifiedAccount extends AccountStatement {
  /** of the statement's bytes */
  readonly statementHash: Uint8Array
}

/** Items with as many bytes fit into one statement, with `prev` and all. */
export const accountItemsAtMost = 600

/** @throws BAD_INPUT_STATEMENT for items that do not belong together; BAD_INPUT_SIZE */
export function encodeAccount(statement: AccountStatement): Uint8Array<ArrayBuffer> {
  demandItems(statement)
  return encodeStatement(schema, statement)
}

/** Reads an account statement without verifying it: for one that was verified when it was stored. @throws BAD_INPUT_STATEMENT */
export function parseAccount(statement: Uint8Array): AccountStatement {
  const read = parseStatement(schema, statement)
  demandItems(read)
  return read
}

/** Items in the order in which a statement has them. */
export function sortItems(items: readonly AccountItem[]): AccountItem[] {
  return items.toSorted(order)
}

/** Verifies that a physician signed for things of this kind. It proves nothing to be the newest.
 * @param signKeyOf the public key of the physician's identity with this seq, 32 B; null where there is none
 * @throws BAD_INPUT_STATEMENT, TAMPERED_IDENTITY, TAMPERED_SIGNATURE */
export async function verifyAccount(
  { statement, signature }: Signed,
  physician: PhysicianId,
  what: AccountKind,
  signKeyOf: (seq: number) => Promise<Uint8Array | null> | Uint8Array | null,
): Promise<VerifiedAccount> {
  const read = parseAccount(statement)
  if (read.physician !== physician || read.what !== what) throw new AppError("TAMPERED_IDENTITY")
  const signKey = await signKeyOf(read.identity)
  if (signKey === null) throw new AppError("TAMPERED_IDENTITY")
  await verifyStatement("account", signKey, statement, signature)
  return { ...read, statementHash: statementHash(statement) }
}

/** Whether an item stands for exactly this token under this number. */
export function standsFor(one: AccountItem | undefined, about: Id, number: number, token: Uint8Array): boolean {
  return one?.subject === about && one.number === number && equal(one.hash, sha256(token))
}

function demandItems({ what, physician, items }: AccountStatement): void {
  const [first, ...rest] = items
  if (first === undefined) throw new AppError("BAD_INPUT_STATEMENT")
  const single = what === "keyring" || what === "profile"
  // Number 0 replaces nothing, and every other one something.
  const begins = (one: AccountItem) => (one.number === 0) === (one.prev === undefined)
  if (single && (first.subject !== physician || !begins(first))) throw new AppError("BAD_INPUT_STATEMENT")
  const listed = single ? rest : items
  if (what === "profile" && rest.length > 0) throw new AppError("BAD_INPUT_STATEMENT")
  if (what !== "self-grants" && listed.some((one) => one.number !== 0 || one.prev !== undefined))
    throw new AppError("BAD_INPUT_STATEMENT")
  for (let i = 1; i < listed.length; i++)
    if (order(listed[i - 1]!, listed[i]!) >= 0) throw new AppError("BAD_INPUT_STATEMENT")
}

function order(a: AccountItem, b: AccountItem): number {
  return compare(idBytes(a.subject), idBytes(b.subject)) || a.number - b.number
}
