import { readFile } from "node:fs/promises"
import type { Browser, Page } from "playwright-core"
import { afterAll, beforeAll, expect, it } from "vitest"
import { changePassword, renewWords } from "../../src/client/account.ts"
import { createPatient } from "../../src/client/edits.ts"
import { unshare } from "../../src/client/sharing.ts"
import { launchChromium } from "../chromium.ts"
import { brady, give, meet } from "../colleagues.ts"
import { password, Restoring } from "../restoring.ts"
import { look } from "./look.ts"
import { confirmWords, sealedIn } from "./page.ts"

/** What the page shows of a server that was put back. */
let practice: Restoring
let browser: Browser
beforeAll(async () => {
  practice = await Restoring.start(true)
  browser = await launchChromium({})
})
afterAll(async () => {
  await browser?.close()
  await practice?.close()
})

const signIn = async (page: Page, username = "ada", secret = password) => {
  await page.goto(`${practice.url}/login`)
  await page.getByLabel("Username").fill(username)
  await page.getByLabel("Password", { exact: true }).fill(secret)
  await page.getByRole("button", { name: "Sign in", exact: true }).click()
}

async function visitor(): Promise<Page> {
  const context = await browser.newContext({ locale: "en-GB" })
  context.setDefaultTimeout(60_000)
  return context.newPage()
}

const restoredHeading = "The server was put back to an earlier state"

it("shows what goes back, takes the code alone, and sends again what this browser holds", {
  timeout: 240_000,
}, async () => {
  await practice.register("ada")
  const program = await practice.open("ada")
  await createPatient(program, { ...brady, firstName: "Before" })
  await practice.putAway(program)
  const page = await visitor()
  await signIn(page)
  await page.getByRole("link", { name: "Kuhlman, Before" }).waitFor()
  await practice.backUp("backup")
  await page.getByRole("link", { name: "New patient" }).click()
  const fields = { "First name": "Since", "Last name": "Kuhlman", "Date of birth": "1961-07-09", Diagnosis: "Gout" }
  for (const [label, text] of Object.entries(fields)) await page.getByLabel(label).fill(text)
  await page.getByRole("button", { name: "Save", exact: true }).click()
  await page.getByRole("heading", { name: "Since Kuhlman" }).waitFor()
  await page.getByRole("button", { name: "ada Byron" }).click()
  await page.getByRole("menuitem", { name: "Sign out" }).click()
  await page.getByRole("heading", { name: "Sign in" }).waitFor()

  const pins = async () => (await sealedIn(page)).filter(([name]) => name.startsWith("pins/"))
  const pinned = await pins()
  expect(pinned).toHaveLength(1)
  const { code } = await practice.restore("backup")
  await signIn(page)
  await page.getByRole("heading", { name: restoredHeading }).waitFor()
  await page.getByText("Kuhlman, Since").waitFor()
  await page.getByText("the whole record").waitFor()
  expect(await page.content()).not.toContain(code)
  await look(page, "restored")
  const download = page.waitForEvent("download")
  await page.getByRole("button", { name: "Save a copy of your entries" }).click()
  const lost = JSON.parse(await readFile(await (await download).path(), "utf8"))
  expect(lost).toMatchObject([{ changes: expect.any(Array) }])
  expect(JSON.stringify(lost)).toContain("Gout")

  const confirm = page.getByRole("button", { name: "Confirm the restore" })
  await page.getByLabel("Code of the restore").fill("12345 12345 12345 12345 12345 12345")
  await confirm.click()
  await page.getByText("not the code of this restore").waitFor()
  await look(page, "wrong-code")
  expect(await pins()).toEqual(pinned)
  await page.getByLabel("Code of the restore").fill(code)
  await confirm.click()
  await page.getByRole("heading", { name: "The restore is confirmed" }).waitFor()
  await page.getByText("sent again").waitFor()
  await look(page, "confirmed")
  await page.getByRole("button", { name: "Go to your patients" }).click()
  await page.getByRole("link", { name: "Kuhlman, Before" }).waitFor()
  await page.getByRole("link", { name: "Kuhlman, Since" }).waitFor()
  await page.context().close()
})

/** The sheet that the page shows. */
const wordsOn = (page: Page) => page.getByRole("listitem").allTextContents()

it("has password and words made again, and an owner confirm who may read", { timeout: 400_000 }, async () => {
  for (const username of ["eve", "bea", "mal"]) await practice.register(username)
  const eve = await practice.open("eve")
  const bea = await practice.open("bea")
  const mal = await practice.open("mal")
  await meet(eve, bea)
  await meet(eve, mal)
  const { id } = await createPatient(eve, { ...brady, firstName: "Shared" })
  await give(eve, bea, id, "writer")
  await give(eve, mal, id, "reader")
  await practice.putAway(mal)
  const colleague = await visitor()
  await signIn(colleague, "bea")
  await colleague.getByRole("link", { name: "Kuhlman, Shared" }).waitFor()
  await practice.backUp("second")
  await unshare(eve, id, mal.session.physician)
  await changePassword(eve.session, password, "a new password of eve's")
  await renewWords(eve.session, "a new password of eve's")
  await practice.putAway(eve)

  // Each browser is ahead by something of its own; eve's knows of the removal and of the new password.
  const owner = await visitor()
  await signIn(owner, "eve", "a new password of eve's")
  await owner.getByRole("link", { name: "Kuhlman, Shared" }).click()
  await diagnose(owner, "Written by Eve")
  await diagnose(colleague, "Written by Bea", id)
  for (const page of [owner, colleague]) {
    await page.waitForTimeout(3000)
    await page.getByRole("button", { name: /Byron$/ }).click()
    await page.getByRole("menuitem", { name: "Sign out" }).click()
    await page.getByRole("heading", { name: "Sign in" }).waitFor()
  }
  const { code } = await practice.restore("second")

  await signIn(owner, "eve", "a new password of eve's")
  await owner.getByText("put back to an earlier state on").waitFor()
  await look(owner, "refused-since")
  await signIn(owner, "eve")
  await owner.getByRole("heading", { name: restoredHeading }).waitFor()
  await owner.getByText("mal can read it again").waitFor()
  await owner.getByRole("button", { name: "Confirm the restore" }).click()
  await owner.getByText("Type the code of 30 digits.").waitFor()
  await owner.getByText("Choose a password.").waitFor()
  await look(owner, "renew")
  await owner.getByLabel("Code of the restore").fill(code)
  await owner.getByLabel("New password", { exact: true }).fill("one more password of eve's")
  await owner.getByLabel("Confirm new password").fill("one more password of eve's")
  await owner.getByRole("button", { name: "Confirm the restore" }).click()
  await owner.getByRole("heading", { name: "Your recovery words" }).waitFor()
  await look(owner, "new-words")
  await confirmWords(owner, await wordsOn(owner))
  await owner.getByRole("heading", { name: "The restore is confirmed" }).waitFor()
  await owner.getByText("One entry waits").waitFor()
  await owner.getByRole("button", { name: "Save a copy of your entries" }).waitFor()
  await look(owner, "waiting")
  await owner.getByRole("button", { name: "Go to your patients" }).click()

  // A colleague's program confirms for them; their browser holds an entry, and says what becomes of it.
  const again = await practice.openAnyway("bea")
  await again.session.confirmRestore(code)
  await practice.putAway(again)
  await signIn(colleague, "bea")
  await colleague.getByText("You have confirmed this on another device.").waitFor()
  await colleague.getByText("mal can read it again").waitFor()
  await look(colleague, "followed")
  await colleague.getByRole("button", { name: "Go on" }).click()
  await colleague.getByText("One entry waits").waitFor()
  await colleague.getByRole("button", { name: "Go to your patients" }).click()
  await colleague.getByRole("link", { name: "Kuhlman, Shared" }).click()
  await colleague.getByRole("link", { name: "Sharing" }).click()
  await colleague.getByText("Nothing can be written here until eve has confirmed").waitFor()
  await look(colleague, "sharing-writer")

  await owner.getByRole("link", { name: "Kuhlman, Shared" }).click()
  await owner.getByRole("link", { name: "Sharing" }).click()
  await owner.getByText("You or another owner had removed mal, or given them less").waitFor()
  const readers = owner.getByRole("listitem").filter({ has: owner.getByRole("checkbox") })
  expect(await readers.getByText("Verified", { exact: true }).count()).toBe(2)
  await owner.getByText("Confirm who can read it; after that you can make a colleague an owner.").waitFor()
  expect(await owner.getByRole("checkbox", { name: /^mal/ }).isChecked()).toBe(false)
  expect(await owner.getByRole("checkbox", { name: /^bea/ }).isChecked()).toBe(true)
  expect(await owner.getByRole("button", { name: "Remove mal" }).count()).toBe(0)
  await look(owner, "sharing-owner")
  await owner.getByRole("button", { name: "Confirm", exact: true }).click()
  await owner.getByText("Confirmed, under a fresh key.").waitFor()
  await look(owner, "sharing-confirmed")
  await owner.getByRole("link", { name: "History" }).click()
  await owner.getByText("Written by Eve").first().waitFor()
  expect(await owner.getByText("mal", { exact: true }).count()).toBe(0)

  // Eve's entry was faster: bea's stays where it is, and is named the next time.
  await colleague.getByRole("button", { name: /Byron$/ }).click()
  await colleague.getByRole("menuitem", { name: "Sign out" }).click()
  for (const page of [owner, colleague]) await page.context().close()
})

it("names what could not be sent again", { timeout: 240_000 }, async () => {
  for (const username of ["gus", "hal"]) await practice.register(username)
  const gus = await practice.open("gus")
  const hal = await practice.open("hal")
  await meet(gus, hal)
  await createPatient(gus, { ...brady, firstName: "Left" })
  for (const work of [gus, hal]) await practice.putAway(work)
  await practice.backUp("third")
  const page = await visitor()
  await signIn(page, "gus")
  await page.getByRole("link", { name: "Kuhlman, Left" }).click()
  await page.getByRole("link", { name: "Sharing" }).click()
  await page.getByLabel("Colleague’s username").fill("hal")
  await page.getByRole("button", { name: "Share", exact: true }).click()
  await page.getByText("Shared with hal").waitFor()
  await page.waitForTimeout(3000)
  const { code } = await practice.restore("third")
  await signIn(page, "gus")
  await page.getByLabel("Code of the restore").fill(code)
  await page.getByRole("button", { name: "Confirm the restore" }).click()
  await page.getByText("One could not be sent").waitFor()
  await page.getByText("Kuhlman, Left").waitFor()
  await page.getByText("Decide that anew, under Sharing.").waitFor()
  expect(await page.getByRole("button", { name: "Save a copy of your entries" }).count()).toBe(0)
  await look(page, "left")
  await page.context().close()
})

it("lets somebody in who has only the recovery words and the code", { timeout: 240_000 }, async () => {
  const words = await practice.register("fay")
  const program = await practice.open("fay")
  await createPatient(program, { ...brady, firstName: "Kept" })
  await practice.putAway(program)
  await practice.backUp("fourth")
  const { code } = await practice.restore("fourth")
  const page = await visitor()
  await page.goto(`${practice.url}/recover`)
  await page.getByLabel("Username").fill("fay")
  await page.getByLabel("Recovery words").fill(words.join(" "))
  await page.getByLabel("New password", { exact: true }).fill("a new password of fay's")
  await page.getByLabel("Confirm new password").fill("a new password of fay's")
  await page.getByRole("button", { name: "Set new password" }).click()
  await page.getByRole("heading", { name: restoredHeading }).waitFor()
  await page.getByText("Nothing that this device has seen.").waitFor()
  expect(await page.getByText("Kuhlman").count()).toBe(0)
  await look(page, "words-restored")
  await page.getByLabel("Code of the restore").fill(code)
  await page.getByRole("button", { name: "Confirm the restore" }).click()
  await page.getByRole("heading", { name: "Your recovery words" }).waitFor()
  const fresh = await wordsOn(page)
  expect(fresh).toHaveLength(24)
  expect(fresh).not.toEqual(words)
  await confirmWords(page, fresh)
  await page.getByRole("heading", { name: "The restore is confirmed" }).waitFor()
  await page.getByRole("button", { name: "Go to your patients" }).click()
  await page.getByRole("link", { name: "Kuhlman, Kept" }).waitFor()
  expect((await practice.open("fay", "elsewhere", "a new password of fay's")).roster.rows.size).toBe(1)
  await page.context().close()
})

/** Changes the diagnosis of the record that is open, or of this one. */
async function diagnose(page: Page, diagnosis: string, id?: string): Promise<void> {
  if (id !== undefined) await page.getByRole("link", { name: "Kuhlman, Shared" }).click()
  await page.getByRole("link", { name: "Edit" }).click()
  await page.getByLabel("Diagnosis").fill(diagnosis)
  await page.getByRole("button", { name: "Save", exact: true }).click()
  await page.waitForURL(/\/records\/[^/]+$/)
  await page.getByText(diagnosis).first().waitFor()
}
