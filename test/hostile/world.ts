import { cp, mkdtemp, rm } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { DatabaseSync, type SQLInputValue } from "node:sqlite"
import { buildApp } from "../../src/server/app.ts"
import { claimDataFolder } from "../../src/server/data-folder.ts"
import { logSigner } from "../../src/server/log.ts"
import { addSecurityHeaders, builtPage, demandPage, servePage } from "../../src/server/page.ts"
import { openSecrets } from "../../src/server/secrets.ts"
import { openStore } from "../../src/server/store/sqlite.ts"
import type { Store } from "../../src/server/store/store.ts"

/** A real server with its built page, and all that whoever runs it has in hand: the store behind its checks, the database, the key
 * that signs the log. */
export interface World {
  readonly folder: string
  readonly url: string
  /** Takes what it is given: the checks are the routes'. */
  readonly store: Store
  /** Ed25519 seed of the log key. */
  readonly logSeed: Uint8Array
  /** Runs one statement on the database, beside the running server. */
  sql<Row = Record<string, unknown>>(text: string, ...values: SQLInputValue[]): Row[]
  /** Lets go of the folder, which stays. */
  close(): Promise<void>
}

/** Opens a data folder as a server would. @param folder made where there is none */
export async function openWorld(folder: string): Promise<World> {
  demandPage(builtPage)
  const claimed = await claimDataFolder(folder)
  const secrets = await openSecrets(claimed)
  const now = () => Date.now()
  const signCheckpoint = logSigner(secrets.logSeed).sign
  const store = await openStore({ file: claimed.database, signCheckpoint, now })
  const app = await buildApp({ store, secrets, secureCookies: false, trustProxy: false, logLevel: "error", now })
  addSecurityHeaders(app, false)
  await servePage(app, builtPage)
  await secrets.settle()
  const url = await app.listen({ host: "127.0.0.1", port: 0, listenTextResolver: () => "listening" })
  return {
    folder,
    url,
    store,
    logSeed: secrets.logSeed,
    sql(text, ...values) {
      const database = new DatabaseSync(claimed.database, { timeout: 10_000 })
      try {
        return database.prepare(text).all(...values) as never
      } finally {
        database.close()
      }
    },
    async close() {
      app.server.closeAllConnections()
      await app.close()
      await store.close()
      await claimed.release()
    },
  }
}

/** The same practice once more: what happens in one of the two, the other never learns.
 * @param folder of a world that is closed */
export async function copyWorld(folder: string): Promise<World & { remove(): Promise<void> }> {
  const copy = await mkdtemp(join(tmpdir(), "healthcrypt-world-"))
  await cp(folder, copy, { recursive: true, preserveTimestamps: true, filter: (path) => !path.endsWith("lock.db") })
  const world = await openWorld(copy)
  return {
    ...world,
    async remove() {
      await world.close()
      await rm(copy, { recursive: true, force: true })
    },
  }
}
