import { afterAll, beforeAll, expect, it } from "vitest"
import { look } from "./look.ts"
import { addPatient, type Clinic, confirmWords, openClinic, signIn, signUp } from "./page.ts"

let clinic: Clinic
beforeAll(async () => {
  clinic = await openClinic()
})
afterAll(() => clinic?.close())

it("says that what is new could not be checked, until the server answers", async () => {
  const { page, context } = await clinic.visitor()
  await confirmWords(page, await signUp(page, clinic.url, "ada"))
  await page.getByRole("heading", { name: "Welcome, Ada Byron" }).waitFor()
  const unanswered = page.getByText("What you see may not be the newest")
  expect(await unanswered.count()).toBe(0)
  await context.route("**/api/keyring", (route) =>
    route.request().method() === "GET"
      ? route.fulfill({ status: 503, json: { code: "UNAVAILABLE", message: "" } })
      : route.fallback(),
  )
  // Another device, which the keyring then lists: this one has to ask for it.
  const other = await clinic.visitor()
  await signIn(other.page, clinic.url, "ada")
  await addPatient(other.page, "Brady", "Kuhlman", "1961-07-09", "Hypertension")
  await unanswered.waitFor()
  await look(page, "what is new is not checked")
  await context.unroute("**/api/keyring")
  // It is asked again by itself.
  await expect.poll(() => unanswered.count(), { timeout: 30_000 }).toBe(0)
  clinic.forgive(/status of 503/)
  expect(clinic.complaints).toEqual([])
})
