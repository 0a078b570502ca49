import { mkdtemp, rm } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterAll, beforeAll, describe, expect, test, vi } from "vitest"
import { canMount, type SmallDisk, smallDisk } from "../small-disk.ts"
import { look } from "./look.ts"
import { addPatient, type Clinic, confirmWords, openClinic, signIn, signUp } from "./page.ts"

vi.setConfig({ testTimeout: 180_000, hookTimeout: 120_000 })

const cannot = "The server cannot store anything right now: you can read, not write."

describe.skipIf(!canMount)("a full disk", () => {
  let folder: string
  let disk: SmallDisk
  let clinic: Clinic

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), "healthcrypt-disk-"))
    disk = smallDisk(join(folder, "disk"), 8)
    clinic = await openClinic([], { dataDir: join(disk.path, "data") })
  })
  afterAll(async () => {
    await clinic?.close()
    disk.unmount()
    await rm(folder, { recursive: true, force: true })
  })

  test("is said calmly, is read from, refuses what would be written, and is over by itself", async () => {
    const { page } = await clinic.visitor()
    await confirmWords(page, await signUp(page, clinic.url, "ada"))
    await page.getByRole("heading", { name: "Welcome, Ada Byron" }).waitFor()
    await addPatient(page, "Brady", "Kuhlman", "1961-07-09", "Hypertension")
    expect(await page.getByText(cannot).count()).toBe(0)
    disk.fill()

    const other = await clinic.visitor()
    await signIn(other.page, clinic.url, "ada")
    await other.page.getByText(cannot).waitFor()
    await look(other.page, "full disk")
    await other.page
      .getByRole("link", { name: /Kuhlman/ })
      .first()
      .click()
    await other.page.getByRole("heading", { name: "Brady Kuhlman" }).waitFor()
    await other.page.getByRole("link", { name: "History" }).click()
    await other.page.getByText("Hypertension").first().waitFor()
    for (const [link, heading] of [
      ["Invitations", "Invitations"],
      ["Colleagues", "Colleagues"],
      ["Activity", "Activity"],
      ["Settings", "Settings"],
    ] as const) {
      await other.page.getByRole("link", { name: link }).first().click()
      await other.page.getByRole("heading", { name: heading, exact: true, level: 1 }).waitFor()
    }
    await other.page.getByRole("button", { name: "Ada Byron" }).click()
    await other.page.getByRole("menuitem", { name: "Sign out" }).click()
    await other.page.getByRole("heading", { name: "Sign in" }).waitFor()
    await signIn(other.page, clinic.url, "ada")
    await other.page.getByText(cannot).waitFor()
    await other.page.getByRole("link", { name: "Patients" }).click()
    await other.page.getByRole("link", { name: "New patient" }).click()
    for (const [label, text] of [
      ["First name", "Carla"],
      ["Last name", "Loos"],
      ["Date of birth", "1970-01-02"],
      ["Diagnosis", "Asthma"],
    ] as const)
      await other.page.getByLabel(label).fill(text)
    await other.page.getByRole("button", { name: "Save" }).click()
    await other.page.getByText("perhaps because its disk is full").waitFor()
    await look(other.page, "full disk, and saving")

    disk.free()
    await expect
      .poll(async () => (await fetch(`${clinic.url}/api/practice`)).headers.has("x-healthcrypt-read-only"), {
        timeout: 30_000,
      })
      .toBe(false)
    await other.page.getByRole("button", { name: "Save" }).click()
    await other.page.getByRole("heading", { name: "Carla Loos" }).waitFor()
    await expect.poll(() => other.page.getByText(cannot).count(), { timeout: 20_000 }).toBe(0)
    clinic.forgive(/status of 507/)
    expect(clinic.complaints).toEqual([])
  })
})
