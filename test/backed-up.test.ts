import { spawn } from "node:child_process"
import { once } from "node:events"
import { writeFile } from "node:fs/promises"
import { join } from "node:path"
import { afterEach, beforeEach, expect, test } from "vitest"
import { createPatient } from "../src/client/edits.ts"
import { sendAgain } from "../src/client/send-again.ts"
import type { Workspace } from "../src/client/workspace.ts"
import { formOf } from "../src/clinical/form.ts"
import { parseUtf8, utf8 } from "../src/encoding/bytes.ts"
import type { RecordId } from "../src/encoding/ids.ts"
import { brady, edit } from "./colleagues.ts"
import type { Between } from "./practice.ts"
import { Restoring } from "./restoring.ts"
import { bareEnv, bin } from "./server.ts"

/** What a server says of its newest backup, and what a device lets go of because of it. */
const long = 240_000
const dayMs = 24 * 3_600_000

let practice: Restoring
let id: RecordId
beforeEach(async () => {
  practice = await Restoring.start()
  await practice.register("ada")
  const ada = await practice.open("ada")
  id = (await createPatient(ada, brady)).id
  await practice.putAway(ada)
})
afterEach(() => practice.close())

/** How many files of own entries a device keeps. */
const ownFiles = async ({ session }: Workspace) =>
  (await session.around.storage.list("kept/")).filter((name) => name.includes("/own-")).length

/** Signs in, writes, and keeps what a device keeps. */
async function write(text: string, between?: Between): Promise<Workspace> {
  const ada = await practice.openAnyway("ada", "ada", undefined, between)
  await edit(ada, id, text)
  await practice.putAway(ada)
  return ada
}

/** The command, held once it has verified its copy. @returns what lets it go on to its end */
async function backUpHeld(name: string): Promise<() => Promise<number>> {
  const hook = join(import.meta.dirname, "hold-before.ts")
  const args = [bin, "backup", join(practice.folder, name), "--data", join(practice.folder, "data")]
  const env = { ...bareEnv, NODE_OPTIONS: `--import ${hook}`, HOLD_BEFORE: "link" }
  const child = spawn(process.execPath, args, { env, stdio: ["pipe", "ignore", "pipe"], timeout: long })
  const ended = once(child, "exit")
  let said = ""
  await new Promise<void>((held, failed) => {
    child.stderr.on("data", (text) => {
      said += text
      if (said.includes("held\n")) held()
    })
    ended.then(() => failed(new Error(said)), failed)
  })
  return async () => {
    child.stdin.end()
    return (await ended)[0]
  }
}

test("a backup that was being made while the server was put back says nothing of the restored log", {
  timeout: long,
}, async () => {
  await practice.backUp("night", true)
  const ada = await practice.open("ada")
  for (let i = 0; i < 20; i++) await ada.records.act(id, "export")
  await practice.putAway(ada)
  const end = await backUpHeld("noon")
  const first = await practice.restore("night")
  await practice.backUp("evening")
  const before = await practice.openAnyway("ada")
  const { backup, origin } = before.session.practice
  expect(backup).toEqual({ origin, size: first.succession.kept.size + 1 })
  expect(await end()).toBe(0)
  const again = await practice.openAnyway("ada")
  expect(again.session.practice.backup).toEqual(backup)
  await again.session.confirmRestore(first.code)
  await write("Written after the restore")
  practice.pass(8 * dayMs)
  await write("Written a week later")
  const second = await practice.restore("night")
  const last = await practice.openAnyway("ada")
  await last.session.confirmRestore(second.code)
  expect(await sendAgain(last)).toMatchObject({ anew: 2, left: [] })
  expect(formOf((await last.records.open(id)).chart).diagnosis).toBe("Written a week later")
})

test("what a backup holds is let go of, and not within the first week", { timeout: long }, async () => {
  await write("Asthma")
  await practice.backUp("night")
  const kept = await ownFiles(await write("Gout"))
  expect(kept).toBeGreaterThan(2)
  practice.pass(8 * dayMs)
  // What was written after the backup: twice.
  expect(await ownFiles(await write("Gout, 100 mg"))).toBe(2)
})

test("a note of another log, or of more leaves than there are, is not served", { timeout: long }, async () => {
  const { origin } = (await practice.open("ada")).session.practice
  const said = async (note: string) => {
    await writeFile(join(practice.folder, "data", "newest-backup"), note)
    return (await practice.open("ada")).session.practice.backup
  }
  expect(await said(`${origin} 3\n`)).toEqual({ origin, size: 3 })
  for (const note of [`${origin} 1000000\n`, `${origin}/AAAAAAAAAAAAAAAAAAAAAA 3\n`, "3\n", ""])
    expect(await said(note)).toBeUndefined()
})

const lies: readonly [string, (backup: { origin: string; size: number }) => void][] = [
  ["of more leaves than the log has", (backup) => (backup.size = 1_000_000)],
  ["of another log", (backup) => (backup.origin = `${backup.origin}/AAAAAAAAAAAAAAAAAAAAAA`)],
]
test.each(lies)("a server's word for a backup %s is not believed", { timeout: long }, async (_, lie) => {
  await write("Gout")
  await practice.backUp("night")
  practice.pass(8 * dayMs)
  const lying: Between = async (request, send) => {
    const answer = await send(request)
    if (request.path !== "/api/practice") return answer
    const about = JSON.parse(parseUtf8(answer.body))
    lie(about.backup)
    return { ...answer, body: utf8(JSON.stringify(about)) }
  }
  const kept = await ownFiles(await practice.open("ada"))
  expect(await ownFiles(await write("Asthma", lying))).toBe(kept + 1)
})
