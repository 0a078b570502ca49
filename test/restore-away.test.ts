import { afterEach, beforeEach, describe, expect, test } from "vitest"
import { changePassword } from "../src/client/account.ts"
import { createPatient } from "../src/client/edits.ts"
import type { Workspace } from "../src/client/workspace.ts"
import { formOf } from "../src/clinical/form.ts"
import type { RecordId } from "../src/encoding/ids.ts"
import { Desk } from "./cli.ts"
import { brady, edit } from "./colleagues.ts"
import { pageOf } from "./page-api.ts"
import { password, Restoring } from "./restoring.ts"

/** A physician has two devices, and one of them is off while the server is put back. */
let practice: Restoring
let id: RecordId
beforeEach(async () => {
  practice = await Restoring.start()
  await practice.register("ada")
  const laptop = await practice.open("ada", "laptop")
  id = (await createPatient(laptop, brady)).id
  await practice.putAway(laptop)
  await practice.putAway(await practice.open("ada", "desk"))
  await practice.backUp("night", true)
})
afterEach(() => practice.close())
const long = 240_000

/** Opens the page's way, and types the code if it is asked for. @returns whether it was */
async function enter(device: string, code: string, secret = password): Promise<boolean> {
  const work = await practice.openAnyway("ada", device, secret)
  const asked = work.session.restoration?.confirmed === false
  if (asked) await work.session.confirmRestore(code)
  await work.roster.syncAfresh()
  await practice.putAway(work)
  return asked
}

const diagnosisOf = async (work: Workspace) => formOf((await work.records.open(id)).chart).diagnosis

describe("a laptop that was off during a first restore takes the code of a second", { timeout: long }, () => {
  let code: string
  beforeEach(async () => {
    const laptop = await practice.open("ada", "laptop")
    await edit(laptop, id, "Gout")
    await practice.putAway(laptop)
    const first = await practice.restore("night")
    await enter("desk", first.code)
    await practice.backUp("noon", true)
    code = (await practice.restore("noon")).code
  })

  test("on the page", async () => {
    const api = pageOf(practice.url, practice.device("laptop").storage)
    expect(await api.signIn("ada", password)).toMatchObject({ state: "restored", confirmed: false })
    expect(await api.confirmRestore(code, "")).toMatchObject({ sent: { anew: 1, left: [] } })
    await api.signOut()
  })

  test("on the command line", async () => {
    const desk = new Desk({ server: practice.url, username: "ada", password, home: practice.home("laptop") })
    expect((await desk.run(["restored"], { input: code })).stderr).toContain("Sent again")
    expect(await diagnosisOf(await practice.open("ada", "laptop"))).toBe("Gout")
  })
})

test("a password that was changed on both sides of a restore keeps no device out of the next", {
  timeout: long,
}, async () => {
  const laptop = await practice.open("ada", "laptop")
  await changePassword(laptop.session, password, "a password from the laptop")
  await practice.putAway(laptop)
  const first = await practice.restore("night")
  const desk = await practice.openAnyway("ada", "desk")
  await desk.session.confirmRestore(first.code)
  await changePassword(desk.session, password, "a password from the desk")
  await practice.putAway(desk)
  await practice.backUp("noon", true)
  const { code } = await practice.restore("noon")
  expect(await enter("laptop", code, "a password from the desk")).toBe(true)
  expect(await enter("desk", code, "a password from the desk")).toBe(false)
})

test("one backup that is put back three times keeps no device out, whichever confirms", { timeout: long }, async () => {
  for (const device of ["desk", "desk", "laptop"]) {
    const { code } = await practice.restore("night")
    expect(await enter(device, code)).toBe(true)
    if (device === "laptop") {
      expect(await enter("desk", code)).toBe(true)
      expect(await enter("laptop", code)).toBe(false)
    }
  }
})

describe("a backup from before the code was typed", { timeout: long }, () => {
  test.each([
    ["laptop", "desk"],
    ["desk", "laptop"],
  ] as const)("is put back: the %s confirms first, and the %s is not kept out", async (first, second) => {
    await enter("desk", (await practice.restore("night")).code)
    await enter("laptop", "")
    const again = await practice.restore("night")
    await practice.backUp("unconfirmed", true)
    await enter("desk", again.code)
    const { code } = await practice.restore("unconfirmed")
    expect(await enter(first, code)).toBe(true)
    await enter(second, code)
    for (const device of [first, second]) expect(await enter(device, "")).toBe(false)
  })
})
