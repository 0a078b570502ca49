import { mkdtemp, rm } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import type { Page } from "playwright-core"
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import { createPatient } from "../../src/client/edits.ts"
import { openClient } from "../client.ts"
import { type Clinic, confirmWords, openClinic, password, signUp } from "./page.ts"

const records = 120

describe("many records at once", () => {
  let folder: string
  let clinic: Clinic

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), "healthcrypt-many-"))
    clinic = await openClinic()
  })
  afterAll(async () => {
    await clinic.close()
    await rm(folder, { recursive: true, force: true })
    expect(clinic.complaints).toEqual([])
  })

  const button = (page: Page, name: string) => page.getByRole("button", { name, exact: true })

  async function newcomer(username: string) {
    const { page } = await clinic.visitor()
    await confirmWords(page, await signUp(page, clinic.url, username))
    await page.getByText("No patients yet").waitFor()
    return page
  }

  async function match(page: Page, whom: string) {
    await page.goto(`${clinic.url}/colleagues/${whom}`)
    await page.getByLabel(/I compared all twelve groups/).check()
    await button(page, "They match").click()
    await page.getByText(`You verified ${whom}`).waitFor()
  }

  it("are shared with progress, stopped, gone on with, and accepted in one action", async () => {
    const ada = await newcomer("ada")
    const beta = await newcomer("beta")
    await match(ada, "beta")
    await match(beta, "ada")
    const program = await openClient(clinic.url, folder, "ada", password)
    for (let number = 0; number < records; number++) {
      const fields = { firstName: "Nr", lastName: `Patient ${number}`, birthDate: "1980-01-02", diagnosis: "Gout" }
      await createPatient(program, fields)
    }
    program.close()

    await ada.getByRole("link", { name: "Patients", exact: true }).click()
    await ada.getByText(`${records} patients`).waitFor()
    await button(ada, "Select").click()
    await ada.getByLabel("Search patients").fill("patient 11")
    await ada.getByText(/^11 of/).waitFor()
    await button(ada, "Select all 11 found").click()
    await ada.getByText("11 records selected").waitFor()
    await ada.getByLabel("Search patients").fill("")
    await button(ada, "Select all").click()
    await ada.getByText(`${records} records selected`).waitFor()
    await ada.getByRole("link", { name: "Share…" }).click()
    await ada.getByLabel("Colleague’s username").fill("beta")
    await ada.getByLabel("Role").selectOption("writer")
    await button(ada, `Share ${records} records`).click()
    await ada.getByRole("progressbar", { name: "Sharing" }).waitFor()
    await ada.getByText(/a second/).waitFor()
    await button(ada, "Cancel").click()
    await ada.getByRole("heading", { name: "Stopped" }).waitFor()
    const stopped = await ada.getByRole("status").filter({ hasText: "not reached" }).innerText()
    const [shared = 0, left = 0] = [...stopped.matchAll(/(\d+) records? /g)].map(([, number]) => Number(number))
    expect(shared + left).toBe(records)
    expect(left).toBeGreaterThan(0)
    await button(ada, "Go on").click()
    await ada.getByText(`${left} ${left === 1 ? "record" : "records"} shared.`).waitFor({ timeout: 60_000 })
    await ada.getByText(/shared so already/).waitFor()

    await beta.getByRole("link", { name: `Invitations ${records} waiting` }).click()
    await button(beta, `Accept all ${records} from ada`).click()
    await beta.getByRole("progressbar", { name: "Accepting" }).waitFor()
    await beta.getByText(`${records} records accepted.`).waitFor({ timeout: 60_000 })
    await beta.getByRole("link", { name: "Go to your patients" }).click()
    await beta.getByText(`${records} patients`).waitFor()
    await beta.getByText("with ada").first().waitFor()
  })
})
