import type { Browser, Page } from "playwright-core"
import { paths } from "../src/protocol/paths.ts"
import { launchChromium } from "../test/chromium.ts"
import { password } from "./our-client.ts"
import { peerPassword } from "./peer.ts"

export interface PageTimes {
  readonly fromKeyMs: number
  readonly fromPasswordMs: number
}

/** What the scripts below leave in the page: milliseconds since 1970, fractions and all. */
interface Marks {
  submitted?: number
  painted?: number
}

declare global {
  interface Window {
    benchMarks?: Marks
  }
}

const patienceMs = 60_000

/** `null`, and the reason said, where there is no Chromium. */
export function openBrowser(say: (text: string) => void): Promise<Browser | null> {
  return launchChromium().catch((error: unknown) => {
    say(`Chromium's lines are left out: ${error instanceof Error ? error.message : error}`)
    return null
  })
}

/** Signs in on our page in a fresh profile and waits until all records are counted, searchable, and the first rows painted.
 * Nothing in the page knows that it is measured: the key was derived when its worker sent the proof of it, which the worker's own
 * Resource Timing tells; the worker builds the search index before it answers for the complete list. */
export async function ourHome(browser: Browser, url: string, username: string, records: number): Promise<PageTimes> {
  const context = await browser.newContext()
  try {
    const page = await context.newPage()
    await page.addInitScript(watchTable, records)
    await page.goto(`${url}/login`)
    await page.getByLabel("Username").fill(username)
    await page.getByLabel("Password", { exact: true }).fill(password)
    await workerReady(page)
    await page.getByRole("button", { name: "Sign in" }).click()
    const marks = await painted(page)
    const [worker] = page.workers()
    if (worker === undefined) throw new Error("the page has no worker")
    const keyAt = await worker.evaluate((path) => {
      const sent = performance.getEntriesByType("resource").find((entry) => entry.name.endsWith(path))
      return sent === undefined ? 0 : performance.timeOrigin + sent.startTime
    }, paths.loginFinish)
    if (keyAt === 0) throw new Error("the worker sent no proof of the password")
    return { fromKeyMs: marks.painted - keyAt, fromPasswordMs: marks.painted - marks.submitted }
  } finally {
    await context.close()
  }
}

/** The same on the peer's page: signing in, and then its home page alone, from the navigation to the painted table. */
export async function peerHome(browser: Browser, url: string, username: string, records: number): Promise<PageTimes> {
  const context = await browser.newContext()
  try {
    const page = await context.newPage()
    await page.addInitScript(watchLoad)
    await page.goto(`${url}/login`)
    await page.locator("[name=username]").fill(username)
    await page.locator("[name=password]").fill(peerPassword)
    const submittedAt = await page.evaluate(() => performance.timeOrigin + performance.now())
    await page.locator("[name=submit]").click()
    await page.waitForURL(`${url}/`, { timeout: patienceMs })
    const first = await painted(page)
    await page.goto(`${url}/`)
    const again = await painted(page)
    const rows = await page.locator("tr").count()
    if (rows !== records) throw new Error(`the peer shows ${rows} records`)
    const askedAt = await page.evaluate(() => performance.timeOrigin)
    return { fromKeyMs: again.painted - askedAt, fromPasswordMs: first.painted - submittedAt }
  } finally {
    await context.close()
  }
}

/** The worker loads behind the first paint; nobody types as fast as a script. */
async function workerReady(page: Page): Promise<void> {
  if (page.workers().length === 0) await page.waitForEvent("worker")
  await page.waitForLoadState("networkidle")
}

async function painted(page: Page): Promise<Required<Marks>> {
  const handle = await page.waitForFunction(() => window.benchMarks?.painted && window.benchMarks, undefined, {
    timeout: patienceMs,
    polling: 20,
  })
  return (await handle.jsonValue()) as Required<Marks>
}

/** Runs in the page: notes when the log-in form was submitted, and when the table with all records had been painted. */
function watchTable(records: number): void {
  const marks: Marks = {}
  window.benchMarks = marks
  const now = () => performance.timeOrigin + performance.now()
  document.addEventListener(
    "submit",
    () => {
      marks.submitted = now()
    },
    true,
  )
  const seen = new MutationObserver(() => {
    const whole = document.querySelector(`table[aria-rowcount="${records + 1}"]`)
    if (whole === null || whole.querySelectorAll("tbody a").length < 10) return
    seen.disconnect()
    requestAnimationFrame(() => {
      const after = new MessageChannel()
      after.port1.onmessage = () => {
        marks.painted = now()
      }
      after.port2.postMessage(null)
    })
  })
  seen.observe(document, { subtree: true, childList: true, attributes: true })
}

/** Runs in the page: notes when it had been painted whole. */
function watchLoad(): void {
  const marks: Marks = {}
  window.benchMarks = marks
  addEventListener("load", () =>
    requestAnimationFrame(() => {
      const after = new MessageChannel()
      after.port1.onmessage = () => {
        marks.painted = performance.timeOrigin + performance.now()
      }
      after.port2.postMessage(null)
    }),
  )
}
