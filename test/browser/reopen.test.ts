import { join } from "node:path"
import { DatabaseSync } from "node:sqlite"
import { afterAll, beforeAll, expect, it } from "vitest"
import { look } from "./look.ts"
import { addPatient, type Clinic, confirmWords, openClinic, password, signIn, signUp } from "./page.ts"

let clinic: Clinic
beforeAll(async () => {
  clinic = await openClinic()
})
afterAll(() => clinic?.close())

/** What a failing disk does to the newest keyring, after whoever signed out has saved theirs: the page shows nothing of that. */
async function damageKeyring(username: string): Promise<void> {
  const database = new DatabaseSync(join(clinic.dataDir, "healthcrypt.db"), { timeout: 10_000 })
  const sessions = database.prepare("select count(*) as count from session")
  await expect.poll(() => sessions.get()?.count, { timeout: 30_000 }).toBe(0)
  database.prepare("update physician set keyring = zeroblob(length(keyring)) where username = ?").run(username)
  database.close()
}

it("opens an account whose newest keyring is damaged, on a button of its own, with every record there", async () => {
  const { page } = await clinic.visitor()
  await confirmWords(page, await signUp(page, clinic.url, "ada"))
  await page.getByRole("heading", { name: "Welcome, Ada Byron" }).waitFor()
  await addPatient(page, "Brady", "Kuhlman", "1961-07-09", "Hypertension")
  await page.getByRole("button", { name: "Ada Byron" }).click()
  await page.getByRole("menuitem", { name: "Sign out" }).click()
  await page.getByRole("heading", { name: "Sign in" }).waitFor()
  await damageKeyring("ada")

  await page.getByLabel("Username").fill("ada")
  await page.getByLabel("Password", { exact: true }).fill(password)
  await page.getByRole("button", { name: "Sign in", exact: true }).click()
  const way = page.getByRole("link", { name: "Open with an earlier keyring" })
  await way.waitFor()
  expect(await page.getByText("Kuhlman").count()).toBe(0)
  await look(page, "a keyring that does not open")
  await way.click()
  // Until it is there, the fields are those of signing in.
  await page.getByRole("heading", { name: "Open with an earlier keyring" }).waitFor()
  await page.getByLabel("Username").fill("ada")
  await page.getByLabel("Password", { exact: true }).fill("not the password of ada")
  await page.getByRole("button", { name: "Open with an earlier keyring" }).click()
  await page.getByText("do not match").waitFor()
  await page.getByLabel("Password", { exact: true }).fill(password)
  await page.getByRole("button", { name: "Open with an earlier keyring" }).click()
  await page.getByRole("heading", { name: "Welcome, Ada Byron" }).waitFor()
  await page.getByRole("link", { name: "Kuhlman, Brady" }).waitFor()

  // From then on signing in is what it was.
  const other = await clinic.visitor()
  await signIn(other.page, clinic.url, "ada")
  await other.page.getByRole("link", { name: "Kuhlman, Brady" }).waitFor()
  clinic.forgive(/status of 401/)
  expect(clinic.complaints).toEqual([])
})
