import { type ChildProcess, spawn } from "node:child_process"
import { join } from "node:path"
import { afterEach, beforeEach, expect, test } from "vitest"
import { createPatient } from "../src/client/edits.ts"
import { encodeHex } from "../src/encoding/bytes.ts"
import { runCli } from "./cli.ts"
import { brady } from "./colleagues.ts"
import { passphrase, Restoring } from "./restoring.ts"
import { bareEnv, bin } from "./server.ts"

/** Who watches a log that is put back, at the command line: a monitor and a witness. */
let practice: Restoring
beforeEach(async () => {
  practice = await Restoring.start()
})
let witness: ChildProcess | null = null
afterEach(async () => {
  witness?.kill("SIGKILL")
  await practice?.close()
})

const run = (args: readonly string[], home: string, input?: string) =>
  runCli(args, { env: { HEALTHCRYPT_SERVER: practice.url, HEALTHCRYPT_HOME: practice.home(home) }, input })
const once = (home: string) => run(["log", "monitor", "--once"], home)

test("a monitor refuses a restored log until it has the code, and then goes on with what both logs have", async () => {
  await practice.register("ada")
  await practice.backUp("backup", true)
  const ada = await practice.open("ada")
  await createPatient(ada, brady)
  for (const home of ["monitor", "to be cheated"]) expect((await once(home)).code).toBe(0)
  const { code } = await practice.restore("backup")

  const refused = await once("monitor")
  expect(refused.code).toBe(3)
  expect(refused.stderr).toContain("evidence")
  expect((await run(["log", "monitor", "--once", "--restored"], "monitor", "00000 ".repeat(6))).code).toBe(1)
  expect((await once("monitor")).code).toBe(3)
  const taken = await run(["log", "monitor", "--once", "--restored"], "monitor", code)
  expect(taken.code, taken.stderr).toBe(0)
  const after = await once("monitor")
  expect(after.code, after.stderr).toBe(0)
  expect(after.stdout).toMatch(/as they were/)

  // Another restore of the same backup is another log: the same code does not count for it.
  const second = await practice.restore("backup", "other")
  expect((await once("monitor")).code).toBe(3)
  expect((await run(["log", "monitor", "--once", "--restored"], "monitor", code)).code).toBe(1)
  expect((await run(["log", "monitor", "--once", "--restored"], "monitor", second.code)).code).toBe(0)
}, 240_000)

/** The real command. @returns its vkey and address; what it said, where it ended before it was ready */
function startWitness(args: readonly string[], input = ""): Promise<string> {
  const env = { ...bareEnv, HEALTHCRYPT_SERVER: practice.url, HEALTHCRYPT_HOME: practice.home("witness") }
  const child = spawn(process.execPath, [bin, "log", "witness", "--port", "0", ...args], { env })
  witness = child
  child.stdin.end(input)
  return new Promise((resolve) => {
    let text = ""
    for (const stream of [child.stdout, child.stderr])
      stream.on("data", (chunk) => {
        text += chunk
        const [, vkey, url] = /^vkey (\S+)\nThe witness is ready at (\S+)$/m.exec(text) ?? []
        if (vkey !== undefined) resolve(`${vkey}=${url}`)
      })
    child.once("close", (code) => resolve(`ended with ${code}: ${text}`))
  })
}

function stopWitness(): Promise<void> {
  const child = witness!
  witness = null
  return new Promise((resolve) => {
    child.once("close", () => resolve())
    child.kill("SIGTERM")
  })
}

test("a witness that has seen more is asked before a restore, and cosigns the restored log once it has the code", async () => {
  await practice.register("wyn")
  const wyn = await practice.open("wyn")
  const before = await wyn.session.practice
  const first = await startWitness(["--name", "w.example/1", "--log", `${before.origin}=${encodeHex(before.logKey)}`])
  expect(first).toMatch(/^w\.example\/1\+/)
  const watch = (asked: string, ...more: string[]) => ["log", "monitor", "--once", "--witness", asked, ...more]
  const known = ["--origin", before.origin, "--key", encodeHex(before.logKey)]
  await practice.backUp("watched", true)
  await createPatient(wyn, brady)
  const seen = await run(watch(first, ...known), "witnessed")
  expect(seen.code, seen.stderr).toBe(0)
  await practice.stop()

  const file = join(practice.folder, "watched")
  const into = (name: string, asked: string, ...more: string[]) =>
    runCli(["restore", file, "--data", join(practice.folder, name), "--witness", asked, ...more], {
      env: { HEALTHCRYPT_BACKUP_PASSPHRASE: passphrase },
    })
  const refused = await into("asked", first)
  expect([refused.code, refused.stdout]).toEqual([1, ""])
  expect(refused.stderr).toMatch(/The witness w\.example\/1 knows of \d+ leaves.*would be lost/)
  const nobody = await into("asked", first.replace(/=.*/, "=http://127.0.0.1:9"))
  expect([nobody.code, nobody.stderr]).toEqual([1, expect.stringContaining("cannot be asked what it has seen")])
  expect((await into("asked", "no witness")).code).toBe(2)
  const done = await into("asked", first, "--force")
  expect(done.code, done.stderr).toBe(0)
  const code = done.stdout.trim()

  await practice.serve("asked")
  // The monitor has the code, the witness does not: it has not cosigned the restored log, and the monitor says so.
  const alone = await run(watch(first, "--restored"), "witnessed", code)
  expect([alone.code, alone.stdout]).toEqual([1, ""])
  expect(alone.stderr).toContain("The witness w.example/1 does not know this log")
  await stopWitness()
  const wrong = await startWitness(
    ["--restored"],
    code.replace(/^\d/, (digit) => `${(Number(digit) + 1) % 10}`),
  )
  expect(wrong).toMatch(/^ended with 1: .*not the code of this restore/s)
  expect(await startWitness(["--restored"])).toMatch(/^ended with 2: /)
  const second = await startWitness(["--restored"], code)
  expect(second.split("=")[0]).toBe(first.split("=")[0])
  const after = await run(watch(second), "witnessed")
  expect(after.code, after.stderr).toBe(0)

  // It remembers both logs, and signs neither behind what it has signed.
  await stopWitness()
  const third = await startWitness([])
  const again = await run(watch(third), "witnessed")
  expect(again.code, again.stderr).toBe(0)
  await practice.serve()
  const back = await run(watch(third), "witnessed")
  expect(back.code, back.stderr).toBe(3)
}, 400_000)
