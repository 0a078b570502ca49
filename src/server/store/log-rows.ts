import type { Id } from "../../encoding/ids.ts"
import type { Leaf, Stream } from "../../proof/leaf.ts"
import type { MerkleNode } from "../../proof/merkle.ts"
import type { LeafInfo } from "../../protocol/log.ts"
import type { Db } from "./connection.ts"

const rowsAtOnce = 64

/** @param first the index of the first leaf; @param data the 64 bytes of each. */
export async function insertLeaves(
  db: Db,
  first: number,
  leaves: readonly Leaf[],
  data: readonly Uint8Array[],
): Promise<void> {
  const rows = leaves.map((leaf, i) => ({
    idx: first + i,
    data: data[i]!,
    salt: leaf.salt,
    subject: leaf.subject,
    stream: leaf.stream,
    number: leaf.number,
    type: leaf.type,
    time: leaf.time,
    actor: leaf.actor,
    statement_hash: leaf.statementHash,
  }))
  for (const part of parts(rows)) await db.insertInto("leaf").values(part).execute()
}

export async function insertNodes(db: Db, nodes: readonly MerkleNode[]): Promise<void> {
  const rows = nodes.map(({ level, index, hash }) => ({ level, idx: index, hash }))
  for (const part of parts(rows)) await db.insertInto("node").values(part).execute()
}

/** Keeps the newest signed checkpoint. */
export async function putCheckpoint(db: Db, note: string): Promise<void> {
  await db
    .insertInto("meta")
    .values({ name: "checkpoint", value: note })
    .onConflict((conflict) => conflict.column("name").doUpdateSet({ value: note }))
    .execute()
}

function* parts<Row>(rows: readonly Row[]): Generator<readonly Row[]> {
  for (let at = 0; at < rows.length; at += rowsAtOnce) yield rows.slice(at, at + rowsAtOnce)
}

/** What only the subject's physicians are told of a leaf. */
export async function leafAt(db: Db, subject: Id, stream: Stream, number: number): Promise<LeafInfo> {
  const { idx, time, salt } = await db
    .selectFrom("leaf")
    .select(["idx", "time", "salt"])
    .where("subject", "=", subject)
    .where("stream", "=", stream)
    .where("number", "=", number)
    .executeTakeFirstOrThrow()
  return { index: idx, time, salt }
}
