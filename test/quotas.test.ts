import { join } from "node:path"
import { DatabaseSync } from "node:sqlite"
import { afterAll, describe, expect, test, vi } from "vitest"
import { register } from "../src/client/account.ts"
import { createPatient } from "../src/client/edits.ts"
import type { Workspace } from "../src/client/workspace.ts"
import { openClient, surroundings } from "./client.ts"
import { brady, physicians, refused } from "./colleagues.ts"
import { openPractice, password } from "./practice.ts"
import { removeFolder, serve, tempFolder } from "./server.ts"

vi.setConfig({ testTimeout: 120_000, hookTimeout: 120_000 })

const folder = await tempFolder()
afterAll(() => removeFolder(folder))

/** @returns how many patients were added before one was refused, and how */
async function addUntilRefused(work: Workspace, most: number): Promise<{ added: number; why: unknown }> {
  for (let added = 0; added < most; added++) {
    try {
      await createPatient(work, brady)
    } catch (why) {
      return { added, why }
    }
  }
  return { added: most, why: null }
}

describe("what `serve` is told of quotas, it keeps to", () => {
  async function atServer(args: readonly string[], work: (url: string) => Promise<void>): Promise<void> {
    const server = await serve({ dataDir: join(folder, args.join("")), args })
    try {
      await work(server.url)
    } finally {
      await server.stop()
    }
  }
  async function signUp(url: string, username: string): Promise<void> {
    const { around, close } = surroundings(url, join(folder, new URL(url).port, username))
    const account = { username, firstName: "Ada", lastName: "Byron", password }
    await register(around, account)
      .then((made) => made.enter())
      .finally(close)
  }

  test.each([
    // Each hour begins anew, and one may begin meanwhile.
    { flag: "--quota-leaves", number: 8, least: 1, most: 16, code: "UNAVAILABLE_QUOTA_HOUR" },
    { flag: "--quota-records", number: 2, least: 2, most: 2, code: "UNAVAILABLE_QUOTA" },
    { flag: "--quota-bytes", number: 50_000, least: 1, most: 50, code: "UNAVAILABLE_QUOTA" },
  ])("$flag $number", async ({ flag, number, least, most, code }) => {
    await atServer([flag, String(number)], async (url) => {
      await signUp(url, "ada")
      const ada = await openClient(url, join(folder, new URL(url).port, "ada"), "ada", password)
      const { added, why } = await addUntilRefused(ada, most + 1)
      expect(why).toEqual(refused(code))
      expect(added).toBeGreaterThanOrEqual(least)
      ada.close()
    })
  })

  test("--quota-sign-ups 2", async () => {
    await atServer(["--quota-sign-ups", "2"], async (url) => {
      for (const username of ["ada", "bea"]) await signUp(url, username)
      await expect(signUp(url, "cyd")).rejects.toEqual(refused("UNAVAILABLE_LIMIT"))
    })
  })
})

/** As nobody can store so much in a test, the server's own count is set to where one more is allowed. */
describe("a server that is told nothing", async () => {
  const practice = await openPractice()
  const hourMs = 3_600_000

  test("keeps to 20 GiB, 200,000 records and 100,000 leaves an hour", async () => {
    // By the server's clock no hour ends meanwhile.
    practice.pass(1.5 * hourMs - (practice.now() % hourMs))
    const [ada] = await physicians(practice, "ada")
    const database = new DatabaseSync(join(practice.folder, "data/healthcrypt.db"))
    const hour = Math.floor(practice.now() / hourMs)
    for (const [counted, code] of [
      [{ bytes: 20 * 1024 ** 3 - 3_000 }, "UNAVAILABLE_QUOTA"],
      [{ records: 199_999 }, "UNAVAILABLE_QUOTA"],
      [{ leaves: 99_999 }, "UNAVAILABLE_QUOTA_HOUR"],
    ] as const) {
      const { bytes, records, leaves } = { bytes: 0, records: 0, leaves: 0, ...counted }
      database
        .prepare("update usage set bytes = ?, records = ?, leaves = ?, hour = ?")
        .run(bytes, records, leaves, hour)
      expect(await addUntilRefused(ada!, 2), JSON.stringify(counted)).toEqual({ added: 1, why: refused(code) })
    }
    database.close()
  })
})
