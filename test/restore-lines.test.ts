import { cp } from "node:fs/promises"
import { join } from "node:path"
import { afterAll, beforeAll, describe, expect, test } from "vitest"
import { createPatient } from "../src/client/edits.ts"
import type { Workspace } from "../src/client/workspace.ts"
import { AppError } from "../src/errors.ts"
import { brady, edit } from "./colleagues.ts"
import { Restoring } from "./restoring.ts"

/** Every device of a physician before every log that a practice can have: `a` and `b` are restores of one backup, `aa` is a restore of a
 * backup of `a`, and `ax` is one of a backup from before anybody had typed the code of `a`. */
const lines: Readonly<Record<string, readonly string[]>> = {
  first: [],
  a: ["a"],
  b: ["b"],
  aa: ["a", "aa"],
  ax: ["a", "ax"],
}
const logs = ["a", "b", "aa", "ax"]
/** Where each device was, in this order. */
const devices: Readonly<Record<string, readonly string[]>> = {
  new: [],
  "of the first log": ["first"],
  "of a": ["a"],
  "of b": ["b"],
  "of a, then of b": ["a", "b"],
  "of aa": ["a", "aa"],
  "of ax": ["ax"],
}
type Outcome = "in" | "follows" | "asked" | "refused"

/** What has to happen, by the words of docs/formats/succession.md. */
function expected(device: string, log: string, isConfirmed: boolean): Outcome {
  const been = devices[device]!
  const pinned = been.at(-1)
  if (pinned === undefined) return isConfirmed ? "in" : "asked"
  // Every device has seen its log once somebody had typed the code.
  if (pinned === log) return isConfirmed ? "in" : "refused"
  const [mine, line] = [lines[pinned]!, lines[log]!]
  const isBegun = (a: readonly string[], b: readonly string[]) => a.every((one, i) => b[i] === one)
  if (isBegun(line, mine) || been.includes(log)) return "refused"
  return isConfirmed && isBegun(mine, line) ? "follows" : "asked"
}

let practice: Restoring
const codes = new Map<string, string>()
const copy = (from: string, to: string) =>
  cp(join(practice.folder, from), join(practice.folder, to), { recursive: true })
const confirmedOf = (log: string) => `${log}, confirmed`

/** Types the code of a log on a device. */
async function confirm(device: string, log: string): Promise<Workspace> {
  const work = await practice.openAnyway("ada", device)
  await work.session.confirmRestore(codes.get(log)!)
  await work.roster.syncAfresh()
  return work
}

const long = 600_000
beforeAll(async () => {
  practice = await Restoring.start()
  await practice.register("ada")
  const ada = await practice.open("ada", "of the first log")
  const { id } = await createPatient(ada, brady)
  await practice.putAway(ada)
  await practice.backUp("backup", true)
  await edit(ada, id, "Gout")
  await practice.putAway(ada)
  await practice.stop()
  await copy("data", "first, confirmed")
  const restore = async (log: string, backup: string) => codes.set(log, (await practice.restore(backup, log)).code)
  const goOn = async (log: string, from: string, device: string) => {
    await practice.stop()
    await copy(log, confirmedOf(log))
    await copy(`devices/${from}`, `devices/${device}`)
    await practice.serve(confirmedOf(log))
    await practice.putAway(await confirm(device, log))
  }
  for (const log of ["a", "b"]) {
    await restore(log, "backup")
    await goOn(log, "of the first log", `of ${log}`)
  }
  await copy("devices/of a", "devices/of a, then of b")
  await practice.putAway(await confirm("of a, then of b", "b"))
  await practice.stop()
  await practice.backUp("backup of a, confirmed", true, confirmedOf("a"))
  await restore("aa", "backup of a, confirmed")
  await goOn("aa", "of a", "of aa")
  await practice.stop()
  await practice.backUp("backup of a", true, "a")
  await restore("ax", "backup of a")
  await goOn("ax", "of the first log", "of ax")
}, long)
afterAll(() => practice?.close())

const worlds = [
  { log: "first", isConfirmed: true },
  ...logs.flatMap((log) => [
    { log, isConfirmed: false },
    { log, isConfirmed: true },
  ]),
]
let trials = 0
describe.each(worlds)("before the log $log, its code typed: $isConfirmed", ({ log, isConfirmed }) => {
  test.each(Object.keys(devices))("a device %s", { timeout: long }, async (device) => {
    const trial = `trial ${trials++}`
    await practice.stop()
    await copy(isConfirmed ? confirmedOf(log) : log, trial)
    if (devices[device]!.length > 0) await copy(`devices/${device}`, `devices/${trial}`)
    await practice.serve(trial)
    const meet = async (): Promise<Outcome> => {
      const { session } = await practice.openAnyway("ada", trial)
      if (session.restoration === null) return "in"
      return session.restoration.confirmed ? "follows" : "asked"
    }
    const outcome = await meet().catch((error: unknown) => {
      if (!(error instanceof AppError && error.is("TAMPERED"))) throw error
      return "refused" as const
    })
    expect(outcome).toBe(expected(device, log, isConfirmed))
    if (outcome !== "asked") return
    const work = await confirm(trial, log)
    await createPatient(work, brady)
    await practice.putAway(work)
    expect((await practice.open("ada", trial)).roster.rows.size).toBe(2)
  })
})
