import { existsSync } from "node:fs"
import { sql } from "kysely"
import { equal } from "../../encoding/bytes.ts"
import { newId, type PracticeId, parseId } from "../../encoding/ids.ts"
import { AppError } from "../../errors.ts"
import { emptyRoot, Frontier, subtrees } from "../../proof/merkle.ts"
import type { SignCheckpoint, StoreOptions } from "../deps.ts"
import { accessStore } from "./access.ts"
import { accountStore } from "./accounts.ts"
import { activityStore } from "./activity.ts"
import { changeFeed } from "./changes.ts"
import { type Db, openSqlite, openUnwritable } from "./connection.ts"
import { entryStore } from "./entries.ts"
import { GroupCommit, isStorageCode } from "./group-commit.ts"
import { invitationStore } from "./invitations.ts"
import { logRows } from "./log-rows.ts"
import { demandMigrated, migrate, sqliteTypes } from "./migrations.ts"
import { type LoadNodes, nodeKey, nodeLoader } from "./node-cache.ts"
import { charger, type Quota, usualQuota } from "./quota.ts"
import { segmentStore } from "./segments.ts"
import { selfGrantStore } from "./self-grants.ts"
import { sessionStore } from "./sessions.ts"
import { spareSessions } from "./spare-sessions.ts"
import { StorageState } from "./storage-state.ts"
import type { Store } from "./store.ts"
import { originOf, storedSuccessions, successionStore } from "./successions.ts"
import { tileStore } from "./tiles.ts"
import { Tree } from "./tree.ts"

/** Opens the store, creating and migrating the file where needed. One process at a time may have it open for writing. Where nothing can
 * be written, a database that is there is opened for reading: what would be written is refused.
 * @throws TAMPERED_LOG when the stored log and the key that signs do not belong together. */
export async function openStore({
  file,
  signCheckpoint,
  now,
  writable = true,
  quota = usualQuota,
}: StoreOptions): Promise<Store> {
  if (!writable) return openOn(openUnwritable(file), () => openUnwritable(file), signCheckpoint, now, quota, false)
  try {
    return await openOn(openSqlite(file, "write"), () => openSqlite(file, "read"), signCheckpoint, now, quota, true)
  } catch (cause) {
    if (!isStorageCode(cause) || !existsSync(file)) throw cause
    return openOn(openUnwritable(file), () => openUnwritable(file), signCheckpoint, now, quota, false)
  }
}

async function openOn(
  writerDb: Db,
  openReader: () => Db,
  signCheckpoint: SignCheckpoint,
  now: () => number,
  quota: Quota,
  writable: boolean,
): Promise<Store> {
  try {
    if (writable) await migrate(writerDb, sqliteTypes)
    else await demandMigrated(writerDb, sqliteTypes)
    const practice = await findPractice(writerDb)
    const successions = await storedSuccessions(writerDb)
    const origin = originOf(practice, successions)
    const reader = openReader()
    // Kysely closes only what was used: the last connection to close is what clears the write-ahead log away.
    await sql`select 1`.execute(reader)
    const tree = await openTree(writerDb, origin, nodeLoader(reader), signCheckpoint)
    const state = new StorageState(async () => {
      await writer.write(({ db }) => probe(db, now()))
      state.took()
      await sessions.settle()
    })
    if (!writable) state.refused()
    const writer = new GroupCommit(writerDb, tree, signCheckpoint, now, state)
    const restores = successions.length
    const context = { reader, writer, tree, practice, charge: charger(reader, quota), now, restores }
    const accounts = accountStore(context)
    const access = accessStore(context)
    const sessions = spareSessions(sessionStore(context), reader)
    return {
      practice,
      readOnly: () => state.refuses,
      origin,
      restoredAt: successions.at(-1)?.kept.size ?? -1,
      treeHead: () => tree.state,
      logState: (since) => tree.logState(since),
      rootAt: (size) => tree.rootAt(size),
      prefixes: (sizes, to) => tree.prefixes(sizes, to),
      ...accounts,
      async replaceUnlocks(change) {
        const receipt = await accounts.replaceUnlocks(change)
        if (change.password !== undefined) sessions.endHeld(change.physician, change.session)
        return receipt
      },
      ...access,
      async suspend(username) {
        const physician = await access.suspend(username)
        if (physician !== null) sessions.endHeld(physician, null)
        return physician
      },
      ...sessions,
      ...successionStore(reader, tree, successions),
      ...entryStore(context),
      ...changeFeed(context),
      ...selfGrantStore(context),
      ...invitationStore(context),
      ...activityStore(context),
      ...tileStore(context),
      ...segmentStore(context),
      async close() {
        state.close()
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

/** Writes something that is never the same, for nothing but to see whether it can be written. */
async function probe(db: Db, time: number): Promise<void> {
  const value = String(time)
  const row = db.insertInto("meta").values({ name: "probe", value })
  await row.onConflict((conflict) => conflict.column("name").doUpdateSet({ value })).execute()
}

/** The practice's id as it is stored; null in a new database. */
export function practiceOf(db: Db): Promise<string | null> {
  return metaValue(db, "practice")
}

async function findPractice(db: Db): Promise<PracticeId> {
  const stored = await practiceOf(db)
  if (stored !== null) return parseId<"practice">(stored)
  const practice = newId<"practice">()
  await db.insertInto("meta").values({ name: "practice", value: practice }).execute()
  return practice
}

async function metaValue(db: Db, name: string): Promise<string | null> {
  const row = await db.selectFrom("meta").select("value").where("name", "=", name).executeTakeFirst()
  return row?.value ?? null
}

/** Loads the log's right edge. The newest note is signed once more: Ed25519 is deterministic, so it has to come out the same.
 * @param sign null where somebody else has verified the note */
export async function openTree(db: Db, origin: string, load: LoadNodes, sign: SignCheckpoint | null): Promise<Tree> {
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
  const checkpoint = { origin, size, root: frontier.root() }
  const stored = await metaValue(db, "checkpoint")
  const note = sign?.(checkpoint) ?? stored ?? ""
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
