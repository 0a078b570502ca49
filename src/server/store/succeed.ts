import { randomBytes } from "node:crypto"
import { sha256 } from "#sha256"
import { parseId } from "../../encoding/ids.ts"
import { AppError } from "../../errors.ts"
import type { TreeHead } from "../../proof/checkpoint.ts"
import { leafData } from "../../proof/leaf.ts"
import {
  encodeSuccession,
  type LogName,
  type SignedSuccession,
  successionLeaf,
  verifySuccession,
} from "../../proof/succession.ts"
import type { SignCheckpoint } from "../deps.ts"
import { openSqlite } from "./connection.ts"
import { logRows } from "./log-rows.ts"
import { nodeLoader } from "./node-cache.ts"
import { openTree, practiceOf } from "./sqlite.ts"
import { storedSuccessions } from "./successions.ts"

interface Succeeding {
  readonly from: LogName
  /** The largest tree of the old log that is known. */
  readonly known: TreeHead
  readonly to: LogName
  /** Milliseconds since 1970. */
  readonly now: () => number
  /** By the old key: a signature over the statement, 64 B. */
  signStatement(statement: Uint8Array): Uint8Array
  /** By the new one. */
  readonly signCheckpoint: SignCheckpoint
}

/** Makes the log of a database that nobody serves go on under another name and key, in one transaction: the statement, the leaf that
 * binds it, a checkpoint of the new log. Sessions end: whoever had one signs in again. Invitation codes are void.
 * @returns the succession */
export async function succeed(
  file: string,
  { from, known, to, now, signStatement, signCheckpoint }: Succeeding,
): Promise<SignedSuccession> {
  const db = openSqlite(file, "write")
  try {
    const practice = parseId<"practice">((await practiceOf(db)) ?? "")
    const earlier = await storedSuccessions(db)
    const tree = await openTree(db, from.origin, nodeLoader(db), null)
    const { size, root } = tree.state
    const time = now()
    const number = earlier.length + 1
    const kept = { size, root }
    const statement = encodeSuccession({ v: 1, practice, number, from, kept, known, to, time })
    const succession = await verifySuccession({ statement, signature: signStatement(statement) })
    const leaf = { ...successionLeaf(succession), time, salt: new Uint8Array(randomBytes(16)) }
    const data = leafData(leaf)
    const grown = tree.grow([data], (checkpoint) => signCheckpoint({ ...checkpoint, origin: to.origin }))
    await db.transaction().execute(async (transaction) => {
      const rows = logRows(transaction)
      await rows.insertLeaves(transaction, size, [leaf], [data])
      await rows.insertNodes(transaction, grown.nodes)
      await rows.putCheckpoint(transaction, grown.state.note)
      await transaction
        .insertInto("succession")
        .values({ number, statement, statement_sha256: sha256(statement), signature: succession.signature })
        .execute()
      await transaction.deleteFrom("read_mark").execute()
      await transaction.deleteFrom("session").execute()
      // Codes that were used since would count once more.
      await transaction.deleteFrom("invite").execute()
    })
    return succession
  } catch (cause) {
    if (cause instanceof AppError || (cause as { errcode?: number }).errcode !== undefined) throw cause
    throw new AppError("TAMPERED_LOG", "The log in this backup cannot be gone on with. Take another backup.", { cause })
  } finally {
    await db.destroy()
  }
}
