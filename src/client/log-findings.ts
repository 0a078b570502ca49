import { encodeBase64 } from "../encoding/base64.ts"
import { equal } from "../encoding/bytes.ts"
import { AppError, type ErrorCode } from "../errors.ts"
import { type Checkpoint, openNote, type TreeHead } from "../proof/checkpoint.ts"
import type { LogIdentity } from "./log.ts"
import { encodeLogKey } from "./log-target.ts"
import { isPrefix } from "./tiles.ts"
import type { Send } from "./transport.ts"

/** Why a log was refused. */
export interface Finding {
  readonly expected: string
  readonly found: string
  /** Public facts of the log, for the evidence. */
  readonly details: Readonly<Record<string, unknown>>
}

/** What a TAMPERED error of a log has found. */
export function findingOf(error: AppError): Finding {
  const { cause } = error
  if (typeof cause === "object" && cause !== null && "expected" in cause) return cause as Finding
  return {
    expected: "A log in the form of C2SP's tlog-tiles, whole, signed by its key.",
    found: error.message,
    details: {},
  }
}

/** A refusal that says what was expected and what came. */
export function inconsistent(
  code: ErrorCode,
  expected: string,
  found: string,
  details: Finding["details"] = {},
): AppError {
  const finding: Finding = { expected, found, details }
  return new AppError(code, undefined, { cause: finding })
}

/** Opens a checkpoint of this log. @throws TAMPERED_LOG */
export async function openCheckpoint(note: string, log: LogIdentity): Promise<Checkpoint> {
  try {
    return await openNote(note, log.origin, log.logKey)
  } catch (error) {
    if (!(error instanceof AppError && error.is("TAMPERED"))) throw error
    throw inconsistent(
      error.code,
      `A checkpoint of ${log.origin}, signed by the key ${encodeLogKey(log.logKey)}.`,
      "One of another log, by another key, or none at all.",
    )
  }
}

/** Demands what can be seen of two trees without their leaves. @throws TAMPERED_ROLLBACK, TAMPERED_FORK */
export function demandSuccessor(before: TreeHead, tree: TreeHead): void {
  if (tree.size < before.size)
    throw inconsistent(
      "TAMPERED_ROLLBACK",
      `At least the ${before.size} leaves that this machine has seen.`,
      `A signed checkpoint of ${tree.size} leaves.`,
    )
  if (tree.size === before.size && !equal(tree.root, before.root))
    throw inconsistent(
      "TAMPERED_FORK",
      `The root ${encodeBase64(before.root)} of ${before.size} leaves.`,
      `Another signed root of as many leaves: ${encodeBase64(tree.root)}.`,
    )
}

/** Demands that `before` is a prefix of `tree`, by the log's hash tiles. @throws TAMPERED_FORK; TAMPERED_LOG where they are withheld */
export async function demandPrefix(send: Send, before: TreeHead, tree: TreeHead): Promise<void> {
  if (!(await isPrefix(send, before, tree))) throw forked(before, tree)
}

export function forked(before: TreeHead, tree: TreeHead): AppError {
  return inconsistent(
    "TAMPERED_FORK",
    `A tree of ${tree.size} leaves that begins with the ${before.size} that are known.`,
    `Another tree: its signed root is ${encodeBase64(tree.root)}.`,
  )
}
