import { mkdtemp, readFile } from "node:fs/promises"
import { join } from "node:path"
import type { Page } from "playwright-core"
import { afterAll, beforeAll, describe, expect, test, vi } from "vitest"
import { sealedIn } from "./browser/page.ts"
import { launchProfile } from "./chromium.ts"
import { Desk } from "./cli.ts"
import { bytesNeedle, dateNeedles, type Needle, Search, textNeedle, wordNeedles } from "./leaks.ts"
import { type Found, searchFolder, searchMemory } from "./places.ts"
import { keyNeedles } from "./secrets.ts"
import { type LiveServer, removeFolder, serve, tempFolder } from "./server.ts"
import { recordWire, type Wire } from "./wire.ts"

/** Texts that stand nowhere in Healthcrypt, in Node or in a browser. */
const physician = { username: "doctor.q", firstName: "Perpetua", lastName: "Quillfeather" }
const password = "zwölf Pfähle im Moorwasser 77"
const patient = {
  firstName: "Wilhelmina",
  lastName: "Brågenthørpe",
  birthDate: "1938-02-27",
  diagnosis: "Morbus Quintessentialis",
}
const laterDiagnosis = "Syndroma Zephyrinum incipiens"
const wordsName = "recovery words"
const unsavedDiagnosis = "Febris Xylophonica fortasse"

vi.setConfig({ testTimeout: 300_000 })

/** The recorder of the wire has a port of its own, by which the server is asked for. */
const byAnyPort = ["--host-name", "localhost", "127.0.0.1"]

let folder: string
let server: LiveServer
let wire: Wire

beforeAll(async () => {
  folder = await tempFolder()
  server = await serve({ dataDir: join(folder, "data"), args: byAnyPort })
  wire = await recordWire(server.port)
})
afterAll(async () => {
  await wire.close()
  await server.stop()
  await removeFolder(folder)
})

/** What a physician typed, read or was given: none of it may be anywhere but with them. */
function typedNeedles(words: readonly string[]): Needle[] {
  return [
    textNeedle("physician's first name", physician.firstName),
    textNeedle("physician's last name", physician.lastName),
    textNeedle("patient's first name", patient.firstName),
    textNeedle("patient's last name", patient.lastName),
    ...dateNeedles("birth date", patient.birthDate),
    textNeedle("first diagnosis", patient.diagnosis),
    textNeedle("its first word alone", patient.diagnosis.split(" ")[1]!),
    textNeedle("second diagnosis", laterDiagnosis),
    textNeedle("its middle word alone", laterDiagnosis.split(" ")[1]!),
    textNeedle("a diagnosis that was never saved", unsavedDiagnosis),
    textNeedle("password", password),
    textNeedle("password, decomposed", password.normalize("NFD")),
    ...wordNeedles(wordsName, words),
  ]
}

/** The four places where a server, or somebody between, could read. */
async function everywhere(search: Search): Promise<{ leaks: readonly Found[]; places: Record<string, number> }> {
  const memory = await searchMemory(search, server.pid)
  const stored = await searchFolder(search, server.dataDir)
  const streams = wire.recorded()
  const log = Buffer.from(server.log())
  const leaks = [
    ...memory.found,
    ...stored.found,
    ...streams.flatMap((stream) => search.find(stream).map((leak) => ({ ...leak, where: "the wire" }))),
    ...search.find(log).map((leak) => ({ ...leak, where: "the server's log" })),
  ]
  return {
    leaks: await withoutOwnText(leaks, search),
    places: {
      memory: memory.bytes,
      files: stored.files.length,
      wire: streams.reduce((sum, stream) => sum + stream.length, 0),
      log: log.length,
    },
  }
}

/** Two words of the list may stand side by side in any program: "any time", "error_type", "indexcluster". What a server or a browser's
 * profile that never met this physician, or the page's own files, hold as well has not leaked. Of nothing but words is this asked. */
async function withoutOwnText(leaks: readonly Found[], search: Search): Promise<readonly Found[]> {
  const isWords = ({ needle }: Found) => needle.startsWith(wordsName)
  if (!leaks.some(isWords)) return leaks
  const place = await mkdtemp(join(folder, "stranger-"))
  const other = await serve({ dataDir: join(place, "data") })
  const stranger = new Desk({
    server: other.url,
    username: "stranger",
    password: "a password of theirs",
    home: join(place, "home"),
  })
  await stranger.register("Some", "Body")
  const memory = await searchMemory(search, other.pid)
  await other.stop()
  const page = await searchFolder(search, join(import.meta.dirname, "../dist/web"))
  const profile = join(place, "profile")
  const browser = await launchProfile(profile, {})
  await browser.close()
  const fresh = await searchFolder(search, profile)
  const own = new Set(
    [...memory.found, ...page.found, ...fresh.found].filter(isWords).map(({ needle, how }) => `${needle} ${how}`),
  )
  return leaks.filter(({ needle, how }) => !own.has(`${needle} ${how}`))
}

/** The same search finds what the server does know: without that, finding nothing would prove nothing. */
async function expectSeen(username: string, record: string): Promise<void> {
  const known = [textNeedle("username", username), textNeedle("record", record)]
  const { leaks } = await everywhere(new Search(known))
  for (const { name } of known) {
    const where = leaks.filter(({ needle, how }) => needle === name && how === "UTF-8").map((leak) => leak.where)
    expect(where, name).toContain("the wire")
    expect(where.some((place) => place.startsWith("memory"))).toBe(true)
    expect(where.some((place) => /healthcrypt\.db(-wal)?$/.test(place))).toBe(true)
  }
  const routes = new Search([textNeedle("route", "/api/records/:record/entries")])
  expect(routes.find(Buffer.from(server.log()))).not.toEqual([])
}

describe("by command line", () => {
  const at = (machine: string) =>
    new Desk({
      server: `http://127.0.0.1:${wire.port}`,
      username: physician.username,
      password,
      home: join(folder, machine),
    })
  let words: string[]
  let id: string

  test("sign up, add a patient, correct the diagnosis; a second machine signs in and sees it", async () => {
    const first = at("first")
    words = await first.register(physician.firstName, physician.lastName)
    expect(words).toHaveLength(24)
    id = await first.add(patient)
    await first.must(["records", "edit", id], { diagnosis: laterDiagnosis })
    const second = at("second")
    const { firstName, lastName, birthDate } = patient
    expect(await second.list()).toEqual([
      { id, firstName, lastName, birthDate, diagnoses: [laterDiagnosis], updated: expect.stringMatching(/^\d{4}-/) },
    ])
    expect(await second.show(id)).toMatchObject({ firstName, lastName, birthDate, diagnosis: laterDiagnosis, seq: 1 })
    const history = JSON.parse(await second.must(["records", "history", id, "--json"]))
    expect(history[0].author).toBe("Perpetua Quillfeather")
    expect(history[0].changes).toEqual([expect.objectContaining({ before: patient.diagnosis, after: laterDiagnosis })])
  })

  test("whoever reads files, log, memory or wire finds no name, date, diagnosis, password, word or key", async () => {
    const typed = typedNeedles(words)
    const keys = await keyNeedles(at("third").where.server, join(folder, "third"), physician.username, password, words)
    const printed = await at("second").must(["token", id, "--yes"])
    const entryKey = Buffer.from(/^key (\S+)$/m.exec(printed)![1]!, "base64url")
    expect(keys.filter(({ forms }) => forms.some(({ bytes }) => bytes.equals(entryKey)))).toHaveLength(1)
    expect(keys.length).toBeGreaterThanOrEqual(20)
    const search = new Search([...typed, ...keys, bytesNeedle("the printed key", entryKey)])
    const { leaks, places } = await everywhere(search)
    expect(leaks).toEqual([])
    expect(places.memory).toBeGreaterThan(20_000_000)
    expect(places.files).toBeGreaterThanOrEqual(6)
    await expectSeen(physician.username, id)
  })

  test("nor does whoever reads what the command line keeps on the physicians' machines", async () => {
    const search = new Search(typedNeedles(words))
    for (const machine of ["first", "second", "third"]) {
      const { found, files } = await searchFolder(search, join(folder, machine))
      expect(found).toEqual([])
      expect(files.length).toBeGreaterThanOrEqual(2)
    }
    expect(await readFile(join(folder, "first/device"), "utf8")).toHaveLength(22)
  })

  test("nor when the server has stopped and put everything into one file", async () => {
    await server.stop()
    const { found } = await searchFolder(new Search(typedNeedles(words)), server.dataDir)
    expect(found).toEqual([])
    server = await serve({ dataDir: server.dataDir, port: server.port, args: byAnyPort })
  })
})

describe("in Chromium", () => {
  const username = "doctor.r"
  let words: string[]
  let id: string
  const profiles: string[] = []
  const complaints: string[] = []

  /** A browser on a fresh profile folder, as on a machine that nobody has used. */
  async function freshBrowser(name: string) {
    const profile = join(folder, name)
    profiles.push(profile)
    const browser = await launchProfile(profile, { locale: "en-GB", viewport: { width: 1280, height: 800 } })
    browser.setDefaultTimeout(60_000)
    const page = browser.pages()[0] ?? (await browser.newPage())
    page.on("pageerror", (error) => complaints.push(error.message))
    page.on("console", (message) => {
      if (["error", "warning"].includes(message.type())) complaints.push(message.text())
    })
    return { browser, page }
  }
  const origin = () => `http://localhost:${wire.port}`
  const fill = async (page: Page, fields: Readonly<Record<string, string>>) => {
    for (const [label, value] of Object.entries(fields)) await page.getByLabel(label, { exact: true }).fill(value)
  }
  const press = (page: Page, name: string) => page.getByRole("button", { name, exact: true }).click()
  const fullName = `${patient.firstName} ${patient.lastName}`

  test("sign up, add a patient, correct the diagnosis", async () => {
    const { browser, page } = await freshBrowser("profile-1")
    await page.goto(`${origin()}/register`)
    const { firstName, lastName } = physician
    await fill(page, { Username: username, "First name": firstName, "Last name": lastName })
    await fill(page, { Password: password, "Confirm password": password })
    await press(page, "Create account")
    await page.getByRole("listitem").nth(23).waitFor()
    words = (await page.locator("ol > li").allTextContents()).map((word) => word.trim())
    expect(words).toHaveLength(24)
    expect(words.join(" ")).toMatch(/^[a-z]+( [a-z]+){23}$/)
    await press(page, "Continue")
    await page
      .getByLabel(/^Word \d+$/)
      .nth(2)
      .waitFor()
    const asked = page.getByLabel(/^Word \d+$/)
    expect(await asked.count()).toBe(3)
    for (const label of await page.locator("label").allTextContents()) {
      const number = Number(/^Word (\d+)/.exec(label)?.[1])
      await page.getByLabel(`Word ${number}`, { exact: true }).fill(words[number - 1]!)
    }
    await press(page, "Continue")
    await page.getByRole("heading", { name: `Welcome, ${firstName} ${lastName}` }).waitFor()

    await page
      .getByRole("link", { name: "New patient" })
      .or(page.getByRole("button", { name: "New patient" }))
      .first()
      .click()
    await page.waitForURL("**/records/new")
    await fill(page, { "First name": patient.firstName, "Last name": patient.lastName })
    await fill(page, { "Date of birth": patient.birthDate, Diagnosis: patient.diagnosis })
    await press(page, "Save")
    await page.getByRole("heading", { name: fullName }).waitFor()
    id = /\/records\/([A-Za-z0-9_-]{22})$/.exec(page.url())![1]!
    await page
      .getByRole("link", { name: "Edit" })
      .or(page.getByRole("button", { name: "Edit" }))
      .first()
      .click()
    await page.getByLabel("Diagnosis", { exact: true }).waitFor()
    await expect
      .poll(() => page.getByLabel("Diagnosis", { exact: true }).inputValue(), { timeout: 30_000 })
      .toBe(patient.diagnosis)
    expect(await page.getByLabel("Date of birth", { exact: true }).inputValue()).toBe(patient.birthDate)
    await fill(page, { Diagnosis: laterDiagnosis })
    await press(page, "Save")
    // The form's own heading has the name too, and its field the text: only the address says that it was saved.
    await page.waitForURL(`**/records/${id}`)
    await page.getByRole("heading", { name: fullName, exact: true }).waitFor()
    await page.getByText(laterDiagnosis).first().waitFor()
    // Typed and never saved: kept for the physician, sealed.
    await page.goto(`${origin()}/records/${id}/edit`)
    const drafts = async () => (await sealedIn(page)).filter(([name]) => name.startsWith("draft/"))
    expect(await drafts()).toEqual([])
    await fill(page, { Diagnosis: unsavedDiagnosis })
    await expect.poll(drafts, { timeout: 30_000 }).toHaveLength(1)
    await browser.close()
  })

  test("a fresh browser profile is asked to sign in, taken to the page it wanted, and sees it", async () => {
    const { browser, page } = await freshBrowser("profile-2")
    await page.goto(`${origin()}/records/${id}`)
    await page.waitForURL("**/login")
    await fill(page, { Username: username, Password: password })
    await press(page, "Sign in")
    await page.getByRole("heading", { name: fullName }).waitFor()
    await page.getByText(laterDiagnosis).first().waitFor()
    await page
      .getByRole("link", { name: "History" })
      .or(page.getByRole("button", { name: "History" }))
      .first()
      .click()
    await page.getByText(patient.diagnosis).first().waitFor()
    await page.goto(origin())
    await page.getByRole("heading", { name: `Welcome, ${physician.firstName} ${physician.lastName}` }).waitFor()
    await page.getByRole("searchbox", { name: "Search patients" }).fill("bragenth")
    const row = page.getByRole("row").filter({ hasText: patient.firstName })
    await row.getByRole("link").waitFor()
    expect(await row.textContent()).toContain(laterDiagnosis)
    await press(page, `${physician.firstName} ${physician.lastName}`)
    await page.getByRole("menuitem", { name: "Sign out" }).click()
    await page.waitForURL("**/login")
    await browser.close()
    expect(complaints).toEqual([])
  })

  test("the command line reads what the browser wrote", async () => {
    const desk = new Desk({ server: origin(), username, password, home: join(folder, "fourth") })
    const shown = await desk.show(id)
    expect(shown).toMatchObject({ ...patient, diagnosis: laterDiagnosis, diagnoses: [laterDiagnosis] })
  })

  test("whoever reads files, log, memory or wire finds no name, date, diagnosis, password, word or key", async () => {
    const keys = await keyNeedles(origin(), join(folder, "fifth"), username, password, words)
    const { leaks } = await everywhere(new Search([...typedNeedles(words), ...keys]))
    expect(leaks).toEqual([])
    await expectSeen(username, id)
  })

  test("nor does whoever reads the browsers' profile folders", async () => {
    const search = new Search(typedNeedles(words))
    const control = new Search([textNeedle("the practice's address", `localhost:${wire.port}`)])
    for (const profile of profiles) {
      expect(await withoutOwnText((await searchFolder(search, profile)).found, search)).toEqual([])
      expect((await searchFolder(control, profile)).found).not.toEqual([])
    }
  })
})
