import type { Id, PhysicianId, RecordId } from "../../encoding/ids.ts"
import type { LeafType, Stream } from "../../proof/leaf.ts"
import type { StoreContext } from "./context.ts"
import { prepare } from "./prepared.ts"
import type { ActivityReply, ActivityStore } from "./store.ts"

const leavesAtMost = 200

/** The streams that speak of a subject, and what is only said of the others. */
interface Kind {
  readonly streams: readonly Stream[]
  readonly never: readonly LeafType[]
}

const ofRecord: Kind = { streams: ["entry", "act"], never: ["sign-in", "recover", "end-session", "admin"] }
const ofAccount: Kind = { streams: ["identity", "keyring", "act"], never: ["read", "export", "accept"] }

/** What the log says of one subject. */
export function activityStore({ reader, tree }: StoreContext): ActivityStore {
  const newestUpTo = prepare<{ subject: Id; stream: Stream; number: number }, { number: number; idx: number }>((p) =>
    reader
      .selectFrom("leaf")
      .select(["number", "idx"])
      .where("subject", "=", p.subject)
      .where("stream", "=", p.stream)
      .where("number", "<=", p.number)
      .orderBy("number", "desc")
      .limit(1),
  )

  /** All leaves of a stream that lie below `before` have this number or a lower one, and no others have. Numbers and places go up
   * together, so halving finds it, and nothing that is newer has to be passed over. */
  const lastBelow = async (subject: Id, stream: Stream, before: number): Promise<number> => {
    const newest = async (number: number) => (await newestUpTo(reader, { subject, stream, number })).rows[0]
    const last = await newest(Number.MAX_SAFE_INTEGER)
    if (last === undefined || last.idx < before) return last?.number ?? -1
    let low = -1
    let high = last.number - 1
    while (low < high) {
      const middle = Math.ceil((low + high) / 2)
      const leaf = await newest(middle)
      if (leaf === undefined || leaf.idx < before) low = middle
      else high = leaf.number - 1
    }
    return low
  }

  /** Newest first is the index's own order, backwards. */
  const newest = async (subject: Id, stream: Stream, never: readonly LeafType[], before: number, limit: number) =>
    reader
      .selectFrom("leaf")
      .select(["idx", "time", "salt", "stream", "type", "number", "actor", "statement_hash"])
      .where("subject", "=", subject)
      .where("stream", "=", stream)
      .where("number", "<=", await lastBelow(subject, stream, before))
      .where("type", "not in", never)
      .orderBy("number", "desc")
      .limit(limit)
      .execute()

  const read = async (
    subject: Id,
    { streams, never }: Kind,
    before: number,
    limit: number,
    pinned: number,
  ): Promise<ActivityReply> => {
    const state = tree.state
    const atMost = Math.min(limit, leavesAtMost)
    const below = Math.min(before, state.size)
    const found = await Promise.all(streams.map((stream) => newest(subject, stream, never, below, atMost + 1)))
    const rows = found.flat().sort((a, b) => b.idx - a.idx)
    const shown = rows.slice(0, atMost)
    const proofs = await tree.inclusions(
      shown.map((row) => row.idx),
      state,
    )
    return {
      leaves: shown.map(({ idx, actor, statement_hash: statementHash, ...row }, i) => ({
        ...row,
        index: idx,
        actor: actor as PhysicianId,
        statementHash,
        inclusion: proofs[i]!,
      })),
      more: rows.length > atMost,
      log: await tree.logState(pinned, state),
    }
  }

  return {
    recordActivity: (record: RecordId, ...page) => read(record, ofRecord, ...page),
    accountActivity: (physician, ...page) => read(physician, ofAccount, ...page),
  }
}
