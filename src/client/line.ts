import { encodeBase64url } from "../encoding/base64.ts"
import { equal } from "../encoding/bytes.ts"
import { AppError } from "../errors.ts"
import { openNote, type TreeHead } from "../proof/checkpoint.ts"
import { leafData } from "../proof/leaf.ts"
import { leafHash, verifyConsistency, verifyInclusion } from "../proof/merkle.ts"
import type { Signed } from "../proof/statement.ts"
import { type SignedSuccession, sameLog, successionLeaf, verifySuccessions } from "../proof/succession.ts"
import type { PracticeReply } from "../protocol/accounts.ts"
import { readSuccessions } from "../protocol/log.ts"
import { paths } from "../protocol/paths.ts"
import type { Transport } from "./transport.ts"

/** A practice's restores, oldest first: how its first log led to the one that it has. Empty where there was none. */
export type Line = readonly SignedSuccession[]

/** What a server says of its restores, with everything proved that can be: each is signed by the key of the log that it goes on from, the
 * newest leads to the log that the server has, and that log holds the leaves that were kept and the leaf that binds each.
 * Nothing here says that a physician wants it. @throws TAMPERED_LOG */
export async function fetchLine(
  transport: Transport,
  practice: Pick<PracticeReply, "practice" | "origin" | "logKey">,
): Promise<{ readonly line: Line; readonly tree: TreeHead }> {
  const reply = await transport.call("GET", paths.successions, { query: { since: 0 }, reply: readSuccessions.reply })
  const tree = await openNote(reply.log.checkpoint, practice.origin, practice.logKey)
  const line = await verifySuccessions(reply.successions)
  const newest = line.at(-1)
  if (newest !== undefined) demand(sameLog(newest.to, practice))
  for (const [i, one] of line.entries()) {
    const { leaf, inclusion, consistency } = reply.successions[i]!
    demand(one.practice === practice.practice && leaf.index === one.kept.size)
    const hash = leafHash(leafData({ ...successionLeaf(one), salt: leaf.salt, time: leaf.time }))
    demand(verifyInclusion(hash, leaf.index, tree.size, inclusion, tree.root))
    demand(verifyConsistency(one.kept.size, one.kept.root, tree.size, tree.root, consistency))
  }
  return { line, tree }
}

/** Reads what was kept of a line. @throws CANNOT_OPEN */
export async function readLine(signed: readonly Signed[]): Promise<Line> {
  return verifySuccessions(signed).catch((cause: unknown) => {
    throw new AppError("CANNOT_OPEN", undefined, { cause })
  })
}

/** A line as it is kept. */
export function signedOf(line: Line): Signed[] {
  return line.map(({ statement, signature }) => ({ statement, signature }))
}

/** How many restores two lines have in common. */
export function inCommon(a: Line, b: Line): number {
  const apart = a.findIndex((one, i) => b[i] === undefined || !equal(one.hash, b[i].hash))
  return apart < 0 ? a.length : apart
}

export function sameLine(a: Line, b: Line): boolean {
  return a.length === b.length && inCommon(a, b) === a.length
}

/** What two lines' logs have in common: the smallest tree that was kept since they went apart; null where neither went on. */
export function keptSince(a: Line, b: Line): TreeHead | null {
  const from = inCommon(a, b)
  return [...a.slice(from), ...b.slice(from)].reduce<TreeHead | null>(
    (least, { kept }) => (least === null || kept.size < least.size ? kept : least),
    null,
  )
}

/** The first leaf that `b`'s log has of its own since the two went apart: what lies between is from before its restores, though `a`'s log was
 * without it; null where neither went on. */
export function apartSince(a: Line, b: Line): number | null {
  const from = inCommon(a, b)
  const after = b.length > from ? b.slice(from) : a.slice(from)
  return after.length === 0 ? null : Math.min(...after.map(({ kept }) => kept.size))
}

/** A name for what a device keeps of one log. */
export function lineName(line: Line): string {
  const newest = line.at(-1)
  return newest === undefined ? "0" : encodeBase64url(newest.hash.subarray(0, 16))
}

function demand(holds: boolean): void {
  if (!holds) throw new AppError("TAMPERED_LOG")
}
