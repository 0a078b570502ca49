import { writeFile } from "node:fs/promises"
import { join } from "node:path"
import type { Page } from "playwright-core"
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import { type Clinic, confirmWords, openClinic, signUp } from "./page.ts"

describe("an import on the page", () => {
  let clinic: Clinic
  let page: Page

  beforeAll(async () => {
    clinic = await openClinic()
    page = (await clinic.visitor()).page
    await confirmWords(page, await signUp(page, clinic.url, "ada", "Ada Byron"))
    await page.getByText("No patients yet").waitFor()
  })
  afterAll(async () => {
    await clinic.close()
    expect(clinic.complaints).toEqual([])
  })

  const patients = (count: number, filling = "") =>
    JSON.stringify({
      resourceType: "Bundle",
      type: "collection",
      entry: Array.from({ length: count }, (_, i) => ({
        resource: {
          resourceType: "Patient",
          id: `p${i}`,
          name: [{ family: `Import${i}${filling}` }],
          birthDate: "1970-01-01",
        },
      })),
    })

  async function choose(name: string, text: string) {
    const path = join(clinic.dataDir, "..", name)
    await writeFile(path, text)
    if (!page.url().endsWith("/import")) await page.locator('a[href="/import"]').first().click()
    await page.getByLabel("FHIR files").setInputFiles(path)
  }

  const cancel = () => page.getByRole("button", { name: "Cancel", exact: true })

  it("is cancelled while a file is checked, before anything of it is stored", async () => {
    await choose("checked.json", patients(20_000, "x".repeat(1000)))
    await cancel().click()
    await page.getByText("Nothing of this file was taken.").waitFor({ timeout: 60_000 })
    await page.getByRole("link", { name: "Patients", exact: true }).click()
    await page.getByText("No patients yet").waitFor()
  })

  it("is cancelled while a file is read from the disk", async () => {
    await page.evaluate(() => {
      const read = File.prototype.arrayBuffer
      File.prototype.arrayBuffer = async function (this: File) {
        await new Promise((resolve) => setTimeout(resolve, 1000))
        return read.call(this)
      }
    })
    await choose("slow.json", patients(1))
    await cancel().click()
    await page.getByText("Nothing of this file was taken.").nth(0).waitFor()
    await page.getByRole("link", { name: "Patients", exact: true }).click()
    await page.getByText("No patients yet").waitFor()
    await page.reload()
    await page.getByText("No patients yet").waitFor()
  })

  it("is cancelled between two patients, names who was taken, and goes on with the same file", async () => {
    const text = patients(120)
    await choose("many.json", text)
    await page.getByText(/^[1-9]\d* resources?$/).waitFor({ timeout: 60_000 })
    await cancel().click()
    await page.getByText("Choose the file again to go on with the rest.").waitFor({ timeout: 60_000 })
    const taken = await page.getByRole("link", { name: /^Import\d+$/ }).count()
    expect(taken).toBeGreaterThan(0)
    expect(taken).toBeLessThan(120)
    for (const [width, scheme] of [
      [1280, "light"],
      [390, "dark"],
    ] as const) {
      await page.emulateMedia({ colorScheme: scheme })
      await page.setViewportSize({ width, height: 800 })
      expect(await page.evaluate(() => document.documentElement.scrollWidth <= innerWidth)).toBe(true)
    }
    await page.setViewportSize({ width: 1280, height: 800 })
    await choose("many.json", text)
    await page.getByText(`${120 - taken} added, 0 changed of 120 resources`).waitFor({ timeout: 120_000 })
  })
})
