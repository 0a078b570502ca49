import { spawn } from "node:child_process"
import { existsSync } from "node:fs"
import { join } from "node:path"
import { expect, it } from "vitest"
import { openPractice, password } from "./practice.ts"
import { bareEnv, bin } from "./server.ts"
import { peakOf, worstRecord } from "./worst-record.ts"

const practice = await openPractice()
const gib = 1024 ** 3

/** Runs a command as Ada. @returns what it printed, and the most memory that it had resident */
async function measured(args: readonly string[]): Promise<{ code: number | null; out: string; peak: number }> {
  const child = spawn(process.execPath, [bin, ...args], {
    env: {
      ...bareEnv,
      HEALTHCRYPT_SERVER: practice.server.url,
      HEALTHCRYPT_USERNAME: "ada",
      HEALTHCRYPT_PASSWORD: password,
      HEALTHCRYPT_HOME: join(practice.folder, "devices", "ada"),
    },
    stdio: ["ignore", "pipe", "inherit"],
  })
  let peak = 0
  const looking = setInterval(() => {
    if (existsSync(`/proc/${child.pid}/status`)) peak = Math.max(peak, peakOf(child.pid!))
  }, 20)
  const chunks: Buffer[] = []
  child.stdout.on("data", (chunk: Buffer) => chunks.push(chunk))
  const code = await new Promise<number | null>((resolve) => child.once("close", resolve))
  clearInterval(looking)
  return { code, out: Buffer.concat(chunks).toString("utf8"), peak }
}

it("a record in which three wrote as much as they may, in the worst shapes, opens within a gibibyte and shows what is honest", async () => {
  const { id } = await worstRecord(practice, [
    ["long", "long", "long", "long"],
    ["nodes", "names"],
    ["many", "many", "plain"],
  ])
  const { code, out, peak } = await measured(["records", "show", id, "--json"])
  expect(code).toBe(0)
  const view = JSON.parse(out)
  expect([view.firstName, view.lastName, view.diagnosis]).toEqual(["Brady", "Kuhlman", "Gout"])
  expect(view.unreadable.map(({ author }: { author: string }) => author)).toContain("mal0")
  expect(existsSync("/proc/self/status") ? peak : 1).toBeLessThan(gib)
  expect(existsSync("/proc/self/status") ? peak : gib).toBeGreaterThan(100_000_000)
  const history = await measured(["records", "history", id])
  expect(history.code).toBe(0)
  for (const diagnosis of ["Hypertension", "Asthma", "Gout"]) expect(history.out).toContain(diagnosis)
}, 600_000)
