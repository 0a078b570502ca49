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
    const visitor = await clinic.visitor()
    await confirmWords(visitor.page, await signUp(visitor.page, clinic.url, username))
    await visitor.page.getByText("No patients yet").waitFor()
    return visitor
  }

  async function match(page: Page, whom: string) {
    await page.goto(`${clinic.url}/colleagues/${whom}`)
    await page.getByLabel(/I compared all twelve groups/).check()
    await button(page, "They match").click()
    await page.getByText(`You verified ${whom}`).waitFor()
  }

  it("are shared with progress, stopped, gone on with, and accepted in one action", async () => {
    const { page: ada } = await newcomer("ada")
    const { page: beta } = await newcomer("beta")
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
    const names = ada.getByRole("region", { name: "Selected records" }).getByRole("listitem")
    await names.first().waitFor()
    expect(await names.count()).toBe(8)
    await button(ada, `Show ${records - 8} more`).click()
    expect(new Set(await names.allInnerTexts()).size).toBe(records)
    await ada.getByLabel("Colleague’s username").fill("beta")
    await ada.getByLabel("Role").selectOption("writer")
    const lastDay = ada.getByLabel("Last day")
    await lastDay.press("1")
    await button(ada, `Share ${records} records`).click()
    await ada.getByText("Finish this date, or clear it.").waitFor()
    await lastDay.press("Backspace")
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
    await ada
      .getByText(`${left} ${left === 1 ? "record" : "records"} shared with beta as writer.`)
      .waitFor({ timeout: 60_000 })
    await ada.getByText(/theirs already/).waitFor()

    await beta.getByRole("link", { name: `Invitations ${records} waiting` }).click()
    await button(beta, `Accept all ${records} from ada`).click()
    await beta.getByRole("progressbar", { name: "Accepting" }).waitFor()
    await beta.getByText(`${records} records accepted.`).waitFor({ timeout: 60_000 })
    await beta.getByRole("link", { name: "Go to your patients" }).click()
    await beta.getByText(`${records} patients`).waitFor()
    await beta.getByText("with ada").first().waitFor()
  })

  it("tell what was done when the server is lost, keep what was asked, and go on with that", async () => {
    const { page, context } = await newcomer("carol")
    const { page: dora } = await newcomer("dora")
    await match(page, "dora")
    await match(dora, "carol")
    const program = await openClient(clinic.url, folder, "carol", password)
    for (let number = 0; number < 30; number++) {
      const fields = { firstName: "Nr", lastName: `Patient ${number}`, birthDate: "1980-01-02", diagnosis: "Gout" }
      await createPatient(program, fields)
    }
    program.close()

    await page.getByRole("link", { name: "Patients", exact: true }).click()
    await page.getByText("30 patients").waitFor()
    await button(page, "Select").click()
    await button(page, "Select all").click()
    await page.getByText("30 records selected").waitFor()
    await page.getByRole("link", { name: "Share…" }).click()
    await page.getByLabel("Colleague’s username").fill("dora")
    await page.getByLabel("Role").selectOption("writer")
    await page.getByLabel("Last day").fill("2040-12-31")
    await button(page, "Share 30 records").click()
    await page.getByText(/^[1-9]\d* of 30 records/).waitFor()
    await context.setOffline(true)
    await page.getByRole("heading", { name: "Stopped" }).waitFor()
    const lost = page.getByText("The server cannot be reached")
    await lost.waitFor()
    const told = page.getByText(
      /^[1-9]\d* records? shared with dora as writer, until 31 Dec 2040\. \d+ records? not reached\./,
    )
    await told.waitFor()
    await button(page, "Go on").click()
    await told.waitFor()
    await lost.waitFor()
    await context.setOffline(false)
    await lost.waitFor({ state: "detached" })
    await button(page, "Share others").click()
    expect(await page.getByLabel("Colleague’s username").inputValue()).toBe("dora")
    expect(await page.getByLabel("Role").inputValue()).toBe("writer")
    expect(await page.getByLabel("Last day").inputValue()).toBe("2040-12-31")
    await button(page, "Share 30 records").click()
    await page.getByText(/shared with dora as writer, until 31 Dec 2040\. .* theirs already/).waitFor()
    await dora.getByRole("link", { name: "Invitations 30 waiting" }).waitFor()
    clinic.forgive(/ERR_INTERNET_DISCONNECTED/)
  })
})
