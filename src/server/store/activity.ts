import type { Id, PhysicianId, RecordId } from "../../encoding/ids.ts"
import type { LeafType, Stream } from "../../proof/leaf.ts"
import type { StoreContext } from "./context.ts"
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
  /** Within a stream the leaves stand in the order of their numbers: newest first is the index's own order, backwards. */
  const newest = (subject: Id, stream: Stream, never: readonly LeafType[], before: number, limit: number) =>
    reader
      .selectFrom("leaf")
      .select(["idx", "time", "salt", "stream", "type", "number", "actor", "statement_hash"])
      .where("subject", "=", subject)
      .where("stream", "=", stream)
      .where("type", "not in", never)
      .where("idx", "<", before)
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
