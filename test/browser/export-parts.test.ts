import { randomBytes } from "node:crypto"
import { mkdtemp, rm, writeFile } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import type { Download, Page } from "playwright-core"
import { afterAll, beforeAll, expect, it } from "vitest"
import { type Clinic, confirmWords, openClinic, signUp } from "./page.ts"

let clinic: Clinic
let page: Page
let folder: string

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "healthcrypt-parts-"))
  clinic = await openClinic()
  page = (await clinic.visitor({ acceptDownloads: true })).page
  page.setDefaultTimeout(120_000)
  await confirmWords(page, await signUp(page, clinic.url, "ada", "Ada Byron"))
  await page.getByText("No patients yet").waitFor()
})
afterAll(async () => {
  await clinic.close()
  await rm(folder, { recursive: true, force: true })
  expect(clinic.complaints).toEqual([])
})

/** A file of one patient whose documents do not shrink. */
async function fileOf(tag: string): Promise<string> {
  const patient = {
    resourceType: "Patient",
    id: "p",
    name: [{ family: "Big", given: ["Bo"] }],
    birthDate: "1970-01-01",
  }
  const documents = Array.from({ length: 8 }, (_, i) => ({
    resourceType: "Binary",
    id: `${tag}${i}`,
    contentType: "image/png",
    data: randomBytes(1_000_000).toString("base64"),
  }))
  const entry = [patient, ...documents].map((resource) => ({ resource }))
  const path = join(folder, `${tag}.json`)
  await writeFile(path, JSON.stringify({ resourceType: "Bundle", type: "collection", entry }))
  return path
}

async function choose(...paths: readonly string[]) {
  if (!page.url().endsWith("/import")) {
    await page.getByRole("link", { name: "Patients", exact: true }).click()
    await page.locator('a[href="/import"]').first().click()
  }
  await page.getByLabel("FHIR files").setInputFiles(paths)
}

it("a record that does not go into one file is saved as several, which come in as one record, also beside the old one", async () => {
  await choose(await fileOf("a"), await fileOf("b"))
  await page.getByText("1 file added, 1 merged").waitFor()
  await page.getByRole("link", { name: "Bo Big" }).first().click()

  const downloads: Download[] = []
  page.on("download", (download) => downloads.push(download))
  await page.getByRole("button", { name: "Export" }).click()
  await page.getByText("is saved as 2 files").waitFor()
  await expect.poll(() => downloads.length, { timeout: 30_000 }).toBe(2)
  const names = downloads.map((download) => download.suggestedFilename())
  expect(names[0]).toMatch(/^record-[A-Za-z0-9_-]{22}\.json$/)
  expect(names[1]).toBe(names[0]!.replace(".json", "-2.json"))
  const paths = names.map((name) => join(folder, name))
  for (const [at, download] of downloads.entries()) await download.saveAs(paths[at]!)

  await choose(...paths)
  await page.getByText("2 files with nothing new").waitFor()
  await page.getByLabel("As new records").check()
  await choose(...paths)
  await page.getByText("1 file added, 1 merged").waitFor()
  expect(await page.getByLabel("As new records").isChecked()).toBe(false)
  await page.getByRole("link", { name: "Patients", exact: true }).click()
  await expect.poll(() => page.getByRole("link", { name: /Bo Big|Big/ }).count()).toBe(2)
}, 300_000)
