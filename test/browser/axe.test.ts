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
    await page.goto(`${url}/reopen`)
    await page.getByRole("heading", { name: "Open with an earlier keyring" }).waitFor()
    await look(page, "an earlier keyring")
    await page.goto(`${url}/register`)
    await page.getByRole("heading", { name: "Create your account" }).waitFor()
    await button("Create account")
    await look(page, "registration with errors")
    const words = await signUp(page, url, username)
    expect(words).toHaveLength(24)
    await page.getByText("you need not type them").waitFor()
    await look(page, "recovery words")
    await confirmWords(page, words)
    await page.getByText("No patients yet").waitFor()
    await look(page, "home without patients")

    await to("New patient")
    await page.getByLabel("Date of birth").waitFor()
    await button("Save")
    await page.getByText("Enter the first name.").waitFor()
    // This browser writes the day first, and is not asked.
    await page.getByLabel("Date of birth").fill("7/9/1980")
    await page.getByLabel("Diagnosis").focus()
    await page.getByText("Is this 7 September or 9 July? Write 1980-09-07 or 1980-07-09.").waitFor()
    await look(page, "new patient with errors")
    await page.getByLabel("Date of birth").fill("")
    await to("Cancel")
    await addPatient(page, "Brent", "Beer", "12.3.1961", "Hypertension")
    await look(page, "record")
    await button("Export")
    await page.getByText("is not encrypted: whoever has the file can read it").waitFor()
    await look(page, "exported")
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

    await to("Sharing")
    await page.getByText("You are its only owner").waitFor()
    await look(page, "sharing with nobody")
    await to("Patients")
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
    await to("Invitations")
    await page.getByText("No invitations wait for you.").waitFor()
    await look(page, "no invitations")
    await to("Activity")
    await page.getByRole("table", { name: "Activity" }).waitFor()
    await look(page, "account activity")
    await page.goto(`${url}/colleagues`)
    await page.getByText("Nobody yet.").waitFor()
    await look(page, "no colleagues")
    await page.goto(`${url}/share`)
    await page.getByText("No records are selected.").waitFor()
    await look(page, "nothing to share")
    await to("Settings")
    await page.getByText("Lock when idle").waitFor()
    const minutes = await page.getByLabel("Lock when idle").locator("option").allTextContents()
    expect(minutes).toEqual(["1 minute", "2 minutes", "5 minutes", "10 minutes", "15 minutes"])
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

  it.each([
    { width: 1280, height: 800 },
    { width: 390, height: 844 },
  ])("finds nothing where colleagues meet at $width px", { timeout: 240_000 }, async (viewport) => {
    findings.length = 0
    const { url } = clinic
    const join = async (username: string) => {
      const visitor = await clinic.visitor({ viewport })
      await confirmWords(visitor.page, await signUp(visitor.page, url, username))
      await visitor.page.getByText("No patients yet").waitFor()
      return visitor
    }
    const [ada, beta] = [`ada${viewport.width}`, `beta-with-a-long-username-of-a-hospital${viewport.width}`]
    const one = await join(ada)
    const two = await join(beta)
    const { page } = one
    const button = (name: string) => page.getByRole("button", { name, exact: true }).click()
    const tab = (name: string) => page.getByRole("navigation", { name: "This record" }).getByText(name).click()
    const match = async (who: typeof page) => {
      await who.getByLabel(/I compared all twelve groups/).check()
      await who.getByRole("button", { name: "They match" }).click()
      await who.getByText(/^You verified/).waitFor()
    }

    await addPatient(page, "Brent", "Beer", "12.3.1961", "Hypertension")
    const record = page.url()
    await tab("Sharing")
    await page.getByLabel("Colleague’s username").fill(beta)
    await button("Share")
    await page.getByText(`You have not verified ${beta} yet`).waitFor()
    await look(page, "sharing with somebody not verified")
    await page.getByRole("link", { name: `Verify ${beta}` }).click()
    await page.getByRole("heading", { name: "Your safety number" }).waitFor()
    await look(page, "safety number")
    await button("They match")
    await button("They differ")
    await page.getByText("Nothing was verified.").waitFor()
    await look(page, "safety number that differs")
    await match(page)
    await look(page, "verified")
    await page.getByRole("link", { name: "Go on sharing" }).click()
    await page.getByLabel("Last day").fill("2040-12-31")
    await button("Share")
    await page.getByText(`Shared with ${beta} as reader, until 31 Dec 2040.`).waitFor()
    await look(page, "sharing")
    await page.getByRole("button", { name: `Change ${beta}` }).click()
    await look(page, "change of a member")
    await page.getByLabel("Role").last().selectOption("owner")
    await look(page, "a further owner")
    await page.keyboard.press("Escape")
    await page.getByRole("button", { name: `Remove ${beta}` }).click()
    await look(page, "removal")
    await page.keyboard.press("Escape")
    await tab("Activity")
    await page.getByRole("table", { name: "Activity" }).waitFor()
    await look(page, "record activity")
    await tab("History")
    await page.getByText("changed who can read it").waitFor()
    await look(page, "history of sharing")

    await two.page.getByRole("link", { name: "Invitations 1 waiting" }).click()
    await two.page.getByText(`You have not verified ${ada} yet`).waitFor()
    await look(two.page, "invitation of somebody not verified")
    await two.page.getByRole("link", { name: /^Verify first/ }).click()
    await match(two.page)
    await two.page.getByRole("link", { name: "Back to your invitations" }).click()
    await two.page.getByRole("button", { name: `Accept from ${ada}` }).waitFor()
    await look(two.page, "invitation")
    await two.page.getByRole("button", { name: `Decline from ${ada}` }).click()
    await look(two.page, "declining")
    await two.page.keyboard.press("Escape")
    await two.page.getByRole("button", { name: `Accept from ${ada}` }).click()
    await two.page.getByText("1 record accepted.").waitFor()
    await look(two.page, "accepted")
    await two.page.goto(record)
    await two.page.getByText("You can read this record.").waitFor()
    await look(two.page, "record that is read only")
    await two.page.goto(`${record}/sharing`)
    await two.page.getByText("Only an owner can share this record").waitFor()
    await look(two.page, "sharing before a reader")
    await two.page.goto(`${url}/colleagues`)
    await two.page.getByRole("link", { name: ada }).waitFor()
    await look(two.page, "colleagues")

    await page.getByRole("link", { name: "Patients" }).click()
    await page.getByRole("link", { name: "Beer, Brent" }).waitFor()
    await button("Select")
    await button("Select all")
    await page.getByText("1 record selected").waitFor()
    await look(page, "selection")
    await page.getByRole("link", { name: "Share…" }).click()
    await page.getByLabel("Colleague’s username").fill(beta)
    await look(page, "sharing a selection")
    await page.getByLabel("Last day").fill("2040-12-31")
    await button("Share 1 record")
    await page.getByText("1 record was theirs already").waitFor()
    await look(page, "what was shared")
    await two.page.goto(record)
    await two.page.getByText("You can read this record.").waitFor()
    await page.goto(`${record}/sharing`)
    await page.getByRole("button", { name: `Remove ${beta}` }).click()
    await button("Remove")
    await two.page.getByRole("heading", { name: "You can no longer read this record" }).waitFor()
    await look(two.page, "record that is gone")

    expect(findings).toEqual([])
    expect(clinic.complaints).toEqual([])
    await one.context.close()
    await two.context.close()
  })
})
