import type { Browser, Page } from "playwright-core"
import { afterAll, beforeAll, expect, it } from "vitest"
import { createPatient } from "../../src/client/edits.ts"
import { unshare } from "../../src/client/sharing.ts"
import type { Workspace } from "../../src/client/workspace.ts"
import type { RecordId } from "../../src/encoding/ids.ts"
import { launchChromium } from "../chromium.ts"
import { brady, give, meet } from "../colleagues.ts"
import { password, Restoring } from "../restoring.ts"
import { look } from "./look.ts"

/** After a restore, the page says what waits, for whom, and where it is confirmed. */
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

async function signIn(page: Page, username: string): Promise<void> {
  await page.goto(`${practice.url}/login`)
  await page.getByLabel("Username").fill(username)
  await page.getByLabel("Password", { exact: true }).fill(password)
  await page.getByRole("button", { name: "Sign in", exact: true }).click()
}

async function visitor(): Promise<Page> {
  const context = await browser.newContext({ locale: "en-GB", reducedMotion: "reduce" })
  context.setDefaultTimeout(30_000)
  return context.newPage()
}

it("tells who has to confirm before anything is typed, and confirms many at a time", {
  timeout: 400_000,
}, async () => {
  for (const username of ["eve", "bea", "mal"]) await practice.register(username)
  const eve = await practice.open("eve")
  const bea = await practice.open("bea")
  const mal = await practice.open("mal")
  await meet(eve, bea)
  await meet(eve, mal)
  const shared = async (firstName: string, ...others: Workspace[]): Promise<RecordId> => {
    const { id } = await createPatient(eve, { ...brady, firstName })
    for (const work of others) await give(eve, work, id, "writer")
    return id
  }
  await shared("Alone")
  const first = await shared("First", bea)
  await shared("Second", bea, mal)
  await shared("Third", bea)
  const apart = await shared("Apart", bea, mal)
  for (const work of [bea, mal]) await practice.putAway(work)
  await practice.putAway(eve)
  await practice.backUp("night")
  await unshare(eve, apart, mal.session.physician)
  await practice.putAway(eve)
  // Her browser saw the removal.
  const owner = await visitor()
  await signIn(owner, "eve")
  await owner.getByRole("link", { name: "Kuhlman, Apart" }).waitFor()
  await owner.getByRole("button", { name: /Byron$/ }).click()
  await owner.getByRole("menuitem", { name: "Sign out" }).click()
  await owner.getByRole("heading", { name: "Sign in" }).waitFor()
  const { code } = await practice.restore("night")

  await signIn(owner, "eve")
  await owner.getByLabel("Code of the restore").fill(code)
  await owner.getByRole("button", { name: "Confirm the restore" }).click()
  await owner.getByText("4 records wait until you have confirmed who can read them:").waitFor()
  await owner.getByText("Kuhlman, First").waitFor()
  await look(owner, "waiting-restored")
  await owner.getByRole("button", { name: "Go to your patients" }).click()

  await owner.getByText("4 records wait until you have confirmed who can read them.").waitFor()
  expect(await owner.getByText("waits until an owner").count()).toBe(4)
  await look(owner, "waiting-home")
  await owner.getByRole("link", { name: "Kuhlman, First" }).click()
  await owner.getByText("Nothing can be written here until you have confirmed").waitFor()
  expect(await owner.getByRole("link", { name: "Edit", exact: true }).count()).toBe(0)
  expect(await owner.getByRole("button", { name: "Archive" }).count()).toBe(0)
  await look(owner, "waiting-overview")
  await owner.goto(`${practice.url}/records/${first}/edit`)
  await owner.getByRole("heading", { name: "Edit First Kuhlman" }).waitFor()
  await owner.getByText("Nothing can be written here until you have confirmed").waitFor()
  expect(await owner.getByLabel("Diagnosis").count()).toBe(0)
  await look(owner, "waiting-edit")
  await owner.getByRole("link", { name: "Confirm who can read this record" }).click()
  await owner.getByRole("heading", { name: "Confirm who may read this record" }).waitFor()

  const colleague = await visitor()
  await signIn(colleague, "bea")
  await colleague.getByLabel("Code of the restore").fill(code)
  await colleague.getByRole("button", { name: "Confirm the restore" }).click()
  await colleague.getByText("4 records wait until their owners have confirmed who can read them:").waitFor()
  await colleague.getByRole("button", { name: "Go to your patients" }).click()
  await colleague.getByRole("link", { name: "Kuhlman, Second" }).click()
  await colleague.getByText("Nothing can be written here until eve has confirmed").waitFor()
  expect(await colleague.getByRole("link", { name: "Edit", exact: true }).count()).toBe(0)
  await look(colleague, "waiting-writer")

  await owner.goto(practice.url)
  await owner.getByRole("link", { name: "Confirm who can read them" }).click()
  await owner.getByRole("heading", { name: "Confirm who can read your records" }).waitFor()
  await owner.getByText("You or another owner had removed mal, or given them less.").waitFor()
  const boxes = owner.getByRole("checkbox")
  await boxes.first().waitFor()
  expect(await boxes.count()).toBe(3)
  const row = owner.getByRole("listitem").filter({ hasText: "Kuhlman, Second" })
  for (const reader of ["bea writer Verified", "mal writer Verified", "you owner"])
    await row.getByText(reader).waitFor()
  await row.getByRole("checkbox").check()
  await owner.getByText("1 record ticked").waitFor()
  await look(owner, "waiting-confirm")
  await owner.getByRole("button", { name: "Confirm 1 record" }).click()
  await owner.getByText("1 record confirmed.").waitFor()
  await expect.poll(() => boxes.count()).toBe(2)
  await owner.getByRole("button", { name: "Tick all 2" }).click()
  await owner.getByRole("button", { name: "Confirm 2 records" }).click()
  await owner.getByText("2 records confirmed.").waitFor()
  await expect.poll(() => boxes.count()).toBe(0)
  await look(owner, "waiting-confirmed")
  await owner.getByRole("link", { name: "Kuhlman, Apart" }).click()
  await owner.getByRole("button", { name: "Confirm", exact: true }).click()
  await owner.getByText("Confirmed, under a fresh key.").waitFor()
  await owner.goto(practice.url)
  await owner.getByRole("link", { name: "Kuhlman, First" }).waitFor()
  expect(await owner.getByText("until you have confirmed").count()).toBe(0)
  for (const page of [owner, colleague]) await page.context().close()
})
