import { readFile } from "node:fs/promises"
import type { Browser, Page } from "playwright-core"
import { afterAll, beforeAll, expect, it } from "vitest"
import { createPatient } from "../../src/client/edits.ts"
import { launchChromium } from "../chromium.ts"
import { brady, edit } from "../colleagues.ts"
import { password, Restoring } from "../restoring.ts"
import { look } from "./look.ts"

/** What the page shows of an entry that a restore took back and that could not be sent again. */
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

async function signIn(page: Page): Promise<void> {
  await page.goto(`${practice.url}/login`)
  await page.getByLabel("Username").fill("gus")
  await page.getByLabel("Password", { exact: true }).fill(password)
  await page.getByRole("button", { name: "Sign in", exact: true }).click()
}

async function signOut(page: Page): Promise<void> {
  await page.getByRole("button", { name: "gus Byron" }).click()
  await page.getByRole("menuitem", { name: "Sign out" }).click()
  await page.getByRole("heading", { name: "Sign in" }).waitFor()
}

it("shows it at home and in the record, has it saved, and lets go of it", { timeout: 240_000 }, async () => {
  await practice.register("gus")
  const program = await practice.open("gus")
  const { id } = await createPatient(program, { ...brady, firstName: "Left" })
  await practice.putAway(program)
  const context = await browser.newContext({ locale: "en-GB" })
  context.setDefaultTimeout(30_000)
  const page = await context.newPage()
  await signIn(page)
  await practice.backUp("night")
  await page.getByRole("link", { name: "Kuhlman, Left" }).click()
  await page.getByRole("link", { name: "Edit" }).click()
  await page.getByLabel("Diagnosis").fill("Allergic to penicillin")
  await page.getByRole("button", { name: "Save", exact: true }).click()
  await page.waitForURL(/\/records\/[^/]+$/)
  await page.getByText("Allergic to penicillin").first().waitFor()
  await signOut(page)
  const { code } = await practice.restore("night")
  const other = await practice.openAnyway("gus", "another device")
  await other.session.confirmRestore(code)
  await edit(other, id, "Gout")
  await practice.putAway(other)

  await signIn(page)
  await page.getByRole("button", { name: "Go on" }).click()
  await page.getByText("One could not be sent").waitFor()
  await page.getByRole("button", { name: "Go to your patients" }).click()
  const alone = "could not be sent again"
  await page.getByText(`1 entry of yours ${alone} after the server was put back`).waitFor()
  await look(page, "left-home")
  await page.getByRole("link", { name: "Kuhlman, Left" }).click()
  await page.getByText(`1 entry of yours ${alone} in this record`).waitFor()
  await look(page, "left-record")
  await page.getByRole("link", { name: "See why" }).click()
  await page.getByRole("heading", { name: "Entries on this device alone" }).waitFor()
  await page.getByText("You have written in this record since.").waitFor()
  expect(await page.getByRole("button", { name: "Remove from this device" }).count()).toBe(0)
  await look(page, "left-kept")
  const download = page.waitForEvent("download")
  await page.getByRole("button", { name: "Save a copy of your entries" }).click()
  expect(await readFile(await (await download).path(), "utf8")).toContain("Allergic to penicillin")
  await look(page, "left-saved")
  await page.getByRole("button", { name: "Remove from this device" }).click()
  await page.getByText("Nothing of yours is on this device alone.").waitFor()
  await look(page, "left-nothing")
  await page.getByRole("link", { name: "Go to your patients" }).click()
  await page.getByRole("link", { name: "Kuhlman, Left" }).waitFor()
  expect(await page.getByText(alone).count()).toBe(0)
  await context.close()
})
