import { mkdtemp, rm } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { AxeBuilder } from "@axe-core/playwright"
import { afterAll, beforeAll, expect, it } from "vitest"
import { createPatient } from "../../src/client/edits.ts"
import { openClient } from "../client.ts"
import { brady, give, meet, noteChanged } from "../colleagues.ts"
import { type Clinic, confirmWords, openClinic, password, signUp } from "./page.ts"

let folder: string
let clinic: Clinic
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "healthcrypt-changed-keys-"))
  clinic = await openClinic()
})
afterAll(async () => {
  await clinic.close()
  await rm(folder, { recursive: true, force: true })
  expect(clinic.complaints).toEqual([])
})

it("names members whose keys have changed, says that they go together, and removes them", async () => {
  const usernames = ["ada", "mallory", "maxim"] as const
  const pages = []
  for (const username of usernames) {
    const { page } = await clinic.visitor()
    await confirmWords(page, await signUp(page, clinic.url, username))
    await page.getByText("No patients yet").waitFor()
    pages.push(page)
  }
  const [page] = pages as [(typeof pages)[0]]
  const works = await Promise.all(
    usernames.map((username) => openClient(clinic.url, join(folder, username), username, password)),
  )
  const [ada, mallory, maxim] = works as [(typeof works)[0], (typeof works)[0], (typeof works)[0]]
  const { id } = await createPatient(ada, brady)
  for (const other of [mallory, maxim]) {
    await meet(ada, other)
    await give(ada, other, id, "writer")
  }
  await noteChanged(ada, mallory, maxim)

  const words = "The keys of mallory, maxim have changed since you verified them."
  await page.goto(`${clinic.url}/records/${id}`)
  await page.getByText(words).waitFor()
  await page.getByRole("navigation", { name: "This record" }).getByText("Sharing").click()
  await page.getByText("remove them under Sharing").waitFor()
  expect((await new AxeBuilder({ page }).analyze()).violations).toEqual([])
  await page.getByRole("button", { name: "Remove mallory" }).click()
  await page.getByText("Removed with them: maxim.").waitFor()
  await page.getByRole("button", { name: "Remove", exact: true }).click()
  await page.getByText("mallory, maxim are removed.").waitFor()
  await page.getByText(words).waitFor({ state: "detached" })
  for (const work of works) work.close()
})
