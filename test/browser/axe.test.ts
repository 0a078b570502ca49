import { existsSync, readdirSync } from "node:fs"
import { join } from "node:path"
import { AxeBuilder } from "@axe-core/playwright"
import type { Page } from "playwright-core"
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import { addPatient, type Clinic, confirmWords, openClinic, password, signUp } from "./page.ts"

const synthea = join(process.env.HEALTHCRYPT_SHARED ?? "../shared", "data/synthea")
const bundles = existsSync(synthea) ? readdirSync(synthea).filter((name) => /_[0-9a-f-]{36}\.json$/.test(name)) : []

describe("axe", () => {
  let clinic: Clinic
  const findings: string[] = []
  const seen: string[] = []

  beforeAll(async () => {
    clinic = await openClinic()
  })
  afterAll(() => clinic.close())

  /** Light and, where it is wide, dark too; nothing may lie beyond the right edge. */
  async function look(page: Page, name: string): Promise<void> {
    seen.push(name)
    const wide = (page.viewportSize()?.width ?? 0) > 1000
    for (const colorScheme of wide ? (["light", "dark"] as const) : (["light"] as const)) {
      await page.emulateMedia({ colorScheme, reducedMotion: "reduce" })
      await page.waitForTimeout(100)
      const { violations } = await new AxeBuilder({ page }).analyze()
      for (const { id, nodes } of violations) {
        findings.push(`${name}, ${colorScheme}: ${id}: ${nodes.map(({ target }) => target.join(" ")).join(" | ")}`)
      }
    }
    const beyond = await page.evaluate(
      () => document.documentElement.scrollWidth - document.documentElement.clientWidth,
    )
    if (beyond > 0) findings.push(`${name}: ${beyond} px beyond the edge`)
  }

  it.each([
    { width: 1280, height: 800 },
    { width: 390, height: 844 },
  ])("finds nothing at $width px", { timeout: 240_000 }, async (viewport) => {
    findings.length = 0
    const username = `axe${viewport.width}`
    const { page, context } = await clinic.visitor({ viewport })
    const { url } = clinic
    const to = (name: string) => page.getByRole("link", { name, exact: true }).click()
    const button = (name: string) => page.getByRole("button", { name, exact: true }).click()

    await page.goto(`${url}/settings`)
    await page.getByRole("heading", { name: "Sign in" }).waitFor()
    await look(page, "log-in")
    await button("Sign in")
    await look(page, "log-in with errors")
    await page.goto(`${url}/recover`)
    await page.getByLabel("Recovery words").waitFor()
    await look(page, "recovery")
    await page.goto(`${url}/register`)
    await page.getByRole("heading", { name: "Create your account" }).waitFor()
    await button("Create account")
    await look(page, "registration with errors")
    const words = await signUp(page, url, username)
    expect(words).toHaveLength(24)
    await look(page, "recovery words")
    await confirmWords(page, words)
    await page.getByText("No patients yet").waitFor()
    await look(page, "home without patients")

    await to("New patient")
    await page.getByLabel("Date of birth").waitFor()
    await button("Save")
    await page.getByText("Enter the first name.").waitFor()
    await look(page, "new patient with errors")
    await to("Cancel")
    await addPatient(page, "Brent", "Beer", "12.3.1961", "Hypertension")
    await look(page, "record")
    await to("Edit")
    await page.getByLabel("Diagnosis").fill("Essential hypertension")
    await look(page, "edit")
    await to("Patients")
    await page.getByRole("dialog").waitFor()
    await look(page, "leaving question")
    await button("Stay")
    await button("Save")
    await page.getByText("Essential hypertension").waitFor()
    await to("History")
    await page.getByText("created the record").waitFor()
    await look(page, "history")
    await page
      .getByRole("link", { name: /^View this version/ })
      .last()
      .click()
    await page.getByText("This is version 1 of 2").waitFor()
    await look(page, "earlier version")

    await to("Import")
    await page.getByText("Drop files here").waitFor()
    await look(page, "import")
    const broken = { name: "broken.json", mimeType: "application/json", buffer: Buffer.from('{"resourceType":') }
    await page.getByLabel("FHIR files").setInputFiles([broken])
    await page.getByText("What was taken").waitFor()
    await look(page, "import refused")
    if (bundles.length > 0) {
      await page.getByLabel("FHIR files").setInputFiles(bundles.slice(0, 3).map((name) => join(synthea, name)))
      await page.getByText("3 files added").waitFor()
      await look(page, "import report")
      await to("Patients")
      await page.locator("tbody a").last().click()
      await page.getByRole("heading", { name: "Observations" }).waitFor()
      await look(page, "imported record")
    }

    await to("Patients")
    await page.getByRole("table").waitFor()
    await look(page, "home")
    await page.getByLabel("Search patients").fill("nobody like this")
    await page.getByText("Nobody matches").waitFor()
    await look(page, "nobody found")
    await button("Ada Byron")
    await page.getByRole("menuitem", { name: "Lock" }).waitFor()
    await look(page, "menu")
    await page.keyboard.press("Escape")
    await to("Settings")
    await page.getByText("Lock when idle").waitFor()
    await look(page, "settings")
    await button("New recovery words")
    await page.getByLabel("Your password").fill(password)
    await button("Make new words")
    await page.getByRole("heading", { name: "Your recovery words" }).waitFor()
    await look(page, "new recovery words")
    await page.goto(`${url}/records/AAAAAAAAAAAAAAAAAAAAAA`)
    await page.getByText("no record here").waitFor()
    await look(page, "unknown record")
    await page.goto(`${url}/nothing/here`)
    await page.getByText("no page here").waitFor()
    await look(page, "unknown page")
    await page.goto(`${url}/`)
    await button("Ada Byron")
    await page.getByRole("menuitem", { name: "Lock" }).click()
    await page.getByRole("button", { name: "Unlock" }).waitFor()
    await look(page, "locked")

    expect(findings).toEqual([])
    expect(clinic.complaints).toEqual([])
    expect(seen.length).toBeGreaterThan(20)
    await context.close()
  })
})
