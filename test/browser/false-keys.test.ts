import { mkdtemp, rm } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { AxeBuilder } from "@axe-core/playwright"
import type { Page } from "playwright-core"
import { afterAll, beforeAll, expect, it } from "vitest"
import { createPatient } from "../../src/client/edits.ts"
import { openClient } from "../client.ts"
import { edit, give, meet, raiseFalsely } from "../colleagues.ts"
import { type Clinic, confirmWords, openClinic, password, signUp } from "./page.ts"

let folder: string
let clinic: Clinic
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "healthcrypt-false-keys-"))
  clinic = await openClinic()
})
afterAll(async () => {
  await clinic.close()
  await rm(folder, { recursive: true, force: true })
  expect(clinic.complaints).toEqual([])
})

async function newcomer(username: string): Promise<Page> {
  const { page } = await clinic.visitor()
  await confirmWords(page, await signUp(page, clinic.url, username))
  await page.getByText("No patients yet").waitFor()
  return page
}

it("names the colleague whose key does not open, and lets an owner remove them and a reader leave", async () => {
  const pages: Record<string, Page> = {}
  for (const username of ["ada", "mallory", "cyd"]) pages[username] = await newcomer(username)
  const [adaPage, cydPage] = [pages.ada!, pages.cyd!]
  const program = (username: string) => openClient(clinic.url, join(folder, username), username, password)
  const [ada, mallory, cyd] = [await program("ada"), await program("mallory"), await program("cyd")]
  await meet(ada, mallory)
  await meet(ada, cyd)
  const { id } = await createPatient(ada, {
    firstName: "Brady",
    lastName: "Kuhlman",
    birthDate: "1961-07-09",
    diagnosis: "Hypertension",
  })
  await give(ada, mallory, id, "writer")
  await give(ada, cyd, id, "reader")
  await adaPage.getByText("1 patient").waitFor()
  await raiseFalsely(mallory, id)
  await edit(mallory, id, "Written under a key of their own")

  for (const page of [adaPage, cydPage]) {
    await page.getByText("1 record cannot be shown.").waitFor()
    await page.getByRole("link", { name: /^record / }).click()
    await page.getByRole("heading", { name: "mallory gave you a key that does not open this record" }).waitFor()
    await page.getByRole("button", { name: "Save the evidence" }).waitFor()
    expect(await page.locator("main").innerText()).not.toMatch(/Kuhlman|Hypertension/)
    expect((await new AxeBuilder({ page }).analyze()).violations).toEqual([])
  }
  expect(await cydPage.getByRole("button", { name: "Remove mallory…" }).count()).toBe(0)
  await cydPage.getByRole("button", { name: "Leave the record…" }).click()
  await cydPage.getByRole("button", { name: "Leave", exact: true }).click()
  await cydPage.getByText("No patients yet").waitFor()

  await adaPage.getByRole("button", { name: "Remove mallory…" }).click()
  await adaPage.getByRole("button", { name: "Remove", exact: true }).click()
  await adaPage.getByRole("heading", { name: "Brady Kuhlman" }).waitFor()
  await adaPage
    .getByText("1 entry by mallory cannot be read and is left out: mallory gave you a key that does not open it.")
    .waitFor()
  await adaPage.getByRole("link", { name: "History" }).click()
  await adaPage.getByText("The key that you were given does not open").waitFor()
  for (const work of [ada, mallory, cyd]) work.close()
})
