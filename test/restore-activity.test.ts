import { afterAll, beforeAll, expect, test } from "vitest"
import { signIn } from "../src/client/account.ts"
import { accountActivity } from "../src/client/activity.ts"
import { workspaceOf } from "../src/client/workspace.ts"
import { keyringStep } from "../src/proof/succession.ts"
import { paths } from "../src/protocol/paths.ts"
import { refused } from "./colleagues.ts"
import { rewriting } from "./hostile/rewriting.ts"
import { password, Restoring } from "./restoring.ts"

/** What an account's activity shows of keyrings before and after a restore, and what a server may leave out of it. */
let practice: Restoring
beforeAll(async () => {
  practice = await Restoring.start()
})
afterAll(async () => practice?.close())

interface WireLeaf {
  stream: string
  number: number
}

/** The account's activity, with the keyrings of these numbers left out. @returns the keyrings' numbers that were sent, the newest first */
async function activityWithout(hidden: (number: number) => boolean): Promise<number[]> {
  const sent: number[] = []
  const between = rewriting<{ leaves: WireLeaf[] }>(new RegExp(`^${paths.activity}\\?`), (answer) => {
    answer.leaves = answer.leaves.filter(({ stream, number }) => stream !== "keyring" || !hidden(number))
    sent.push(...answer.leaves.filter(({ stream }) => stream === "keyring").map(({ number }) => number))
  })
  const work = workspaceOf(await signIn(practice.device("ada", between()), "ada", password))
  await accountActivity(work, null)
  return sent
}

test("keyrings may be missing right below a restore, and nowhere else", async () => {
  await practice.register("ada")
  let ada = await practice.open("ada")
  const save = () => ada.session.updateKeyring((keyring) => keyring)
  for (let i = 0; i < 3; i++) await save()
  await practice.putAway(ada)
  await practice.backUp("backup", true)
  const { code } = await practice.restore("backup")
  ada = await practice.openAnyway("ada")
  await ada.session.confirmRestore(code)
  for (let i = 0; i < 2; i++) await save()
  await practice.putAway(ada)

  const all = await activityWithout(() => false)
  const [after, before] = [all.filter((one) => one >= keyringStep), all.filter((one) => one < keyringStep)]
  expect(after).toEqual([keyringStep + 2, keyringStep + 1, keyringStep])
  expect(before.length).toBeGreaterThanOrEqual(4)
  expect(before).toEqual(before.map((_, i) => before.length - 1 - i))
  const newest = before[0]!
  for (const hidden of [keyringStep + 2, keyringStep + 1, keyringStep, newest - 1, 0])
    await expect(
      activityWithout((number) => number === hidden),
      String(hidden),
    ).rejects.toEqual(refused("TAMPERED_LOG"))
  // All of a log's former keyrings cannot go.
  await expect(activityWithout((number) => number < keyringStep)).rejects.toEqual(refused("TAMPERED_LOG"))
  // No statement says which number the backup ended with: docs/threat-model.md.
  expect(await activityWithout((number) => number === newest)).not.toContain(newest)

  // Whoever signs up after a restore goes from 0 to above it at once.
  await practice.register("dan")
  const dan = await practice.open("dan")
  await dan.session.updateKeyring((keyring) => keyring)
  expect(dan.session.keyringNumber).toBe(keyringStep)
  await accountActivity(dan, null)
}, 240_000)
