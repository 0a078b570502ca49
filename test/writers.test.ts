import { spawn } from "node:child_process"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import { beforeAll, expect, it, vi } from "vitest"
import { createPatient } from "../src/client/edits.ts"
import { acceptInvitations } from "../src/client/invitations.ts"
import { history } from "../src/client/record-views.ts"
import { share } from "../src/client/sharing.ts"
import type { Workspace } from "../src/client/workspace.ts"
import type { RecordId } from "../src/encoding/ids.ts"
import { runCli } from "./cli.ts"
import { brady, many, meet } from "./colleagues.ts"
import { openPractice, password } from "./practice.ts"
import { type State, stateOf } from "./state.ts"

vi.setConfig({ testTimeout: 300_000, hookTimeout: 120_000 })

const edits = 500
const longestMs = 240_000
const practice = await openPractice()
let ada: Workspace
let ben: Workspace
let id: RecordId

beforeAll(async () => {
  for (const name of ["ada", "ben"]) await practice.register(name)
  ada = await practice.open("ada")
  ben = await practice.open("ben")
  await meet(ada, ben)
  id = (await createPatient(ada, brady)).id
  await share(ada, [id], "ben", "writer", null, many)
  await acceptInvitations(ben, [id], many)
})

function start(username: string, field: string) {
  const home = join(practice.folder, "devices", `${username} at work`)
  const script = fileURLToPath(new URL("./writers.child.ts", import.meta.url))
  const child = spawn(process.execPath, [script, practice.server.url, home, username, id, field, String(edits)], {
    env: { PATH: process.env.PATH ?? "", HEALTHCRYPT_PASSWORD: password },
    stdio: ["pipe", "pipe", "pipe"],
  })
  let out = ""
  let wrong = ""
  child.stdout.on("data", (chunk) => (out += chunk))
  child.stderr.on("data", (chunk) => (wrong += chunk))
  const done = new Promise<number | null>((resolve) => child.once("close", resolve))
  return {
    /** Waits for what it says, as long as it lives. */
    says: (line: string) => {
      const said = () => expect(out, wrong).toContain(`${line}\n`)
      return Promise.race([vi.waitFor(said, longestMs), done.then(said)])
    },
    go: () => child.stdin.write("go\n"),
    async end() {
      expect(await done, wrong).toBe(0)
      return JSON.parse(out.trim().split("\n").at(-1)!) as { merged: number; states: State[] }
    },
  }
}

it(`keeps ${edits} edits of each of two processes, on resources of their own, and both see the same`, async () => {
  const before = (await ada.records.open(id)).head.seq
  const writers = [start("ada", "lastName"), start("ben", "diagnosis")]
  for (const line of ["ready", "written"]) {
    await Promise.all(writers.map((writer) => writer.says(line)))
    for (const writer of writers) writer.go()
  }
  const [first, second] = await Promise.all(writers.map((writer) => writer.end()))
  // They were at it at the same time, or this shows nothing.
  expect(first!.merged + second!.merged).toBeGreaterThan(0)

  const fresh = await (await practice.open("ada", "ada's new device")).records.open(id)
  const record = await ada.records.open(id)
  const state = stateOf(fresh)
  expect(state.seq).toBe(before + 2 * edits)
  expect([first!.states, second!.states].flat()).toEqual(Array(4).fill(state))
  expect([record, await ben.records.open(id)].map(stateOf)).toEqual(Array(2).fill(state))
  const texts = JSON.stringify([...record.chart.resources])
  expect(texts).toContain(`ada ${edits}`)
  expect(texts).toContain(`ben ${edits}`)
  for (const work of [ada, ben]) {
    const lines = (await history(work, id)).flatMap((item) => item.changes.map(({ after }) => after))
    for (const name of ["ada", "ben"])
      for (let n = 1; n <= edits; n++)
        expect(
          lines.filter((line) => line === `${name} ${n}`),
          `${name} ${n}`,
        ).toHaveLength(1)
  }
})

it("lets one of two edits of the same resource win; the other exits 1 and changes nothing", async () => {
  const env = (username: string) => ({
    HEALTHCRYPT_SERVER: practice.server.url,
    HEALTHCRYPT_USERNAME: username,
    HEALTHCRYPT_PASSWORD: password,
    HEALTHCRYPT_HOME: join(practice.folder, "devices", `${username} at the desk`),
  })
  const { seq } = (await ada.records.open(id)).head
  const edit = (username: string, diagnosis: string) =>
    runCli(["records", "edit", id, "--seq", String(seq)], { input: { diagnosis }, env: env(username) })
  const [one, two] = await Promise.all([edit("ada", "Gout"), edit("ben", "Eczema")])
  expect([one.code, two.code].sort()).toEqual([0, 1])
  const loser = one.code === 1 ? one : two
  expect(loser.stdout).toBe("")
  const record = await ada.records.open(id)
  expect(record.head.seq).toBe(seq + 1)
  expect(JSON.stringify([...record.chart.resources])).toContain(one.code === 0 ? "Gout" : "Eczema")
  expect(JSON.stringify([...record.chart.resources])).not.toContain(one.code === 0 ? "Eczema" : "Gout")
})
