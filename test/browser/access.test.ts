import type { Page } from "playwright-core"
import { afterAll, afterEach, beforeAll, describe, expect, test, vi } from "vitest"
import { encodeInvite, parseInvite } from "../../src/protocol/invite.ts"
import { dataFolder } from "../../src/server/data-folder.ts"
import { askOperator } from "../../src/server/operator-socket.ts"
import { look } from "./look.ts"
import { addPatient, type Clinic, confirmWords, openClinic, password, signUp } from "./page.ts"

vi.setConfig({ testTimeout: 120_000, hookTimeout: 120_000 })

const names = { Username: "ada", "First name": "Ada", "Last name": "Byron" }
let clinic: Clinic

const invite = () => askOperator(dataFolder(clinic.dataDir), { do: "invite", days: 7 })

async function fill(page: Page, changes: Readonly<Record<string, string>> = {}): Promise<void> {
  for (const [label, text] of Object.entries({ ...names, ...changes })) await page.getByLabel(label).fill(text)
  await page.getByLabel("Password", { exact: true }).fill(password)
  await page.getByLabel("Confirm password").fill(password)
  await page.getByRole("button", { name: "Create account" }).click()
}

async function wordsOf(page: Page): Promise<string[]> {
  await page.getByRole("heading", { name: "Your recovery words" }).waitFor()
  return page.locator("ol > li").allTextContents()
}

describe("a practice that takes whoever is invited", () => {
  beforeAll(async () => {
    clinic = await openClinic([], { registration: "invited" })
  })
  afterAll(() => clinic?.close())
  afterEach(() => clinic.forgive(/status of 403/))

  test("a link brings its code along, which leaves the address, and signs up once", async () => {
    const { page, context } = await clinic.visitor()
    const made = await invite()
    await page.goto(made.link)
    await expect.poll(() => page.getByLabel("Invitation code").inputValue(), { timeout: 20_000 }).toBe(made.code)
    expect(page.url()).toBe(`${clinic.url}/register`)
    await look(page, "registration with an invitation")
    await fill(page)
    await confirmWords(page, await wordsOf(page))
    await page.getByRole("heading", { name: "Welcome, Ada Byron" }).waitFor()
    await context.close()

    const other = await clinic.visitor()
    await other.page.goto(made.link)
    await fill(other.page, { Username: "eve" })
    await other.page.getByText("this code is missing, mistyped, used or expired").waitFor()
    await other.context.close()
    expect(clinic.complaints.filter((text) => !text.includes("403"))).toEqual([])
  })

  test("a code is typed in, and one that is none, or none at all, is said beside the field", async () => {
    const { page, context } = await clinic.visitor()
    const made = await invite()
    await page.goto(`${clinic.url}/register`)
    await fill(page, { Username: "bea" })
    await page.getByText("Paste the code, or the link").waitFor()
    await look(page, "registration without a code")
    expect(await page.evaluate(() => document.activeElement?.getAttribute("data-path"))).toBe("invite")
    await page.getByLabel("Invitation code").fill(made.code.slice(0, 50))
    await page.getByRole("button", { name: "Create account" }).click()
    await page.getByText("This is not a whole invitation code").waitFor()
    const invented = encodeInvite({ ...parseInvite(made.code), code: new Uint8Array(16) })
    await page.getByLabel("Invitation code").fill(invented)
    await page.getByRole("button", { name: "Create account" }).click()
    await page.getByText("this code is missing, mistyped, used or expired").waitFor()
    await page.getByLabel("Invitation code").fill(`  ${made.code} `)
    await page.getByRole("button", { name: "Create account" }).click()
    await wordsOf(page)
    await context.close()
  })

  test("a server that is not the one of the invitation gets nothing", async () => {
    const { page, context } = await clinic.visitor()
    const made = await invite()
    const lying = encodeInvite({ ...parseInvite(made.code), logKey: new Uint8Array(32).fill(9) })
    const sent: string[] = []
    page.on("request", (request) => sent.push(new URL(request.url()).pathname))
    await page.goto(`${clinic.url}/register#${lying}`)
    await page.getByLabel("Invitation code").waitFor()
    await fill(page, { Username: "gus" })
    await page.getByText("TAMPERED_PRACTICE").first().waitFor()
    expect(sent.filter((path) => path.startsWith("/api/register"))).toEqual([])
    await context.close()
  })

  test("who is suspended while signed in is told so calmly, and goes on once they are let in again", async () => {
    const { page, context } = await clinic.visitor()
    await page.goto((await invite()).link)
    await fill(page, { Username: "sue", "First name": "Sue", "Last name": "Storm" })
    await confirmWords(page, await wordsOf(page))
    await page.getByRole("heading", { name: "Welcome, Sue Storm" }).waitFor()
    await askOperator(dataFolder(clinic.dataDir), { do: "suspend", username: "sue" })
    await page.getByText("Whoever runs the server has suspended this account").waitFor()
    expect(await page.getByText("TAMPERED").count()).toBe(0)
    await look(page, "suspended")
    await page.getByLabel("Password", { exact: true }).fill("not the right one")
    await page.getByRole("button", { name: "Unlock" }).click()
    await page.getByText("This is not your password").waitFor()
    expect(await page.getByText("has suspended this account").count()).toBe(0)
    await page.getByLabel("Password", { exact: true }).fill(password)
    await page.getByRole("button", { name: "Unlock" }).click()
    await page.getByText("This account is suspended at this server").waitFor()
    await look(page, "suspended, and unlocking")
    await page.reload()
    await page.getByRole("heading", { name: "Sign in" }).waitFor()
    await askOperator(dataFolder(clinic.dataDir), { do: "resume", username: "sue" })
    await page.getByLabel("Username").fill("sue")
    await page.getByLabel("Password", { exact: true }).fill(password)
    await page.getByRole("button", { name: "Sign in" }).click()
    await page.getByRole("heading", { name: "Welcome, Sue Storm" }).waitFor()
    await context.close()
  })
})

test("a practice that takes nobody says so, and whom to ask", async () => {
  clinic = await openClinic([], { registration: "closed" })
  try {
    const { page } = await clinic.visitor()
    await page.goto(`${clinic.url}/register`)
    await page.getByRole("heading", { name: "No new accounts here" }).waitFor()
    await page.getByText("ask whoever runs its server").waitFor()
    await look(page, "closed")
    expect(await page.getByLabel("Password").count()).toBe(0)
    expect(clinic.complaints).toEqual([])
  } finally {
    await clinic.close()
  }
})

test("a practice that takes everybody asks for no code", async () => {
  clinic = await openClinic()
  try {
    const { page } = await clinic.visitor()
    await page.goto(`${clinic.url}/register`)
    await page.getByLabel("Username").waitFor()
    expect(await page.getByLabel("Invitation code").count()).toBe(0)
  } finally {
    await clinic.close()
  }
})

test("a colleague who is suspended is told apart where records are shared with them", async () => {
  clinic = await openClinic()
  try {
    const join = async (username: string) => {
      const { page } = await clinic.visitor()
      await confirmWords(page, await signUp(page, clinic.url, username))
      await page.getByRole("heading", { name: "Welcome, Ada Byron" }).waitFor()
      return page
    }
    const page = await join("ada")
    await join("bea")
    await addPatient(page, "Brent", "Beer", "1961-03-12", "Hypertension")
    const record = page.url()
    await page.goto(`${clinic.url}/colleagues/bea`)
    await page.getByLabel(/I compared all twelve groups/).check()
    await page.getByRole("button", { name: "They match" }).click()
    await page.getByText(/^You verified/).waitFor()
    await page.goto(`${record}/sharing`)
    await page.getByLabel("Colleague’s username").fill("bea")
    await page.getByRole("button", { name: "Share", exact: true }).click()
    await page.getByText("Shared with bea as reader").waitFor()
    await askOperator(dataFolder(clinic.dataDir), { do: "suspend", username: "bea" })
    const said = page.getByText("The server says that this account is suspended").first()
    await page.reload()
    await said.waitFor()
    await look(page, "sharing with somebody suspended")
    await page.goto(`${clinic.url}/colleagues/bea`)
    await said.waitFor()
    await look(page, "somebody suspended")
    clinic.forgive(/status of 40[13]/)
    expect(clinic.complaints).toEqual([])
  } finally {
    await clinic.close()
  }
})
