import { randomBytes } from "node:crypto"
import { cp, mkdtemp, rm } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { DatabaseSync } from "node:sqlite"
import { afterAll } from "vitest"
import { logSigner } from "../log.ts"
import { openStore } from "../store/sqlite.ts"
import type { Store } from "../store/store.ts"
import { TestPhysician } from "./practice.fixture.ts"

export const { publicKey: logKey, sign: signCheckpoint } = logSigner(new Uint8Array(32).fill(7))

/** A practice that nobody touched; what is done to it is done to a copy. */
export interface Filled {
  readonly file: string
  inCopy(work: (copy: string) => Promise<void>): Promise<void>
}

/** The practice of a file's tests, which ends with them. */
export async function openFilled(): Promise<Filled> {
  const folder = await mkdtemp(join(tmpdir(), "healthcrypt-"))
  afterAll(() => rm(folder, { recursive: true }))
  const file = join(folder, "healthcrypt.db")
  const store = await openStore({ file, signCheckpoint, now: Date.now })
  await fill(store)
  await store.close()
  return {
    file,
    async inCopy(work) {
      const place = await mkdtemp(join(tmpdir(), "healthcrypt-"))
      try {
        await cp(folder, place, { recursive: true })
        await work(join(place, "healthcrypt.db"))
      } finally {
        await rm(place, { recursive: true })
      }
    },
  }
}

export function run(copy: string, statement: string): void {
  const database = new DatabaseSync(copy, { enableForeignKeyConstraints: false })
  database.exec(statement)
  database.close()
}

/** At least three rows in every table, and every way in which a membership can stand. */
async function fill(store: Store): Promise<void> {
  const [ada, bea, cyd] = ["ada", "bea", "cy.d"].map((name) => new TestPhysician(store, name)) as [
    TestPhysician,
    TestPhysician,
    TestPhysician,
  ]
  for (const physician of [ada, bea, cyd]) {
    await physician.register()
    await physician.replaceRecovery()
    await physician.putKeyring()
    await physician.putProfile()
    await physician.putSegment()
    await physician.signInAgain()
    await physician.endSession()
    for (const entries of [1, 3, 4]) await physician.writeRecord(entries)
  }
  const [accepted, invited, removed, again, declined] = await Promise.all([1, 1, 1, 1, 1].map(() => ada.writeRecord(1)))
  for (const record of [accepted!, invited!, removed!, again!, declined!]) await ada.share(record, bea, "writer")
  for (const record of [accepted!, removed!, again!]) await bea.accept(record)
  for (const record of [accepted!, removed!, again!]) await bea.replaceSelfGrant(record)
  await ada.share(accepted!, cyd, "reader")
  await ada.share(accepted!, bea, "owner")
  await ada.unshare(removed!, bea)
  await bea.leave(again!)
  await ada.unshare(again!, bea)
  await ada.share(again!, bea, "reader")
  await bea.leave(declined!)
  await bea.unshare(accepted!, cyd)
  await ada.leave(accepted!)
  for (let days = 1; days <= 3; days++)
    await store.invite(randomBytes(32).toString("base64url"), Date.now() + days * 24 * 3_600_000)
  await store.suspend("bea")
  await store.suspend("cy.d")
  await store.resume("cy.d")
  await cyd.signInAgain()
  await ada.signInAgain()
}
