import type { RecordId } from "../encoding/ids.ts"
import { AppError } from "../errors.ts"
import type { TreeHead } from "../proof/checkpoint.ts"
import type { EntryStatement } from "../proof/entry.ts"
import type { LeafInfo } from "../protocol/log.ts"
import { entriesPath } from "../protocol/paths.ts"
import { readEntries } from "../protocol/records.ts"
import type { Session } from "./session.ts"

/** One stored entry. */
export interface StoredEntry {
  readonly statement: Uint8Array
  readonly signature: Uint8Array
  readonly summary?: Uint8Array | undefined
  readonly grant?: Uint8Array | undefined
  /** Where bodies were asked for. */
  readonly body?: Uint8Array | undefined
  readonly leaf: LeafInfo
}

export interface SelfGrant {
  readonly epoch: number
  readonly token: Uint8Array
}

/** An entry that was verified and taken in. */
export interface Taken {
  readonly entry: EntryStatement
  /** of its statement */
  readonly hash: Uint8Array
  /** What its author had seen, to be proved; `null` where its hash stands below a head for which that was done. */
  readonly seen: TreeHead | null
}

export interface Stretch {
  /** The number of the first entry that is asked for. */
  readonly from: number
  /** The number of the first that is not, or infinity: then the head is, where there may be nothing new. */
  readonly to: number
  readonly bodies: boolean
}

/** Reads a record's chain page by page, and gives each entry in turn to `take`. Proves the head to be in the log, and what the authors had
 * seen to be earlier trees of it.
 * @throws NOT_ALLOWED, TAMPERED_LOG, TAMPERED_CHAIN where entries that were promised do not come; whatever `take` throws */
export async function readChain(
  session: Session,
  record: RecordId,
  { from, to, bodies }: Stretch,
  take: (stored: StoredEntry, selfGrants: readonly SelfGrant[]) => Promise<Taken>,
): Promise<void> {
  const seen: TreeHead[] = []
  let next = from
  for (let more = true; more && next < to; ) {
    const { answer, tree } = await session.log.exchange(
      (pinned) =>
        session.around.transport.call("GET", entriesPath(record), {
          query: { from: next, since: pinned.size, bodies: bodies ? "1" : "0" },
          reply: readEntries.reply,
          background: !bodies,
        }),
      (reply) => reply.log,
    )
    more = answer.more
    const last = answer.entries.at(-1)
    if (last === undefined && (more || next === 0 || to !== Number.POSITIVE_INFINITY))
      throw new AppError("TAMPERED_CHAIN")
    for (const stored of answer.entries) {
      if (stored.leaf.index >= tree.size) throw new AppError("TAMPERED_LOG")
      if (next >= to) break
      const taken = await take(stored, answer.selfGrants)
      if (taken.seen !== null) seen.push(taken.seen)
      next = taken.entry.seq + 1
      if (more || stored !== last) continue
      const { seq, author } = taken.entry
      const leaf = { subject: record, stream: "entry", type: "entry", number: seq, actor: author } as const
      session.log.checkLeaf(stored.leaf, answer.inclusion, { ...leaf, statementHash: taken.hash }, tree)
    }
  }
  await session.proveSeen(seen)
}
