import { cp, mkdtemp } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { DatabaseSync, type SQLInputValue } from "node:sqlite"
import { buildApp } from "../../src/server/app.ts"
import { backUp } from "../../src/server/backup/backup.ts"
import { restore } from "../../src/server/backup/restore.ts"
import { claimDataFolder } from "../../src/server/data-folder.ts"
import { logSigner } from "../../src/server/log.ts"
import { builtPage, demandPage, servePage } from "../../src/server/page.ts"
import { openSecrets } from "../../src/server/secrets.ts"
import { openStore } from "../../src/server/store/sqlite.ts"
import type { Store } from "../../src/server/store/store.ts"
import { rewriteLog, signTree } from "../operator.ts"

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
  /** Changes the database while the server does not run, and makes the log whatever its leaves say then, hashed and signed as if it had
   * always been so. The server is at another address afterwards. */
  rewrite(change: (database: DatabaseSync) => void): Promise<void>
  /** The same with the leaves alone, 64 B each. @param sign false: leaves are changed, and what is made of them is not */
  rewriteLog(change: (leaves: Uint8Array[]) => readonly Uint8Array[], sign?: boolean): Promise<void>
  /** Puts the practice back to a backup that is made of it now: a log of another name and key. Sessions go on, which a restore would end.
   * The server is at another address afterwards. */
  putBack(): Promise<void>
  /** Lets go of the folder, which stays. */
  close(): Promise<void>
}

/** Opens a data folder as a server would. @param folder made where there is none */
export async function openWorld(folder: string): Promise<World> {
  demandPage(builtPage)
  let running = await run(folder)
  const open = () => new DatabaseSync(join(folder, "healthcrypt.db"), { timeout: 10_000 })
  return {
    folder,
    get url() {
      return running.url
    },
    get store() {
      return running.store
    },
    get logSeed() {
      return running.logSeed
    },
    sql(text, ...values) {
      const database = open()
      try {
        return database.prepare(text).all(...values) as never
      } finally {
        database.close()
      }
    },
    async rewrite(change) {
      await running.close()
      const database = open()
      database.exec("pragma synchronous = off; begin")
      change(database)
      signTree(database, running.logSeed)
      database.exec("commit")
      database.close()
      running = await run(folder)
    },
    async rewriteLog(change, sign = true) {
      await running.close()
      await rewriteLog(folder, change, sign)
      running = await run(folder)
    },
    async putBack() {
      await running.close()
      const file = join(folder, "backup")
      await backUp({ dataDir: folder, file, force: true, passphrase: null, signal: new AbortController().signal })
      const before = open()
      const sessions = before.prepare("select * from session").all()
      before.close()
      const passphrase = () => Promise.reject(new Error("asked for a passphrase"))
      await restore({ file, dataDir: folder, force: true, passphrase, witnesses: [], now: Date.now })
      const database = open()
      for (const row of sessions) {
        const names = Object.keys(row)
        const insert = `insert into session (${names.join(", ")}) values (${names.map(() => "?").join(", ")})`
        database.prepare(insert).run(...Object.values(row))
      }
      database.close()
      running = await run(folder)
    },
    close: () => running.close(),
  }
}

/** The same practice once more: what happens in one of the two, the other never learns.
 * @param folder of a world that is closed. @returns its folder */
export async function copyWorld(folder: string): Promise<string> {
  const copy = await mkdtemp(join(tmpdir(), "healthcrypt-world-"))
  await cp(folder, copy, { recursive: true, preserveTimestamps: true, filter: (path) => !path.endsWith("lock.db") })
  return copy
}

async function run(folder: string) {
  const claimed = await claimDataFolder(folder)
  const secrets = await openSecrets(claimed)
  const now = () => Date.now()
  const signCheckpoint = logSigner(secrets.logSeed).sign
  const store = await openStore({ file: claimed.database, signCheckpoint, now })
  const isMeant = () => true
  const deps = { store, secrets, isMeant, secureCookies: false, trustProxy: false, registration: "open", now } as const
  const app = await buildApp({ ...deps, logLevel: "error" })
  await servePage(app, builtPage)
  await secrets.settle()
  const url = await app.listen({ host: "127.0.0.1", port: 0, listenTextResolver: () => "listening" })
  return {
    url,
    store,
    logSeed: secrets.logSeed,
    async close() {
      app.server.closeAllConnections()
      await app.close()
      await store.close()
      claimed.release()
    },
  }
}
