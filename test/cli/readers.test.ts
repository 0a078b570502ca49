import { type ChildProcess, spawn } from "node:child_process"
import { mkdtemp, readFile, rm } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterEach, expect, it } from "vitest"
import { bareEnv, bin } from "../server.ts"

let child: ChildProcess | null = null
let folder = ""
afterEach(async () => {
  child?.kill("SIGKILL")
  await rm(folder, { recursive: true, force: true })
})

it("goes on serving when nobody reads its log any more", async () => {
  folder = await mkdtemp(join(tmpdir(), "healthcrypt-readers-"))
  const args = [bin, "serve", "--port", "0", "--data", join(folder, "data")]
  const started = spawn(process.execPath, args, { env: bareEnv, stdio: ["ignore", "pipe", "pipe"] })
  child = started
  const url = await new Promise<string>((resolve) => {
    started.stdout.on("data", (chunk: Buffer) => {
      const ready = /ready at (\S+)/.exec(chunk.toString())
      if (ready) resolve(ready[1]!)
    })
  })
  started.stderr.destroy()
  for (let i = 0; i < 3; i++) expect((await fetch(`${url}/api/practice`)).status).toBe(200)
  const before = await ticksOf(started.pid!)
  await new Promise((resolve) => setTimeout(resolve, 1000))
  expect((await fetch(`${url}/api/practice`)).status).toBe(200)
  expect(started.exitCode).toBeNull()
  // Hundredths of a second of processor time: it once told itself of every line that it could not tell.
  expect((await ticksOf(started.pid!)) - before).toBeLessThan(50)
})

/** What a process has used of its processor, in clock ticks. Source: man 5 proc_pid_stat, fields 14 and 15 */
async function ticksOf(pid: number): Promise<number> {
  const fields = (await readFile(`/proc/${pid}/stat`, "utf8")).replace(/.*\) /, "").split(" ")
  return Number(fields[11]) + Number(fields[12])
}
