import { mkdtemp, rm } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { ready, server } from "@serenity-kit/opaque"
import type { FastifyInstance } from "fastify"
import { buildApp } from "./app.ts"
import { TestClient } from "./client.fixture.ts"
import type { AppDeps, Secrets } from "./deps.ts"
import { type LogSigner, logSigner } from "./log.ts"
import type { Quota } from "./store/quota.ts"
import { openStore } from "./store/sqlite.ts"
import type { Store } from "./store/store.ts"

/** A clock that tests set. */
interface Clock {
  time: number
}

/** The databases that the suites run on. */
export const databases = [{ name: "SQLite", open: () => openTestStore() }]

export interface TestStore {
  readonly store: Store
  readonly signer: LogSigner
  readonly clock: Clock
  readonly file: string
  /** Closes the store and opens it again on what it left. */
  reopen(): Promise<Store>
  close(): Promise<void>
}

async function openTestStore(quota?: Quota): Promise<TestStore> {
  const folder = await mkdtemp(join(tmpdir(), "healthcrypt-test-"))
  const file = join(folder, "healthcrypt.db")
  const signer = logSigner(new Uint8Array(32).fill(7))
  const clock = { time: 1_800_000_000_000 }
  const open = () => openStore({ file, signCheckpoint: signer.sign, now: () => clock.time, ...(quota && { quota }) })
  let store = await open()
  return {
    get store() {
      return store
    },
    signer,
    clock,
    file,
    async reopen() {
      await store.close()
      store = await open()
      return store
    },
    async close() {
      await store.close()
      await rm(folder, { recursive: true })
    },
  }
}

export interface TestServer extends TestStore {
  readonly app: FastifyInstance
  readonly client: TestClient
  /** What was logged. */
  readonly lines: string[]
}

export async function openTestServer(options: Partial<AppDeps> = {}, quota?: Quota): Promise<TestServer> {
  await ready
  const base = await openTestStore(quota)
  const lines: string[] = []
  const secrets: Secrets = { opaqueSetup: server.createSetup(), logSeed: new Uint8Array(32).fill(7) }
  const app = await buildApp({
    store: base.store,
    secrets,
    secureCookies: false,
    trustProxy: false,
    registration: "open",
    isMeant: () => true,
    logLevel: "info",
    now: () => base.clock.time,
    logStream: { write: (line) => lines.push(line) },
    ...options,
  })
  await app.ready()
  return {
    ...base,
    store: base.store,
    app,
    lines,
    client: new TestClient(app, base.store.practice),
    async close() {
      await app.close()
      await base.close()
    },
  }
}
