import { firstSix } from "../encoding/bytes.ts"
import type { RecordId } from "../encoding/ids.ts"
import { AppError } from "../errors.ts"
import { actTypes, leafTag, noStatement } from "../proof/leaf.ts"
import { recordActivityPath } from "../protocol/paths.ts"
import { readActivity } from "../protocol/records.ts"
import { beginsAs, type LeafTags } from "./looked-leaves.ts"
import type { Session } from "./session.ts"
import type { Walk } from "./walk.ts"

/** The acts that a server names of a record, the newest first. */
interface Acts {
  /** The log as it was asked about: leaves before this one. */
  readonly to: number
  /** The index of each by its number; `null` for the number after the newest, which the log must not have. */
  readonly places: ReadonlyMap<number, number | null>
}

/** A number of a record's acts, with the only place where it may stand. */
interface Place {
  readonly record: RecordId
  readonly to: number
  readonly tag: Uint8Array
  readonly index: number | null
  /** Another whose tag begins alike. */
  readonly alike: Place | undefined
}

const pageSize = 200

/** Of records that the physician is invited to, those that the log does not have as accepted since. A server cannot keep an acceptance back:
 * it has to name every act down to the invitation, each number is to be where it says and nowhere else, and the number after the newest
 * nowhere. @param tags of the log's leaves. @throws UNAVAILABLE, NOT_ALLOWED_SESSION */
export async function notAccepted(
  session: Session,
  walks: readonly Walk[],
  tags: (from: number, to: number) => LeafTags,
): Promise<ReadonlySet<RecordId>> {
  const found = new Set<RecordId>()
  const places = new Map<number, Place>()
  let [first, end] = [Number.POSITIVE_INFINITY, 0]
  for (const { record, began, memberSince } of walks) {
    const acts = await actsSince(session, record, memberSince!).catch((error: unknown) => {
      if (error instanceof AppError && !error.is("UNAVAILABLE") && error.code !== "NOT_ALLOWED_SESSION") return null
      throw error
    })
    if (acts === null) continue
    found.add(record)
    for (const [number, index] of acts.places) {
      const tag = leafTag(record, "act", number)
      const key = firstSix(tag)
      places.set(key, { record, to: acts.to, tag, index, alike: places.get(key) })
    }
    first = Math.min(first, began)
    end = Math.max(end, acts.to)
  }
  if (found.size === 0) return found
  for await (const { index, tag } of tags(first, end))
    for (let one = places.get(firstSix(tag)); one !== undefined; one = one.alike)
      if (index < one.to && index !== one.index && beginsAs(one.tag, tag)) found.delete(one.record)
  return found
}

/** A record's acts down to the last before leaf `from`, or the first of all; `null` where the physician's acceptance is among them, or what
 * is shown does not check. */
async function actsSince({ log, around, physician }: Session, record: RecordId, from: number): Promise<Acts | null> {
  const places = new Map<number, number | null>()
  let to = Number.POSITIVE_INFINITY
  let before = Number.MAX_SAFE_INTEGER
  /** Of the act that came last. */
  let last: { readonly number: number; readonly index: number } | null = null
  const isWhole = () => last !== null && (last.number === 0 || last.index < from)
  for (let more = true; more && !isWhole(); ) {
    const { answer, tree } = await log.exchange(
      (pinned) =>
        around.transport.call("GET", recordActivityPath(record), {
          query: { before, limit: pageSize, pinned: pinned.size },
          reply: readActivity.reply,
          background: true,
        }),
      (reply) => reply.log,
    )
    to = Math.min(to, tree.size)
    for (const leaf of answer.leaves) {
      const { index, number, actor, stream, inclusion } = leaf
      if (index >= before) return null
      before = index
      if (stream !== "act" || isWhole()) continue
      const type = actTypes.find((one) => one === leaf.type)
      const isNext = last === null || number === last.number - 1
      if (type === undefined || !isNext) return null
      const act = { subject: record, stream, type, number, actor, statementHash: noStatement } as const
      if (!log.has(leaf, inclusion, act, tree) || (type === "accept" && actor === physician && index >= from))
        return null
      if (last === null) places.set(number + 1, null)
      places.set(number, index)
      last = { number, index }
    }
    if (answer.more && answer.leaves.length === 0) return null
    more = answer.more
  }
  if (last === null) places.set(0, null)
  return last === null || isWhole() ? { to, places } : null
}
