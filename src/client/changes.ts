import type { z } from "zod"
import { sha256 } from "#sha256"
import { parseSummary, type Summary } from "../clinical/summary.ts"
import { compare, concat, equal, u64be } from "../encoding/bytes.ts"
import { idBytes, type PhysicianId, type RecordId } from "../encoding/ids.ts"
import { AppError } from "../errors.ts"
import { type ChainHead, checkToken, extendChain, type FindKeys } from "../proof/chain.ts"
import type { TreeHead } from "../proof/checkpoint.ts"
import { type EntryStatement, parseEntry } from "../proof/entry.ts"
import { paths } from "../protocol/paths.ts"
import { readChanges } from "../protocol/records.ts"
import { asSecretKey, checkCommit, type RecordKey } from "../vault/keys.ts"
import { selfGrantPlace, summaryPlace } from "../vault/places.ts"
import { open } from "../vault/seal.ts"
import { headOf, keyOf, type RosterRow, rowOf } from "./roster-row.ts"
import type { Session } from "./session.ts"

type Change = z.output<typeof readChanges.reply>["entries"][number]

export interface PinnedHead {
  readonly seq: number
  readonly hash: Uint8Array
}

export interface Pulled {
  /** Every change before this leaf index has been looked at. */
  readonly complete: number
  /** Heads that moved, each verified and with a proof that its leaf is in the log. */
  readonly rows: readonly RosterRow[]
  readonly refused: ReadonlyMap<RecordId, { readonly error: AppError; readonly statement: Uint8Array }>
  /** The heads as they stood before leaf `asOf`, where that was asked for. */
  readonly heads: ReadonlyMap<RecordId, PinnedHead>
}

/** What a walk along one record's changes carries from page to page. */
interface Walk {
  readonly keys: RecordKey[]
  head: ChainHead | null
  summary: Summary
  updated: number
  moved: boolean
  proven: boolean
  /** Of the head, once it has moved. */
  author: PhysicianId | null
  statement: Uint8Array
}

const pageSize = 1000
const blankSummary: Summary = {
  firstName: "",
  lastName: "",
  birthDate: "",
  diagnoses: [],
  patient: "",
  archived: false,
}

/** Pulls all that was appended to the physician's records from leaf `since` on, and verifies it from the heads that are known.
 * Nothing is taken in here: a head counts only once its own leaf is proved to be in the log.
 * @param asOf where the heads are wanted as they stood at an earlier leaf.
 * @throws TAMPERED_LOG when the answer does not fit the log; what is wrong with one record refuses that one alone */
export async function pullChanges(
  session: Session,
  since: number,
  known: (record: RecordId) => RosterRow | undefined,
  findKeys: FindKeys,
  options: { readonly background: boolean; readonly asOf: number },
): Promise<Pulled> {
  const walks = new Map<RecordId, Walk>()
  const refused = new Map<RecordId, { error: AppError; statement: Uint8Array }>()
  const heads = new Map<RecordId, PinnedHead>()
  let complete = since
  for (let more = true; more; ) {
    const from = complete
    const { answer, tree } = await session.log.exchange(
      (pinned) =>
        session.around.transport.call("GET", paths.changes, {
          query: { since: from, limit: pageSize, pinned: pinned.size },
          reply: readChanges.reply,
          background: options.background,
        }),
      (reply) => reply.log,
    )
    demandOrder(answer, from, tree)
    await Promise.all(
      Array.from(byRecord(answer.entries), async ([record, changes]) => {
        if (refused.has(record)) return
        try {
          const walk = walks.get(record) ?? (await startWalk(session, known(record)))
          walks.set(record, walk)
          for (const change of changes) {
            await step(session, record, walk, change, findKeys)
            if (walk.head !== null && walk.head.leaf < options.asOf)
              heads.set(record, { seq: walk.head.seq, hash: walk.head.hash })
          }
          proveHead(session, record, walk, changes.at(-1)!, tree)
        } catch (error) {
          if (!(error instanceof AppError) || error.code === "NOT_ALLOWED_SESSION") throw error
          const tampered = error.is("BAD_INPUT") ? new AppError("TAMPERED_CHAIN", undefined, { cause: error }) : error
          refused.set(record, { error: tampered, statement: changes.at(-1)!.statement })
        }
      }),
    )
    complete = answer.next
    more = answer.more
  }
  const rows: RosterRow[] = []
  for (const [record, walk] of walks) {
    if (refused.has(record) || !walk.moved || walk.head === null) continue
    if (walk.proven) rows.push(rowOf(walk.head, session.identity, walk.keys, walk.summary, walk.updated))
    else refused.set(record, { error: new AppError("TAMPERED_CHAIN"), statement: walk.statement })
  }
  return { complete, rows, refused, heads }
}

/** One hash over all heads: what a roster that has to be rebuilt is held against.
 * SHA-256 over id (16 B) ‖ u64be seq ‖ hash (32 B) of every record, sorted by id. */
export function digestHeads(heads: Iterable<readonly [RecordId, PinnedHead]>): Uint8Array<ArrayBuffer> {
  const parts = Array.from(heads, ([record, { seq, hash }]) => concat(idBytes(record), u64be(seq), hash))
  return sha256(concat(...parts.sort(compare)))
}

/** Leaves come in the log's order, under the checkpoint, and the answer says truly how far it looked. */
function demandOrder(answer: z.output<typeof readChanges.reply>, since: number, tree: TreeHead): void {
  let last = since - 1
  for (const { leaf } of answer.entries) {
    if (leaf.index <= last || leaf.index >= answer.next) throw new AppError("TAMPERED_LOG")
    last = leaf.index
  }
  const advances = answer.more ? answer.next > since : answer.next === tree.size
  if (!advances || answer.next > tree.size || answer.next < since) throw new AppError("TAMPERED_LOG")
}

async function startWalk(session: Session, row: RosterRow | undefined): Promise<Walk> {
  return {
    head: row === undefined ? null : await headOf(row, session.identity),
    keys: row === undefined ? [] : row.keys.map((_, epoch) => keyOf(row, epoch)),
    summary: row ?? blankSummary,
    updated: row?.updated ?? 0,
    moved: false,
    proven: false,
    author: null,
    statement: new Uint8Array(0),
  }
}

async function step(session: Session, record: RecordId, walk: Walk, change: Change, findKeys: FindKeys): Promise<void> {
  const { physician, key } = session
  if (walk.head !== null && isKnown(walk.head, change)) return
  const { entry, head } = await extendChain(walk.head, record, change, change.leaf.index, findKeys)
  const pin = session.pins.heads.get(record)
  if (pin?.seq === head.seq && !equal(pin.hash, head.hash)) throw new AppError("TAMPERED_CHAIN")
  if (change.selfGrant !== undefined) {
    const place = selfGrantPlace(physician, record, entry.epoch)
    const recordKey = asSecretKey<"record">(await open(key, place, change.selfGrant, { exact: true }))
    await checkCommit(recordKey, record, entry.epoch, head.commits.get(entry.epoch))
    walk.keys[entry.epoch] = recordKey
  }
  if (entry.summary !== undefined) walk.summary = await openSummary(entry, change, walk.keys)
  walk.head = head
  walk.updated = entry.time
  walk.moved = true
  walk.proven = false
  walk.author = entry.author
  walk.statement = change.statement
}

/** Whether a change is not beyond the head. @throws TAMPERED_CHAIN when it is another in the head's place */
function isKnown(head: ChainHead, { statement }: Change): boolean {
  const { seq } = parseEntry(statement)
  if (seq === head.seq && !equal(sha256(statement), head.hash)) throw new AppError("TAMPERED_CHAIN")
  return seq <= head.seq
}

/** A head has to come with the proof of its own leaf; one that is still to come may lie on the next page. */
function proveHead(session: Session, record: RecordId, walk: Walk, change: Change, tree: TreeHead): void {
  const { head, author } = walk
  if (head === null || author === null || change.inclusion === undefined) return
  if (change.leaf.index !== head.leaf) throw new AppError("TAMPERED_CHAIN")
  const leaf = { subject: record, stream: "entry", type: "entry", number: head.seq, actor: author } as const
  session.log.checkLeaf(change.leaf, change.inclusion, { ...leaf, statementHash: head.hash }, tree)
  walk.proven = true
}

async function openSummary(entry: EntryStatement, change: Change, keys: readonly RecordKey[]): Promise<Summary> {
  checkToken(entry.summary, change.summary)
  const key = keys[entry.epoch]
  if (key === undefined || change.summary === undefined) throw new AppError("CANNOT_OPEN")
  try {
    return parseSummary(await open(key, summaryPlace(entry.record, entry.epoch, entry.seq), change.summary))
  } catch (error) {
    if (error instanceof AppError && error.code === "NOT_ALLOWED_SESSION") throw error
    return blankSummary
  }
}

function byRecord(changes: readonly Change[]): Map<RecordId, Change[]> {
  const groups = new Map<RecordId, Change[]>()
  for (const change of changes) {
    const record = change.record as RecordId
    const list = groups.get(record)
    if (list === undefined) groups.set(record, [change])
    else list.push(change)
  }
  return groups
}
