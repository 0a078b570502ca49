import { mkdtemp, rm } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import type { BrowserContext, Page } from "playwright-core"
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import { share } from "../../src/client/sharing.ts"
import { openClient } from "../client.ts"
import { addPatient, type Clinic, confirmWords, openClinic, password, signUp } from "./page.ts"

interface Visitor {
  readonly page: Page
  readonly context: BrowserContext
}

/** Three physicians in three browser profiles, from the first call to the day one of them goes. */
describe("colleagues", () => {
  let clinic: Clinic
  let ada: Visitor
  let beta: Visitor
  let gamma: Visitor
  let record = ""

  beforeAll(async () => {
    clinic = await openClinic()
    const register = async (username: string, name: string): Promise<Visitor> => {
      const visitor = await clinic.visitor()
      await confirmWords(visitor.page, await signUp(visitor.page, clinic.url, username, name))
      await visitor.page.getByText("No patients yet").waitFor()
      return visitor
    }
    ada = await register("ada", "Ada Byron")
    beta = await register("beta", "Beta Gamma")
    gamma = await register("gamma", "Grete Hermann")
    await addPatient(ada.page, "Brent", "Beer", "12.3.1961", "Hypertension")
    record = ada.page.url()
  })
  afterAll(async () => {
    await clinic.close()
    expect(clinic.complaints).toEqual([])
  })

  const button = (page: Page, name: string) => page.getByRole("button", { name, exact: true })
  const link = (page: Page, name: string) => page.getByRole("link", { name, exact: true })
  const tab = (page: Page, name: string) => page.getByRole("navigation", { name: "This record" }).getByText(name)
  /** Milliseconds since 1970, by the page's own clock: all of them run on one machine. */
  const timeOfText = (page: Page, text: string) =>
    page.evaluate(
      (wanted) =>
        new Promise<number>((resolve) => {
          const look = () => {
            if (!document.body.innerText.includes(wanted)) return
            observer.disconnect()
            resolve(Date.now())
          }
          const observer = new MutationObserver(look)
          observer.observe(document.body, { childList: true, subtree: true, characterData: true })
          look()
        }),
      text,
    )
  const digitsOf = async (page: Page) => {
    const [, digits = ""] = /((?:\d{5}\s+){11}\d{5})/.exec(await page.locator("main").innerText()) ?? []
    return digits.replace(/\s+/g, " ")
  }

  it("leads from an unverified colleague over the safety number back to sharing", async () => {
    const { page } = ada
    await tab(page, "Sharing").click()
    await page.getByText("You are its only owner").waitFor()
    await page.getByLabel("Colleague’s username").fill("nobody-like-this")
    await button(page, "Share").click()
    await page.getByText("Nobody here has this username").waitFor()
    await page.getByLabel("Colleague’s username").fill("beta")
    await page.getByLabel("Role").selectOption("writer")
    await button(page, "Share").click()
    await link(page, "Verify beta").click()
    await page.getByRole("heading", { name: "Your safety number" }).waitFor()
    await beta.page.goto(`${clinic.url}/colleagues/ada`)
    await beta.page.getByRole("heading", { name: "Your safety number" }).waitFor()
    const digits = await digitsOf(page)
    expect(digits).toMatch(/^\d{5}( \d{5}){11}$/)
    expect(await digitsOf(beta.page)).toBe(digits)
    await button(page, "They match").click()
    await page.getByText("Tick this once you have done so").waitFor()
    await page.getByLabel(/I compared all twelve groups/).check()
    await button(page, "They match").click()
    await page.getByText(/You verified beta on .* by comparing the digits/).waitFor()
    await link(page, "Go on sharing").click()
    expect(await page.getByLabel("Colleague’s username").inputValue()).toBe("beta")
    expect(await page.getByLabel("Role").inputValue()).toBe("writer")
    await button(page, "Share").click()
    await page.getByText("Shared with beta as writer.").waitFor()
    await page.getByText("writer", { exact: true }).waitFor()
  })

  it("shows an invitation at once, and nothing is accepted from somebody who is not verified", async () => {
    const { page } = beta
    await page.getByRole("link", { name: "Invitations 1 waiting" }).click()
    await page.getByText("You have not verified ada yet").waitFor()
    expect(await page.getByRole("button", { name: /^Accept/ }).count()).toBe(0)
    expect(await page.content()).not.toContain("Beer")
    await page.getByRole("link", { name: /^Verify first/ }).click()
    const digits = await page
      .getByLabel("The digits they read to you")
      .waitFor()
      .then(() => digitsOf(page))
    await page.getByLabel("The digits they read to you").fill("12345")
    await button(page, "Compare").click()
    await page.getByText("These are 5 digits; it takes 60.").waitFor()
    await page
      .getByLabel("The digits they read to you")
      .fill(digits.replace(/^\d/, (digit) => String(9 - Number(digit))))
    await button(page, "Compare").click()
    await page.getByText("These numbers are not the same. Nothing was verified.").waitFor()
    await page.getByLabel("The digits they read to you").fill(digits)
    await button(page, "Compare").click()
    await page.getByText(/You verified ada on/).waitFor()
    await link(page, "Back to your invitations").click()
    await page.getByRole("button", { name: "Accept from ada" }).click()
    await page.getByText("1 record accepted.").waitFor()
    await link(page, "Go to your patients").click()
    await page.getByRole("link", { name: "Beer, Brent" }).waitFor()
    await page.getByText("with ada").first().waitFor()
  })

  it("verifies by a picture of the other's code", async () => {
    await gamma.page.goto(`${clinic.url}/colleagues/ada`)
    const picture = await gamma.page.getByRole("img", { name: /QR code/ }).screenshot()
    const { page } = ada
    await page.goto(`${clinic.url}/colleagues`)
    await page.getByLabel("Find by username").fill("Gamma")
    await button(page, "Find").click()
    const chooser = page.getByLabel("Picture of their code")
    const wrong = await page.getByRole("heading", { name: "gamma" }).screenshot()
    await chooser.setInputFiles({ name: "name.png", mimeType: "image/png", buffer: wrong })
    await page.getByText("There is no code to be read in this picture").waitFor()
    await chooser.setInputFiles({ name: "code.png", mimeType: "image/png", buffer: picture })
    await page.getByText(/You verified gamma on .* by scanning their code/).waitFor()
  })

  it("shares a selection, which is accepted at once; a reader is offered no editing", async () => {
    const { page } = ada
    await link(page, "Patients").click()
    await addPatient(page, "Zoe", "Zimmer", "1980-01-02", "Gout")
    await link(page, "Patients").click()
    await button(page, "Select").click()
    await button(page, "Select all").click()
    await page.getByText("2 records selected").waitFor()
    await link(page, "Share…").click()
    await page.getByLabel("Colleague’s username").fill("gamma")
    await button(page, "Share 2 records").click()
    await page.getByText("2 records shared with gamma as reader.").waitFor()
    await gamma.page.getByLabel(/I compared all twelve groups/).check()
    await button(gamma.page, "They match").click()
    await gamma.page.getByText(/You verified ada on/).waitFor()
    await gamma.page.getByRole("link", { name: "Invitations 2 waiting" }).click()
    await gamma.page.getByRole("button", { name: "Accept all 2 from ada" }).click()
    await gamma.page.getByText("2 records accepted.").waitFor()
    await gamma.page.goto(record)
    await gamma.page.getByText("You can read this record. It belongs to ada.").waitFor()
    expect(await link(gamma.page, "Edit").count()).toBe(0)
    expect(await button(gamma.page, "Archive").count()).toBe(0)
    await gamma.page.goto(`${record}/edit`)
    await gamma.page.getByText("You may read this record, not write in it").waitFor()
    await gamma.page.goto(record)
  })

  it("shows a colleague's change to whoever reads the record within a second", async () => {
    await ada.page.goto(record)
    await beta.page.goto(`${record}/edit`)
    await beta.page.getByLabel("Diagnosis").fill("Essential hypertension")
    for (const { page } of [ada, gamma]) await page.getByRole("heading", { name: "Brent Beer" }).waitFor()
    const pages = [beta.page, ada.page, gamma.page]
    const shown = Promise.all(pages.map((page) => timeOfText(page, "Essential hypertension")))
    await button(beta.page, "Save").click()
    const [byBeta = 0, ...byOthers] = await shown
    for (const at of byOthers) expect(at - byBeta, "ms after the page of who wrote it").toBeLessThan(1000)
  })

  it("tells of a colleague's change, and keeps what is being typed", async () => {
    for (const { page } of [ada, beta]) {
      await page.goto(`${record}/edit`)
      await page.getByLabel("Diagnosis").waitFor()
    }
    await ada.page.getByLabel("First name").fill("Brent Bruno")
    await beta.page.getByLabel("Diagnosis").fill("Secondary hypertension")
    await button(beta.page, "Save").click()
    await beta.page.getByRole("heading", { name: "Brent Beer" }).waitFor()
    await ada.page.getByText("beta changed this record just now.").waitFor()
    expect(await ada.page.getByLabel("First name").inputValue()).toBe("Brent Bruno")
    await button(ada.page, "Save").click()
    await ada.page.getByRole("heading", { name: "Brent Bruno Beer" }).waitFor()
    await ada.page.getByText("Secondary hypertension").waitFor()
    await beta.page.getByRole("heading", { name: "Brent Bruno Beer" }).waitFor()
    await tab(ada.page, "History").click()
    await ada.page.getByText("Beta Gamma").first().waitFor()
  })

  it("takes a colleague out: their page says so, and gives them what they were typing", async () => {
    await link(beta.page, "Edit").click()
    await beta.page.getByLabel("Diagnosis").fill("Never to be saved")
    await tab(ada.page, "Sharing").click()
    await ada.page.getByRole("button", { name: "Remove beta" }).click()
    await ada.page.getByText("What beta has already read can’t be unread.").waitFor()
    await button(ada.page, "Remove").click()
    await ada.page.getByText("beta is removed.").waitFor()
    await beta.page.getByRole("heading", { name: "You can no longer read this record" }).waitFor()
    await button(beta.page, "Download what you typed").waitFor()
    await beta.page.reload()
    await beta.page.getByText("There is no record here for you").waitFor()
    const download = beta.page.waitForEvent("download")
    await button(beta.page, "Download what you typed").click()
    const stream = await (await download).createReadStream()
    expect((await stream.toArray()).join("")).toContain("Diagnosis: Never to be saved")
    await link(beta.page, "Go to your patients").click()
    await beta.page.getByText("No patients yet").waitFor()
    await beta.page.goto(record)
    await beta.page.getByText("There is no record here for you").waitFor()
    await gamma.page.getByRole("heading", { name: "Brent Bruno Beer" }).waitFor()
  })

  it("lists who opened, wrote and shared, filters it and hands it out as a file", async () => {
    const { page } = ada
    await tab(page, "Activity").click()
    await page.getByRole("table", { name: "Activity" }).waitFor()
    await page.getByText("Opening and exporting are noted by the server").waitFor()
    const rows = await page.locator("tbody tr").allInnerTexts()
    expect(rows.some((row) => /gamma/.test(row) && /Opened/.test(row))).toBe(true)
    expect(rows.some((row) => /beta/.test(row) && /Wrote/.test(row))).toBe(true)
    await page.getByLabel("What", { exact: true }).selectOption("shared")
    const shared = await page.locator("tbody tr").count()
    expect(shared).toBe(3)
    const download = page.waitForEvent("download")
    await button(page, "Export CSV").click()
    const text = (await (await (await download).createReadStream()).toArray()).join("")
    expect(text.trim().split("\r\n")).toHaveLength(shared + 1)
    await page.getByLabel("From", { exact: true }).fill("2020-01-01")
    await page.getByLabel("To", { exact: true }).fill("2020-01-02")
    await page.getByText("Nothing in this period and of this kind.").waitFor()
  })

  it("lets nobody leave before the next owner has accepted, and tells who declined from who left", async () => {
    await tab(ada.page, "Sharing").click()
    await ada.page.getByText("You are its only owner").waitFor()
    await ada.page.getByLabel("Colleague’s username").fill("beta")
    await ada.page.getByLabel("Role").selectOption("owner")
    await button(ada.page, "Share").click()
    await ada.page.getByText("Shared with beta as owner.").waitFor()
    await ada.page.getByText("Invited, not accepted yet").waitFor()
    await ada.page.getByText("beta is to be an owner, but has not accepted the invitation").waitFor()
    expect(await button(ada.page, "Leave…").count()).toBe(0)
    await beta.page.getByRole("link", { name: "Invitations 1 waiting" }).click()
    await beta.page.getByRole("button", { name: "Decline from ada" }).click()
    await button(beta.page, "Decline").click()
    await beta.page.getByText("1 record declined.").waitFor()
    await ada.page.getByText("Invited, not accepted yet").waitFor({ state: "detached" })
    await tab(ada.page, "Activity").click()
    await ada.page.getByRole("row").filter({ hasText: "beta" }).getByText("Declined").waitFor()
    await tab(ada.page, "History").click()
    await ada.page.getByText("beta left, or declined the invitation").waitFor()
    expect(await ada.page.getByText("beta left", { exact: true }).count()).toBe(0)
  })

  it("passes ownership on, and lets an owner leave who is not the last", async () => {
    await tab(ada.page, "Sharing").click()
    await ada.page.getByText("You are its only owner").waitFor()
    await ada.page.getByRole("button", { name: "Change gamma" }).click()
    await ada.page.getByRole("dialog").getByLabel("Role").selectOption("owner")
    await button(ada.page, "Save").click()
    await ada.page.getByText("What gamma may do is changed.").waitFor()
    await link(gamma.page, "Edit").waitFor()
    await button(ada.page, "Leave…").click()
    await button(ada.page, "Leave").click()
    await ada.page.getByRole("heading", { name: "You have left this record" }).waitFor()
    await link(gamma.page, "Edit").click()
    await gamma.page.getByLabel("Diagnosis").fill("Written after everybody left")
    await button(gamma.page, "Save").click()
    await gamma.page.getByText("Written after everybody left").waitFor()
  })

  it("says so when a physician's time in a record is over", async () => {
    const home = await mkdtemp(join(tmpdir(), "healthcrypt-program-"))
    const program = await openClient(clinic.url, home, "ada", password)
    const zimmer = [...program.roster.rows.values()].find(({ lastName }) => lastName === "Zimmer")
    const many = { progress: () => {}, signal: { aborted: false } }
    await link(gamma.page, "Patients").click()
    await gamma.page.getByRole("link", { name: "Zimmer, Zoe" }).click()
    await gamma.page.getByRole("heading", { name: "Zoe Zimmer" }).waitFor()
    await share(program, zimmer ? [zimmer.id] : [], "gamma", "reader", Date.now() + 10_000, many)
    program.close()
    await rm(home, { recursive: true, force: true })
    const over = gamma.page.getByRole("heading", { name: "You can no longer read this record" })
    await over.waitFor({ timeout: 90_000 })
  })

  it("ends another session from the account's activity", async () => {
    const other = await clinic.visitor()
    await other.page.goto(`${clinic.url}/login`)
    await other.page.getByLabel("Username").fill("ada")
    await other.page.getByLabel("Password", { exact: true }).fill(password)
    await button(other.page, "Sign in").click()
    await other.page.getByRole("heading", { name: "Welcome, Ada Byron" }).waitFor()
    const { page } = ada
    await page.getByRole("navigation", { name: "Main" }).getByText("Activity").click()
    const session = page.getByRole("listitem").filter({ hasText: "Browser" }).getByRole("button")
    await session.click()
    await page.getByText("Whoever uses it has to sign in again.").waitFor()
    await button(page, "Cancel").click()
    await session.click()
    await button(page, "End session").click()
    await session.waitFor({ state: "detached" })
    await page.getByText("Browser · this one").waitFor()
    await page.getByText("Chrome on Linux · this one").waitFor()
    // It hears of it at once, and shows nothing more.
    await other.page
      .getByRole("button", { name: /Sign in|Unlock/ })
      .first()
      .waitFor({ timeout: 8_000 })
    expect(await other.page.getByText("Welcome, Ada Byron").count()).toBe(0)
    await other.context.close()
    clinic.forgive(/401/)
  })
})
