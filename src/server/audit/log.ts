import type { Selectable } from "kysely"
import { equal } from "../../encoding/bytes.ts"
import { isId, type PracticeId } from "../../encoding/ids.ts"
import { openNote, type TreeHead } from "../../proof/checkpoint.ts"
import { type Leaf, leafData } from "../../proof/leaf.ts"
import { foldSubtrees, leafHash, nodeHash, subtrees } from "../../proof/merkle.ts"
import { nextKeyring } from "../../proof/succession.ts"
import type { Db } from "../store/connection.ts"
import type { LeafRow } from "../store/schema.ts"
import { type Findings, rowName } from "./findings.ts"
import { auditSuccessions } from "./successions.ts"

const hashBytes = 32

/** The tree as its leaves make it. */
export interface Tree {
  readonly size: number
  readonly nodes: number
  /** The root over the first `size` leaves, `null` beyond the tree. */
  rootAt(size: number): Uint8Array | null
}

/** Recomputes every leaf from what it speaks of, and every node above. */
export async function auditTree(db: Db, findings: Findings): Promise<Tree> {
  const { count } = await db
    .selectFrom("leaf")
    .select((e) => e.fn.countAll<number>().as("count"))
    .executeTakeFirstOrThrow()
  const size = Number(count)
  const leaves = new Uint8Array(size * hashBytes)
  const numbers = new Map<string, number>()
  let successions = 0
  let index = 0
  for await (const row of db.selectFrom("leaf").selectAll().orderBy("idx").stream()) {
    const name = rowName("leaf", { idx: row.idx })
    findings.demand(row.idx === index, name, "a leaf before it is missing")
    const stream = `${row.subject} ${row.stream}`
    const number = numbers.get(stream) ?? 0
    const follows =
      row.number === number || (row.stream === "keyring" && row.number === nextKeyring(number - 1, successions))
    findings.demand(follows, name, "a number of its stream was skipped")
    if (row.stream === "succession") successions++
    numbers.set(stream, row.number + 1)
    findings.demand(isMadeOf(row), name, "its data is not what its fields make")
    if (row.data instanceof Uint8Array) leaves.set(leafHash(row.data), index * hashBytes)
    index++
  }
  const levels = levelsOf(leaves)
  const nodes = await auditNodes(db, findings, levels)
  return {
    size,
    nodes,
    rootAt: (at) =>
      at > size ? null : foldSubtrees(subtrees({ from: 0, to: at }).map((place) => hashAt(levels, place)!)),
  }
}

/** Compares the newest checkpoint with the tree.
 * @param logKey 32 B; `null` leaves its signature unchecked */
export async function auditCheckpoint(
  db: Db,
  findings: Findings,
  tree: Tree,
  logKey: Uint8Array | null,
): Promise<PracticeId | null> {
  const rows = await db.selectFrom("meta").selectAll().where("name", "in", ["practice", "checkpoint"]).execute()
  const practice = rows.find((row) => row.name === "practice")?.value
  const note = rows.find((row) => row.name === "checkpoint")?.value
  if (!isId(practice)) {
    findings.tampered(rowName("meta", { name: "practice" }), "it is not a practice's id")
    return null
  }
  const row = rowName("meta", { name: "checkpoint" })
  const origin = await auditSuccessions(db, findings, practice as PracticeId, tree, logKey)
  const signed = logKey && (await findings.attempt(row, () => openNote(note ?? "", origin, logKey)))
  const head = signed ?? readUnsigned(note ?? "", origin)
  if (head === null) findings.tampered(row, "it is not a checkpoint of this log")
  else {
    findings.demand(head.size === tree.size, row, `it speaks of ${head.size} leaves, ${tree.size} are there`)
    findings.demand(equal(head.root, tree.rootAt(head.size) ?? new Uint8Array(0)), row, "its root is not the leaves'")
  }
  return practice as PracticeId
}

async function auditNodes(db: Db, findings: Findings, levels: readonly Uint8Array[]): Promise<number> {
  const expected = levels.reduce((sum, level) => sum + level.length / hashBytes, 0)
  let seen = 0
  for await (const row of db.selectFrom("node").selectAll().stream()) {
    const hash = hashAt(levels, { level: row.level, index: row.idx })
    const name = rowName("node", { level: row.level, idx: row.idx })
    findings.demand(hash !== null && row.hash instanceof Uint8Array && equal(hash, row.hash), name, "its hash is wrong")
    if (hash !== null) seen++
  }
  findings.demand(seen === expected, "node", `${expected - seen} of ${expected} nodes are missing`)
  return seen
}

function isMadeOf(row: Selectable<LeafRow>): boolean {
  const { data, salt, statement_hash: statementHash, subject, actor } = row
  if (![data, salt, statementHash].every((bytes) => bytes instanceof Uint8Array)) return false
  if (!isId(subject) || !isId(actor)) return false
  const leaf: Leaf = { ...row, subject, actor, statementHash }
  try {
    return equal(data, leafData(leaf))
  } catch {
    // A number that is none.
    return false
  }
}

/** All complete subtrees, level by level, each level's hashes in one piece. */
function levelsOf(leaves: Uint8Array): Uint8Array[] {
  const levels = [leaves]
  for (let below = leaves; below.length >= 2 * hashBytes; ) {
    const count = Math.floor(below.length / (2 * hashBytes))
    const level = new Uint8Array(count * hashBytes)
    for (let i = 0; i < count; i++) {
      const at = i * 2 * hashBytes
      const middle = at + hashBytes
      level.set(nodeHash(below.subarray(at, middle), below.subarray(middle, middle + hashBytes)), i * hashBytes)
    }
    levels.push(level)
    below = level
  }
  return levels
}

function hashAt(levels: readonly Uint8Array[], place: { level: number; index: number }): Uint8Array | null {
  const at = place.index * hashBytes
  const hash = levels[place.level]?.subarray(at, at + hashBytes)
  return hash?.length === hashBytes ? hash : null
}

/** Size and root of a checkpoint whose signature cannot be checked. */
function readUnsigned(note: string, origin: string): TreeHead | null {
  const [first, size, root] = note.split("\n")
  if (first !== origin || !/^(0|[1-9]\d{0,15})$/.test(size ?? "")) return null
  return { size: Number(size), root: Buffer.from(root ?? "", "base64") }
}
