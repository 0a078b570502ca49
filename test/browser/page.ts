import { mkdtemp, rm } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import type { Browser, BrowserContext, Page } from "playwright-core"
import { type RunningServer, type ServerConfig, startServer } from "../../src/server/main.ts"
import { builtPage } from "../../src/server/page.ts"
import { launchChromium } from "../chromium.ts"

export const password = "correct horse battery staple"

/** A real server with its built page, and a real browser before it. */
export interface Clinic {
  readonly url: string
  readonly dataDir: string
  readonly server: RunningServer
  readonly browser: Browser
  /** What any page of this clinic said that it should not have: console errors, uncaught exceptions. */
  readonly complaints: readonly string[]
  /** Drops complaints that a test has caused on purpose. */
  forgive(pattern: RegExp): void
  /** A browser profile of its own, with one page. */
  visitor(options?: Parameters<Browser["newContext"]>[0]): Promise<{ context: BrowserContext; page: Page }>
  close(): Promise<void>
}

/** @param browserArgs further switches of Chromium @param config of the server, where it is not the usual one */
export async function openClinic(
  browserArgs: readonly string[] = [],
  config: Partial<ServerConfig> = {},
): Promise<Clinic> {
  const folder = await mkdtemp(join(tmpdir(), "healthcrypt-clinic-"))
  const dataDir = config.dataDir ?? join(folder, "data")
  const server = await startServer({
    dataDir,
    host: "127.0.0.1",
    port: 0,
    transit: { kind: "plain" },
    webRoot: builtPage,
    logLevel: "error",
    notice: () => {},
    now: () => Date.now(),
    ...config,
  })
  const browser = await launchChromium({ args: [...browserArgs] })
  let complaints: string[] = []
  return {
    url: server.url,
    dataDir,
    server,
    browser,
    get complaints() {
      return complaints
    },
    forgive(pattern) {
      complaints = complaints.filter((complaint) => !pattern.test(complaint))
    },
    async visitor(options = {}) {
      const context = await browser.newContext({ locale: "en-GB", viewport: { width: 1280, height: 800 }, ...options })
      context.setDefaultTimeout(20_000)
      const page = await context.newPage()
      page.on("pageerror", (error) => complaints.push(error.message))
      page.on("console", (message) => {
        if (message.type() === "error" || message.type() === "warning") complaints.push(message.text())
      })
      return { context, page }
    },
    async close() {
      await browser.close()
      await server.close()
      await rm(folder, { recursive: true, force: true })
    },
  }
}

/** Signs up and stops where the recovery words are shown.
 * @returns the words */
export async function signUp(page: Page, url: string, username: string, name = "Ada Byron"): Promise<string[]> {
  const [first = "", last = ""] = name.split(" ")
  await page.goto(`${url}/register`)
  await page.getByLabel("Username").fill(username)
  await page.getByLabel("First name").fill(first)
  await page.getByLabel("Last name").fill(last)
  await page.getByLabel("Password", { exact: true }).fill(password)
  await page.getByLabel("Confirm password").fill(password)
  await page.getByRole("button", { name: "Create account" }).click()
  await page.getByRole("heading", { name: "Your recovery words" }).waitFor()
  return page.locator("ol > li").allTextContents()
}

/** From the words to the home page, typing the three that are asked for. */
export async function confirmWords(page: Page, words: readonly string[]): Promise<void> {
  await page.getByRole("button", { name: "Continue" }).click()
  await page.getByRole("heading", { name: "Check your sheet" }).waitFor()
  for (const label of await page.locator("label").allTextContents()) {
    const place = Number(/^Word (\d+)$/.exec(label)?.[1])
    await page.getByLabel(label, { exact: true }).fill(words[place - 1] ?? "")
  }
  await page.getByRole("button", { name: "Continue" }).click()
}

export async function signIn(page: Page, url: string, username: string, name = "Ada Byron"): Promise<void> {
  await page.goto(`${url}/login`)
  await page.getByLabel("Username").fill(username)
  await page.getByLabel("Password", { exact: true }).fill(password)
  await page.getByRole("button", { name: "Sign in" }).click()
  await page.getByRole("heading", { name: `Welcome, ${name}` }).waitFor()
}

/** All that a browser has stored of a practice, by its name. @param page on the practice's address */
export function sealedIn(page: Page): Promise<[string, number[]][]> {
  return page.evaluate(async () => {
    const database = await new Promise<IDBDatabase>((resolve, reject) => {
      const request = indexedDB.open("healthcrypt", 1)
      request.onsuccess = () => resolve(request.result)
      request.onerror = () => reject(request.error)
    })
    const store = database.transaction("sealed").objectStore("sealed")
    const wait = <T>(request: IDBRequest<T>) =>
      new Promise<T>((resolve) => {
        request.onsuccess = () => resolve(request.result)
      })
    const [keys, values] = await Promise.all([wait(store.getAllKeys()), wait(store.getAll())])
    database.close()
    return keys.map((key, i): [string, number[]] => [String(key), Array.from(values[i] as Uint8Array)])
  })
}

/** Fills and saves the form of a new patient, and waits for the record. */
export async function addPatient(page: Page, first: string, last: string, born: string, diagnosis: string) {
  await page.getByRole("link", { name: "New patient" }).click()
  await page.getByLabel("First name").fill(first)
  await page.getByLabel("Last name").fill(last)
  await page.getByLabel("Date of birth").fill(born)
  await page.getByLabel("Diagnosis").fill(diagnosis)
  await page.getByRole("button", { name: "Save" }).click()
  await page.getByRole("heading", { name: `${first} ${last}` }).waitFor()
}
