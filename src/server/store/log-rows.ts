import type { Insertable } from "kysely"
import type { Id } from "../../encoding/ids.ts"
import type { Leaf, Stream } from "../../proof/leaf.ts"
import type { MerkleNode } from "../../proof/merkle.ts"
import type { LeafInfo } from "../../protocol/log.ts"
import type { Db } from "./connection.ts"
import { type Prepared, prepare } from "./prepared.ts"
import type { LeafRow, NodeRow } from "./schema.ts"

/** So many rows go into one statement, then half as many, and so on: a handful of statements serve every count. */
const rowsAtOnce = 32

/** Writes what each batch adds to the log. */
export interface LogRows {
  /** @param first the index of the first leaf; @param data the 64 bytes of each. */
  insertLeaves(db: Db, first: number, leaves: readonly Leaf[], data: readonly Uint8Array[]): Promise<void>
  insertNodes(db: Db, nodes: readonly MerkleNode[]): Promise<void>
  /** Keeps the newest signed checkpoint. */
  putCheckpoint(db: Db, note: string): Promise<void>
}

export function logRows(db: Db): LogRows {
  const leaf = manyRows<Insertable<LeafRow>>((rows) => db.insertInto("leaf").values(rows), leafColumns)
  const node = manyRows<NodeRow>((rows) => db.insertInto("node").values(rows), ["level", "idx", "hash"])
  const checkpoint = prepare<{ note: string }>((p) =>
    db
      .insertInto("meta")
      .values({ name: "checkpoint", value: p.note })
      .onConflict((conflict) => conflict.column("name").doUpdateSet({ value: p.note })),
  )
  return {
    insertLeaves: (on, first, leaves, data) =>
      leaf(
        on,
        leaves.map((one, i) => ({
          idx: first + i,
          data: data[i]!,
          salt: one.salt,
          subject: one.subject,
          stream: one.stream,
          number: one.number,
          type: one.type,
          time: one.time,
          actor: one.actor,
          statement_hash: one.statementHash,
        })),
      ),
    insertNodes: (on, nodes) =>
      node(
        on,
        nodes.map(({ level, index, hash }) => ({ level, idx: index, hash })),
      ),
    putCheckpoint: async (on, note) => {
      await checkpoint(on, { note })
    },
  }
}

const leafColumns = [
  "idx",
  "data",
  "salt",
  "subject",
  "stream",
  "number",
  "type",
  "time",
  "actor",
  "statement_hash",
] as const

type Build<Row> = (rows: Row[]) => ReturnType<Parameters<typeof prepare>[0]>

/** Inserts any number of rows with statements that were compiled once for 32 rows, 16, 8, 4, 2 and 1. */
function manyRows<Row extends object>(build: Build<Row>, columns: readonly (keyof Row & string)[]) {
  const bySize = new Map<number, Prepared<Record<string, unknown>, unknown>>()
  for (let size = rowsAtOnce; size >= 1; size /= 2) {
    const names = Array.from({ length: size }, (_, row) =>
      columns.map((column) => [column, `${column} ${row}`] as const),
    )
    bySize.set(
      size,
      prepare<Record<string, unknown>>((p) =>
        build(names.map((row) => Object.fromEntries(row.map(([column, name]) => [column, p[name]])) as Row)),
      ),
    )
  }
  return async (db: Db, rows: readonly Row[]): Promise<void> => {
    for (let at = 0; at < rows.length; ) {
      let size = rowsAtOnce
      while (size > rows.length - at) size /= 2
      const values: Record<string, unknown> = {}
      for (let row = 0; row < size; row++)
        for (const column of columns) values[`${column} ${row}`] = rows[at + row]![column]
      await bySize.get(size)!(db, values)
      at += size
    }
  }
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
