import { encodeBase64 } from "../encoding/base64.ts"
import { encodeHex } from "../encoding/bytes.ts"
import type { RecordId } from "../encoding/ids.ts"
import { AppError } from "../errors.ts"
import { type Leaf, leafData } from "../proof/leaf.ts"
import { leafHash } from "../proof/merkle.ts"
import { paths, recordActivityPath } from "../protocol/paths.ts"
import { readActivity } from "../protocol/records.ts"
import type { OpenRecord } from "./open-record.ts"
import type { Session } from "./session.ts"
import type { Workspace } from "./workspace.ts"

const leavesAtOnce = 200

/** That something is in the log, verified; in plain values. */
export interface InclusionView {
  /** An entry's seq, or an identity's. */
  readonly number: number
  readonly index: number
  /** hexadecimal */
  readonly leafHash: string
  readonly size: number
  /** base64, as the checkpoint has it */
  readonly root: string
  /** hexadecimal, from the leaf's side up. RFC 9162 §2.1.3 */
  readonly inclusion: readonly string[]
}

/** Proves that one entry of a record is in the log. The record's whole chain is verified first, and the leaf is made from that.
 * @param seq null for the newest
 * @throws BAD_INPUT_FORMAT where there is no such entry; NOT_ALLOWED; TAMPERED_… */
export async function proveEntry(
  { records, session }: Workspace,
  id: RecordId,
  seq: number | null,
): Promise<InclusionView> {
  const record = await records.open(id)
  const number = seq ?? record.head.seq
  const step = record.steps[number]
  if (step === undefined)
    throw new AppError("BAD_INPUT_FORMAT", `This record has entries 0 to ${record.head.seq}. Choose one.`)
  const about = { subject: id, stream: "entry", type: "entry", number, actor: step.entry.author } as const
  return prove(session, recordActivityPath(id), { ...about, statementHash: hashOf(record, number) })
}

/** Proves that the physician's own newest identity is in the log. */
export async function proveIdentity(session: Session): Promise<InclusionView> {
  const { physician, identity } = session
  const about = {
    subject: physician,
    stream: "identity",
    type: "identity",
    number: identity.seq,
    actor: physician,
  } as const
  return prove(session, paths.activity, { ...about, statementHash: identity.hash })
}

/** SHA-256 of an entry's statement: the head's own, or the one that the next entry names. */
function hashOf(record: OpenRecord, seq: number): Uint8Array {
  const next = record.steps[seq + 1]?.entry.prev
  return next ?? record.head.hash
}

async function prove(session: Session, path: string, leaf: Omit<Leaf, "salt" | "time">): Promise<InclusionView> {
  for (let before = Number.MAX_SAFE_INTEGER, more = true; more; ) {
    const { answer, tree } = await session.log.exchange(
      (pinned) =>
        session.around.transport.call("GET", path, {
          query: { before, limit: leavesAtOnce, pinned: pinned.size },
          reply: readActivity.reply,
        }),
      (reply) => reply.log,
    )
    const found = answer.leaves.find(({ stream, number }) => stream === leaf.stream && number === leaf.number)
    if (found !== undefined) {
      session.log.checkLeaf(found, found.inclusion, leaf, tree)
      return {
        number: leaf.number,
        index: found.index,
        leafHash: encodeHex(leafHash(leafData({ ...leaf, salt: found.salt, time: found.time }))),
        size: tree.size,
        root: encodeBase64(tree.root),
        inclusion: found.inclusion.map(encodeHex),
      }
    }
    const last = answer.leaves.at(-1)
    more = answer.more && last !== undefined && last.index < before
    before = last?.index ?? 0
  }
  throw session.log.refuse("TAMPERED_LOG")
}
