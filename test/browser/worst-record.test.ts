import type { Browser } from "playwright-core"
import { afterAll, beforeAll, it } from "vitest"
import { builtPage } from "../../src/server/page.ts"
import { launchChromium } from "../chromium.ts"
import { expectModest, peakOf } from "../measured.ts"
import { openPractice, password } from "../practice.ts"
import { renderersOf, worstRecord } from "../worst-record.ts"

const practice = await openPractice(builtPage)
let browser: Browser
beforeAll(async () => {
  browser = await launchChromium({})
})
afterAll(() => browser?.close())

it("opens a record in which three wrote as much as they may, within a gibibyte, and shows what is honest", async () => {
  // Of the shapes that worst-record.test.ts mixes, this one takes the most in a browser.
  const { id } = await worstRecord(practice, [
    ["many", "many"],
    ["many", "many"],
    ["many", "many", "plain"],
  ])
  const context = await browser.newContext({ locale: "en-GB", viewport: { width: 1280, height: 800 } })
  context.setDefaultTimeout(180_000)
  const page = await context.newPage()
  await page.goto(`${practice.server.url}/records/${id}`)
  await page.getByLabel("Username").fill("ada")
  await page.getByLabel("Password", { exact: true }).fill(password)
  await page.getByRole("button", { name: "Sign in" }).click()
  await page.getByRole("heading", { name: "Brady Kuhlman" }).waitFor()
  await page.getByText("Gout").first().waitFor()
  await page
    .getByText(/cannot be read/)
    .first()
    .waitFor()
  expectModest(Math.max(...renderersOf(process.pid).map(peakOf)))
  await page.getByRole("link", { name: "History" }).click()
  for (const diagnosis of ["Hypertension", "Asthma", "Gout"]) await page.getByText(diagnosis).first().waitFor()
}, 600_000)
