import { existsSync } from "node:fs"
import { join } from "node:path"
import { afterEach, beforeEach, expect, test } from "vitest"
import { wayByWords } from "../../src/client/account.ts"
import { createPatient } from "../../src/client/edits.ts"
import { sendAgain } from "../../src/client/send-again.ts"
import { unshare } from "../../src/client/sharing.ts"
import type { RecordId } from "../../src/encoding/ids.ts"
import { Desk } from "../cli.ts"
import { brady, edit, give, meet } from "../colleagues.ts"
import { password, Restoring } from "../restoring.ts"

const long = 240_000

/** Ada had removed Mal, and perhaps written since; a restore took that back. */
let practice: Restoring
let id: RecordId
let ada: Desk
beforeEach(async () => {
  practice = await Restoring.start()
  for (const username of ["ada", "mal"]) await practice.register(username)
  ada = new Desk({ server: practice.url, username: "ada", password, home: practice.home("ada") })
})
afterEach(() => practice.close())

/** @returns the code */
async function putBack(writes: boolean): Promise<string> {
  const [one, mal] = [await practice.open("ada"), await practice.open("mal")]
  await meet(one, mal)
  id = (await createPatient(one, brady)).id
  await give(one, mal, id, "writer")
  for (const work of [one, mal]) await practice.putAway(work)
  await practice.backUp("night", true)
  await unshare(one, id, mal.session.physician)
  if (writes) await edit(one, id, "Gout")
  await practice.putAway(one)
  return (await practice.restore("night")).code
}

test("promises no file where what was not sent only says who may read, and -o says that there is nothing to write", {
  timeout: long,
}, async () => {
  const input = await putBack(false)
  const first = await ada.run(["restored"], { input })
  expect([first.code, first.stderr]).toEqual([1, expect.stringContaining(`healthcrypt members ${id}`)])
  expect(first.stderr).not.toMatch(/-o FILE|Sharing/)
  expect(first.stdout).not.toContain("sent again")
  const file = join(practice.folder, "lost.json")
  const out = await ada.run(["restored", "-o", file])
  expect([out.code, out.stderr]).toEqual([
    1,
    expect.stringContaining(`There is nothing to write: ${file} was not made.`),
  ])
  expect(existsSync(file)).toBe(false)
})

test("a sign-in that fails says that the server was put back, for 30 days, and not whether there is such an account", {
  timeout: long,
}, async () => {
  const message = (promise: Promise<unknown>) => promise.then(String, (error: Error) => error.message)
  const words = await practice.register("eve")
  await putBack(false)
  const day = new Date().toLocaleDateString("en-GB", { dateStyle: "long" })
  const said = `put back to an earlier state on ${day}`
  const known = await message(practice.open("ada", "ada", "a password of since"))
  expect(known).toMatch(/^Username and password do not match/)
  expect(known).toContain(said)
  expect(await message(practice.open("nobody", "new"))).toBe(known)
  expect(await message(wayByWords(practice.device("new"), "nobody", words.join(" ")))).toContain(said)
  practice.pass(31 * 24 * 3_600_000)
  expect(await message(practice.open("nobody", "new"))).not.toContain("put back")
})

test("comes to an end once everything was sent and decided", { timeout: long }, async () => {
  const input = await putBack(true)
  const first = await ada.run(["restored"], { input })
  expect([first.code, first.stdout], first.stderr).toEqual([
    1,
    expect.stringContaining("One of the entries that went back is yours, and is sent again if it can be."),
  ])
  expect(first.stderr).toContain("1 entry waits until an owner has confirmed")
  expect(first.stderr).not.toContain("Nothing of yours is left")
  await ada.must(["members", id, "--confirm", "--without", "mal"])
  for (const sent of [
    "Sent again: 0 unchanged, 1 anew",
    "Nothing of yours is left on this machine to send or to decide.",
  ]) {
    const { code, stdout, stderr } = await ada.run(["restored"])
    expect([code, stderr]).toEqual([0, expect.stringContaining(sent)])
    expect(stderr).toContain("Nothing of yours is left on this machine to send or to decide.")
    expect(stderr).not.toContain("not sent")
    if (!sent.startsWith("Sent")) expect(stdout).not.toMatch(/Went back|yours/)
  }
})

test("says that another device has to send what this machine does not hold, and no more once it has", {
  timeout: long,
}, async () => {
  const elsewhere = "1 record lacks entries that this machine does not hold. If you wrote them on another device"
  const page = await practice.open("ada", "page")
  await practice.putAway(page)
  await practice.backUp("night", true)
  const { id } = await createPatient(page, brady)
  await practice.putAway(page)
  await ada.must(["records", "list"])
  const { code } = await practice.restore("night")
  const first = await ada.run(["restored"], { input: code })
  expect([first.code, first.stdout]).toEqual([0, expect.stringMatching(/ Yours here .*\n.* the whole record {2}0 /)])
  expect(first.stderr).toContain(elsewhere)
  expect((await ada.run(["restored"])).stderr).toContain(elsewhere)
  const again = await practice.openAnyway("ada", "page")
  expect(await sendAgain(again)).toMatchObject({ left: [] })
  await practice.putAway(again)
  expect((await ada.list()).map((row) => row.id)).toEqual([id])
  const { stdout, stderr } = await ada.run(["restored"])
  expect([stdout, stderr]).toEqual([
    "This device knows of no restore that is not confirmed.\n",
    "Nothing of yours is left on this machine to send or to decide.\n",
  ])
})
