import { mkdtemp, rm } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { AxeBuilder } from "@axe-core/playwright"
import { afterAll, beforeAll, expect, it } from "vitest"
import { createPatient } from "../../src/client/edits.ts"
import { appendLie } from "../append-raw.ts"
import { openClient } from "../client.ts"
import { type Clinic, confirmWords, openClinic, password, signUp } from "./page.ts"

let folder: string
let clinic: Clinic
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "healthcrypt-summary-"))
  clinic = await openClinic()
})
afterAll(async () => {
  await clinic.close()
  await rm(folder, { recursive: true, force: true })
  expect(clinic.complaints).toEqual([])
})

it("a record whose line in the list says something else is told apart from it, until the next change", async () => {
  const { page } = await clinic.visitor()
  await confirmWords(page, await signUp(page, clinic.url, "ada"))
  await page.getByText("No patients yet").waitFor()
  const program = await openClient(clinic.url, folder, "ada", password)
  const { id } = await createPatient(program, {
    firstName: "Brady",
    lastName: "Kuhlman",
    birthDate: "1961-07-09",
    diagnosis: "Hypertension",
  })
  await appendLie(program, id, "Somebody Else")
  program.close()

  await page.getByRole("link", { name: "Somebody Else, Brady" }).click()
  await page.getByRole("heading", { name: "Brady Kuhlman" }).waitFor()
  const notice = page.getByText("The last entry gave the list of patients something else")
  await notice.waitFor()
  expect((await new AxeBuilder({ page }).analyze()).violations).toEqual([])
  await page.getByRole("link", { name: "Edit", exact: true }).click()
  await page.getByLabel("Diagnosis").fill("Prediabetes")
  await page.getByRole("button", { name: "Save", exact: true }).click()
  await page.waitForURL(/\/records\/[^/]+$/)
  await page.getByText("Prediabetes").waitFor()
  await notice.waitFor({ state: "detached" })
  await page.getByRole("link", { name: "Patients", exact: true }).click()
  await page.getByRole("link", { name: "Kuhlman, Brady" }).waitFor()
})
