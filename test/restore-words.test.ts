import { afterAll, beforeAll, expect, test } from "vitest"
import { wayByWords } from "../src/client/account.ts"
import { whatWentBack } from "../src/client/after-restore.ts"
import { createPatient } from "../src/client/edits.ts"
import { sendAgain } from "../src/client/send-again.ts"
import { workspaceOf } from "../src/client/workspace.ts"
import { recover } from "./client.ts"
import { brady, refused } from "./colleagues.ts"
import { Restoring } from "./restoring.ts"

/** Whoever has only the recovery words, at a server that was put back. */
let practice: Restoring
beforeAll(async () => {
  practice = await Restoring.start()
})
afterAll(async () => practice?.close())

const next = "a password that was never used"

test("without a device and without a password, the words and the code let in, and nothing less", async () => {
  const words = (await practice.register("ada")).join(" ")
  const before = await practice.open("ada")
  const { id } = await createPatient(before, { ...brady, firstName: "Before" })
  await practice.putAway(before)
  await practice.backUp("backup", true)
  const { code } = await practice.restore("backup")

  const device = () => practice.device("a new machine")
  await expect(recover(device(), "ada", words, next)).rejects.toEqual(refused("TAMPERED_PRACTICE"))

  const around = device()
  const { session, finish } = await wayByWords(around, "ada", words)
  const work = workspaceOf(session)
  await work.roster.load()
  await work.roster.sync()
  await work.roster.looked()
  expect(await whatWentBack(work)).toMatchObject({ records: [], own: 0, renew: [] })
  await expect(createPatient(work, brady)).rejects.toEqual(refused("NOT_ALLOWED_RESTORED"))
  await expect(finish(next)).rejects.toEqual(refused("NOT_ALLOWED_RESTORED"))
  await expect(session.confirmRestore(code.replace(/\d$/, (digit) => `${(Number(digit) + 1) % 10}`))).rejects.toEqual(
    refused("BAD_INPUT_RESTORE_CODE"),
  )
  // A call takes longer than a proof lasts.
  practice.pass(6 * 60_000)
  await session.confirmRestore(code)
  const { words: fresh } = await finish(next)
  expect(fresh).toHaveLength(24)
  expect(await sendAgain(work)).toEqual({ unchanged: 0, anew: 0, waiting: 0, elsewhere: [], left: [] })
  expect(work.roster.rows.has(id)).toBe(true)
  await createPatient(work, { ...brady, firstName: "After" })
  await practice.putAway(work)

  // The password is the new one, on every device; the words that were used are used up.
  expect((await practice.open("ada", "ada", next)).roster.rows.size).toBe(2)
  await expect(practice.open("ada")).rejects.toEqual(refused("NOT_ALLOWED_SIGN_IN"))
  await expect(recover(practice.device("another"), "ada", words, next)).rejects.toEqual(refused("NOT_ALLOWED_RECOVERY"))
  await recover(practice.device("another"), "ada", fresh.join(" "), "one more password of ada's")
}, 240_000)

test("on a device that was ahead, what its physician wrote is sent again by this way too", async () => {
  const words = (await practice.register("bea")).join(" ")
  await practice.backUp("second", true)
  const ahead = await practice.open("bea")
  const { id } = await createPatient(ahead, { ...brady, firstName: "Since" })
  await practice.putAway(ahead)
  const { code } = await practice.restore("second")

  const { session, finish } = await wayByWords(practice.device("bea"), "bea", words)
  const work = workspaceOf(session)
  await work.roster.load()
  await work.roster.sync()
  expect((await whatWentBack(work)).own).toBe(1)
  await session.confirmRestore(code)
  await finish(next)
  expect(await sendAgain(work)).toMatchObject({ anew: 1, left: [] })
  expect(work.roster.rows.has(id)).toBe(true)
}, 240_000)
