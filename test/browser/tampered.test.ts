import type { BrowserContext, Page } from "playwright-core"
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import { addPatient, type Clinic, confirmWords, openClinic, signIn, signUp } from "./page.ts"

type Json = Record<string, unknown>

/** What a server that lies looks like from the page: answers are changed on their way to the worker. */
describe("the page before a server that lies", () => {
  let clinic: Clinic

  beforeAll(async () => {
    clinic = await openClinic()
  })
  afterAll(async () => {
    await clinic.close()
    expect(clinic.complaints).toEqual([])
  })

  const button = (page: Page, name: string) => page.getByRole("button", { name, exact: true })

  async function join(username: string, name: string) {
    const visitor = await clinic.visitor()
    await confirmWords(visitor.page, await signUp(visitor.page, clinic.url, username, name))
    await visitor.page.getByText("No patients yet").waitFor()
    return visitor
  }

  /** Changes one answer on its way. */
  async function lie(context: BrowserContext, url: RegExp, change: (answer: Json) => void) {
    await context.route(url, async (route) => {
      const response = await route.fetch()
      const answer = (await response.json()) as Json
      change(answer)
      await route.fulfill({ response, json: answer })
    })
  }

  /** Another byte in the middle of something base64. */
  function spoilt(text: unknown): string {
    const whole = String(text)
    const at = Math.floor(whole.length / 2)
    return `${whole.slice(0, at)}${whole[at] === "A" ? "B" : "A"}${whole.slice(at + 1)}`
  }

  async function textOf(page: Page, press: () => Promise<void>): Promise<string> {
    const download = page.waitForEvent("download")
    await press()
    return (await (await (await download).createReadStream()).toArray()).join("")
  }

  it("shows what was expected and what came, and nothing of the record; the others go on", async () => {
    const first = await join("ada", "Ada Byron")
    await addPatient(first.page, "Zoe", "Zimmer", "1980-01-02", "Gout")
    await first.page.getByRole("link", { name: "Patients", exact: true }).click()
    await addPatient(first.page, "Brent", "Beer", "12.3.1961", "Hypertension")
    const address = new URL(first.page.url())
    await first.context.close()

    const { page, context } = await clinic.visitor()
    await lie(context, new RegExp(`/api/records/${address.pathname.split("/").at(-1)}/entries`), (answer) => {
      for (const entry of answer.entries as Json[]) if (entry.body) entry.body = spoilt(entry.body)
    })
    await signIn(page, clinic.url, "ada")
    await page.goto(address.href)
    await page.getByRole("heading", { name: "Stop: what the server sent does not check" }).waitFor()
    const name = address.pathname.split("/").at(-1)?.slice(0, 6)
    await page.getByText(`TAMPERED_TOKEN · record ${name}`).waitFor()
    expect(await page.locator("main").innerText()).not.toMatch(/password/)
    for (const title of ["Expected", "Found", "What it may mean", "Whom to call"]) await page.getByText(title).waitFor()
    expect(await page.locator("main").innerText()).not.toMatch(/Beer|Hypertension/)
    const evidence = await textOf(page, () => button(page, "Save the evidence").click())
    expect(JSON.parse(evidence)).toMatchObject({ healthcrypt: "evidence", code: "TAMPERED_TOKEN" })
    expect(evidence).not.toMatch(/Beer|Hypertension/)
    await page.goto(`${address.href}/history`)
    await page.getByRole("heading", { name: "Stop: what the server sent does not check" }).waitFor()
    await page.getByRole("link", { name: "Patients", exact: true }).click()
    await page.getByText("1 record cannot be shown.").waitFor()
    await page.getByRole("link", { name: "Zimmer, Zoe" }).click()
    await page.getByRole("heading", { name: "Zoe Zimmer" }).waitFor()
    await context.close()
  })

  it("refuses an invitation whose keys are not the signed ones, says why, and shows no patient", async () => {
    const ada = await clinic.visitor()
    await signIn(ada.page, clinic.url, "ada")
    const beta = await join("beta", "Beta Gamma")
    const match = async (page: Page, whom: string) => {
      await page.goto(`${clinic.url}/colleagues/${whom}`)
      await page.getByLabel(/I compared all twelve groups/).check()
      await button(page, "They match").click()
      await page.getByText(`You verified ${whom}`).waitFor()
    }
    await match(ada.page, "beta")
    await match(beta.page, "ada")
    await lie(beta.context, /\/api\/records\/[^/]+\/entries/, (answer) => {
      for (const entry of answer.entries as Json[]) if (entry.grant) entry.grant = spoilt(entry.grant)
    })
    await ada.page.getByRole("link", { name: "Patients", exact: true }).click()
    await ada.page.getByRole("link", { name: "Zimmer, Zoe" }).click()
    await ada.page.getByRole("link", { name: "Sharing" }).click()
    await ada.page.getByLabel("Colleague’s username").fill("beta")
    await button(ada.page, "Share").click()
    await ada.page.getByText("Shared with beta as reader.").waitFor()

    const { page } = beta
    await page.getByRole("link", { name: "Invitations 1 waiting" }).click()
    await page.getByRole("button", { name: "Accept from ada" }).click()
    await page.getByText("0 records accepted, 1 refused.").waitFor()
    await page.getByText("Can’t be accepted:").waitFor()
    await page.getByText("TAMPERED_GRANT").waitFor()
    expect(await page.getByRole("button", { name: /^Accept/ }).count()).toBe(0)
    expect(await textOf(page, () => page.getByRole("button", { name: /^Save the evidence/ }).click())).toContain(
      "TAMPERED_GRANT",
    )
    await page.getByRole("link", { name: "Patients", exact: true }).click()
    await page.getByText("No patients yet").waitFor()
    expect(await page.content()).not.toContain("Zimmer")
    await ada.context.close()
    await beta.context.close()
  })
})
