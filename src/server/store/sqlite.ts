import { sql } from "kysely"
import { equal } from "../../encoding/bytes.ts"
import { newId, type PracticeId, parseId } from "../../encoding/ids.ts"
import { AppError } from "../../errors.ts"
import { logOrigin } from "../../proof/checkpoint.ts"
import { emptyRoot, Frontier, subtrees } from "../../proof/merkle.ts"
import type { SignCheckpoint, StoreOptions } from "../deps.ts"
import { accountStore } from "./accounts.ts"
import { activityStore } from "./activity.ts"
import { changeFeed } from "./changes.ts"
import { type Db, openSqlite } from "./connection.ts"
import { entryStore } from "./entries.ts"
import { GroupCommit } from "./group-commit.ts"
import { invitationStore } from "./invitations.ts"
import { logRows } from "./log-rows.ts"
import { migrate, sqliteTypes } from "./migrations.ts"
import { type LoadNodes, nodeKey, nodeLoader } from "./node-cache.ts"
import { segmentStore } from "./segments.ts"
import { selfGrantStore } from "./self-grants.ts"
import { sessionStore } from "./sessions.ts"
import type { Store } from "./store.ts"
import { tileStore } from "./tiles.ts"
import { Tree } from "./tree.ts"

/** Opens the store, creating and migrating the file where needed. One process at a time may have it open for writing.
 * @throws TAMPERED_LOG when the stored log and the key that signs do not belong together. */
export async function openStore({ file, signCheckpoint, now }: StoreOptions): Promise<Store> {
  const writerDb = openSqlite(file, "write")
  try {
    await migrate(writerDb, sqliteTypes)
    const practice = await findPractice(writerDb)
    const reader = openSqlite(file, "read")
    // Kysely closes only what was used: the last connection to close is what clears the write-ahead log away.
    await sql`select 1`.execute(reader)
    const tree = await openTree(writerDb, practice, nodeLoader(reader), signCheckpoint)
    const writer = new GroupCommit(writerDb, tree, signCheckpoint, now)
    const context = { reader, writer, tree, now }
    return {
      practice,
      treeHead: () => tree.state,
      logState: (since) => tree.logState(since),
      rootAt: (size) => tree.rootAt(size),
      prefixes: (sizes, to) => tree.prefixes(sizes, to),
      ...accountStore(context),
      ...sessionStore(context),
      ...entryStore(context),
      ...changeFeed(context),
      ...selfGrantStore(context),
      ...invitationStore(context),
      ...activityStore(context),
      ...tileStore(context),
      ...segmentStore(context),
      async close() {
        await writer.close()
        await reader.destroy()
        await writerDb.destroy()
      },
    }
  } catch (cause) {
    await writerDb.destroy()
    throw cause
  }
}

async function findPractice(db: Db): Promise<PracticeId> {
  const stored = await metaValue(db, "practice")
  if (stored !== null) return parseId<"practice">(stored)
  const practice = newId<"practice">()
  await db.insertInto("meta").values({ name: "practice", value: practice }).execute()
  return practice
}

async function metaValue(db: Db, name: string): Promise<string | null> {
  const row = await db.selectFrom("meta").select("value").where("name", "=", name).executeTakeFirst()
  return row?.value ?? null
}

/** Loads the log's right edge. The newest note is signed once more: Ed25519 is deterministic, so it has to come out the same. */
async function openTree(db: Db, practice: PracticeId, load: LoadNodes, sign: SignCheckpoint): Promise<Tree> {
  const last = await db
    .selectFrom("leaf")
    .select((e) => e.fn.max("idx").as("idx"))
    .executeTakeFirst()
  const size = typeof last?.idx === "number" ? last.idx + 1 : 0
  const places = subtrees({ from: 0, to: size })
  const nodes = await load(places)
  const hashes = places.map((place) => nodes.get(nodeKey(place)))
  if (!hashes.every((hash) => hash !== undefined)) throw notOurs()
  const frontier = new Frontier(size, hashes)
  const checkpoint = { origin: logOrigin(practice), size, root: frontier.root() }
  const note = sign(checkpoint)
  const stored = await metaValue(db, "checkpoint")
  if (stored === null && size === 0 && equal(checkpoint.root, emptyRoot)) await logRows(db).putCheckpoint(db, note)
  else if (stored !== note) throw notOurs()
  return new Tree(frontier, { ...checkpoint, note }, load)
}

function notOurs(): AppError {
  return new AppError(
    "TAMPERED_LOG",
    "The log in the database does not belong to the key in the secrets folder, or was changed. Restore both from the same backup.",
  )
}
