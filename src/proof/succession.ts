import { z } from "zod"
import { sha256 } from "#sha256"
import { concat, equal } from "../encoding/bytes.ts"
import { context } from "../encoding/context.ts"
import { type Id, idBytes, type PracticeId } from "../encoding/ids.ts"
import { AppError } from "../errors.ts"
import { logOrigin } from "./checkpoint.ts"
import type { Leaf } from "./leaf.ts"
import { checkPublicKey, verifyStatement } from "./signature.ts"
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
import { stretchedDigits } from "./stretched.ts"

/** More than anybody restores; numbers of keyrings stay far below 2^53. */
const successionsAtMost = 1024
const head = z.strictObject({ size: count, root: bytesOf(32) })
const log = z.strictObject({ origin: z.string().min(1).max(200), logKey: bytesOf(32) })
const schema = z.strictObject({
  v: z.literal(1),
  practice: idOf<"practice">(),
  /** 1 for the first of a practice. */
  number: z.int().min(1).max(successionsAtMost),
  from: log,
  /** What was kept of the old log: the backup's tree. */
  kept: head,
  /** The largest tree of the old log that whoever restored knew of; not smaller than `kept`. */
  known: head,
  to: log,
  time: moment,
})

/** A practice's log was put back to an earlier state and goes on under another name and another key. Signed by the old key under the
 * label `succession`. Format: docs/formats/succession.md */
export type Succession = z.output<typeof schema>

/** A log by its name and key. */
export type LogName = z.output<typeof log>

export interface SignedSuccession extends Signed, Succession {
  /** hash of the statement, 32 B */
  readonly hash: Uint8Array
}

/** Keyrings after the k-th succession are numbered from k · 2^32. */
export const keyringStep = 2 ** 32

/** The number of the keyring that follows another, in a log that came to be by so many restores. It goes by the log alone: two restores of one
 * backup use the same numbers, and no number says which of them is the later. */
export function nextKeyring(before: number, successions: number): number {
  return Math.max(before + 1, successions * keyringStep)
}

/** The name of a log that goes on after a restore. @param n random, so that two restores of one backup have two names */
export function succeedingOrigin(practice: PracticeId, n: Id): string {
  return `${logOrigin(practice)}/${n}`
}

/** Whether a log can be called so in this practice: by its first name, or by one that a restore gave it. */
export function isOriginOf(practice: PracticeId, origin: string): boolean {
  const first = logOrigin(practice)
  return (
    origin === first || (origin.startsWith(`${first}/`) && /^[A-Za-z0-9_-]{22}$/.test(origin.slice(first.length + 1)))
  )
}

/** @throws BAD_INPUT_STATEMENT */
export function encodeSuccession(succession: Succession): Uint8Array<ArrayBuffer> {
  return encodeStatement(schema, succession)
}

/** Reads a succession and verifies that the old log's key signed it. Whether that key is the one that is known is for the caller to see.
 * @throws TAMPERED_LOG for whatever is none */
export async function verifySuccession({ statement, signature }: Signed): Promise<SignedSuccession> {
  try {
    const succession = parseStatement(schema, statement)
    const { practice, from, to, kept, known } = succession
    checkPublicKey(from.logKey)
    checkPublicKey(to.logKey)
    await verifyStatement("succession", from.logKey, statement, signature)
    const apart = from.origin !== to.origin && !equal(from.logKey, to.logKey)
    const named = isOriginOf(practice, from.origin) && isOriginOf(practice, to.origin)
    const bound = kept.size < known.size || (kept.size === known.size && equal(kept.root, known.root))
    if (!apart || !named || !bound) throw new AppError("TAMPERED_LOG")
    return { ...succession, statement, signature, hash: statementHash(statement) }
  } catch (cause) {
    throw new AppError("TAMPERED_LOG", undefined, { cause })
  }
}

/** The leaf that binds a succession: the first one after what was kept. Its subject is the practice. */
export function successionLeaf({ practice, number, hash }: SignedSuccession): Omit<Leaf, "salt" | "time"> {
  const subject = practice as Id
  return { subject, stream: "succession", number: number - 1, type: "succession", actor: subject, statementHash: hash }
}

/** What whoever restored tells the physicians, and they type: 30 digits.
 * m = SHA-256(CTX(succession-code, practice, known size, known root, kept size, kept root, new origin, new key)); stretched from
 * u16be 0 ‖ m ‖ practice, with m. */
export function successionCode({ practice, known, kept, to }: Succession): string {
  const id = idBytes(practice)
  const fields = [id, known.size, known.root, kept.size, kept.root, to.origin, to.logKey]
  const bound = sha256(context("succession-code", ...fields))
  return stretchedDigits(concat(new Uint8Array(2), bound, id), bound)
}

/** Digits in groups of five, as they are read out. */
export function inGroups(digits: string): string {
  return digits.replace(/(\d{5})(?=\d)/g, "$1 ")
}

/** Digits as somebody typed them, without what stands between; null unless there are thirty. */
export function parseDigits(text: string): string | null {
  const digits = text.replace(/[\s.,;:-]/g, "")
  return /^\d{30}$/.test(digits) ? digits : null
}

/** Demands what whoever restored tells. It is computed here, and never shown. @throws BAD_INPUT_RESTORE_CODE */
export function demandSuccessionCode(newest: Succession, typed: string): void {
  const digits = parseDigits(typed)
  if (digits === successionCode(newest)) return
  const count = typed.replace(/\D/g, "").length
  const said = count === 1 ? "This is 1 digit" : `These are ${count} digits`
  // What is read to them again would not mend a digit that was left out.
  throw new AppError(
    "BAD_INPUT_RESTORE_CODE",
    count === 30 ? undefined : `${said}; the code has 30. Nothing was changed.`,
  )
}

/** Demands that successions follow each other, each from the log that the one before led to. @throws TAMPERED_LOG */
export async function verifySuccessions(signed: readonly Signed[]): Promise<SignedSuccession[]> {
  const all = await Promise.all(signed.map(verifySuccession))
  for (const [i, one] of all.entries()) {
    const before = all[i - 1]
    const follows =
      before === undefined
        ? one.from.origin === logOrigin(one.practice)
        : sameLog(before.to, one.from) && before.practice === one.practice && one.kept.size > before.kept.size
    if (!follows || one.number !== i + 1) throw new AppError("TAMPERED_LOG")
  }
  return all
}

export function sameLog(a: LogName, b: LogName): boolean {
  return a.origin === b.origin && equal(a.logKey, b.logKey)
}
