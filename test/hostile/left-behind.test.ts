import { once } from "node:events"
import { mkdtemp, rm } from "node:fs/promises"
import { createServer, type RequestListener, type Server } from "node:http"
import { tmpdir } from "node:os"
import { join } from "node:path"
import type { Browser, BrowserContext, Page } from "playwright-core"
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, vi } from "vitest"
import { type RunningServer, startServer } from "../../src/server/main.ts"
import { builtPage } from "../../src/server/page.ts"
import { confirmWords, sealedIn, signUp } from "../browser/page.ts"
import { launchChromium } from "../chromium.ts"

/** A physician has used the page. Then the server was down, another program stood at its port for a moment, and the browser came by: what
 * that program left in the browser is in this page's own origin. */

vi.setConfig({ testTimeout: 120_000, hookTimeout: 120_000 })

let folder: string
let browser: Browser
let context: BrowserContext
let page: Page
let server: RunningServer
let port = 0
let kept: [string, number[]][]

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "healthcrypt-left-"))
  browser = await launchChromium()
})
afterAll(async () => {
  await browser?.close()
  await rm(folder, { recursive: true, force: true })
})

let count = 0
beforeEach(async () => {
  count++
  port = 0
  await startOurs()
  context = await browser.newContext({ locale: "en-GB" })
  context.setDefaultTimeout(30_000)
  page = await context.newPage()
  await confirmWords(page, await signUp(page, server.url, "ada"))
  await page.getByRole("heading", { name: "Welcome, Ada Byron" }).waitFor()
  await page.goto("about:blank")
  kept = await keptOnDevice()
  expect(kept.length).toBeGreaterThan(2)
  await server.close()
})
afterEach(async () => {
  await context.close()
  await server.close()
})

async function startOurs(): Promise<void> {
  server = await startServer({
    dataDir: join(folder, String(count)),
    host: "127.0.0.1",
    port,
    transit: { kind: "plain" },
    webRoot: builtPage,
    logLevel: "error",
    notice: () => {},
    now: Date.now,
  })
  port = Number(new URL(server.url).port)
}

/** What the browser has stored, without what a session has and what tells the time. */
async function keptOnDevice(): Promise<[string, number[]][]> {
  const tab = await context.newPage()
  await tab.goto(`${server.url}/favicon.svg`)
  const all = await sealedIn(tab)
  await tab.close()
  return all.filter(([name]) => name !== "page" && !name.startsWith("session/"))
}

/** Another program at the server's port, for as long as the page at `/` there needs to say "ready". */
async function passingBy(answer: RequestListener): Promise<void> {
  const foreign: Server[] = []
  for (const host of ["::1", "127.0.0.1"]) {
    const one = createServer(answer)
    one.listen(port, host)
    await once(one, "listening")
    foreign.push(one)
  }
  const tab = await context.newPage()
  await tab.goto(server.url)
  await expect.poll(() => tab.title(), { timeout: 30_000 }).toBe("ready")
  await tab.close()
  for (const one of foreign) {
    one.closeAllConnections()
    one.close()
  }
}

/** Answers like a program that leaves a worker which answers for this origin. */
function leaving(worker: {
  readonly path: string
  readonly script: string
  readonly maxAge?: number
}): RequestListener {
  const options = { scope: "/", updateViaCache: "all" }
  return ({ url }, response) => {
    if (url === worker.path) {
      response.setHeader("content-type", "text/javascript")
      response.setHeader("service-worker-allowed", "/")
      if (worker.maxAge) response.setHeader("cache-control", `max-age=${worker.maxAge}`)
      return response.end(worker.script)
    }
    response.setHeader("content-type", "text/html")
    return response.end(`<script>
      navigator.serviceWorker.register("${worker.path}", ${JSON.stringify(options)})
        .then(() => navigator.serviceWorker.ready)
        .then(() => { document.title = "ready" }, (error) => { document.title = String(error) })
    </script>`)
  }
}

const start = `
  addEventListener("install", () => skipWaiting())
  addEventListener("activate", (event) => event.waitUntil(clients.claim()))`
const falsePage = `<!doctype html><title>false</title><input type="password">`

const workers = (of: Page) => of.evaluate(async () => (await navigator.serviceWorker.getRegistrations()).length)

async function expectOurs(): Promise<void> {
  const answer = await page.goto(server.url)
  expect(answer!.headers()["content-security-policy"]).toContain("require-trusted-types-for 'script'")
  expect(answer!.fromServiceWorker()).toBe(false)
  expect(await workers(page)).toBe(0)
  // What only this device has is still there.
  const now = new Map(await keptOnDevice())
  for (const [name, bytes] of kept) expect(now.get(name), name).toEqual(bytes)
}

describe("a service worker that another program has left at this address", () => {
  it("goes with the browser's next look at its script, and the page that it shows is loaded anew", async () => {
    const script = `${start}
      addEventListener("fetch", (event) => {
        if (event.request.mode === "navigate")
          event.respondWith(new Response(${JSON.stringify(falsePage)}, { headers: { "content-type": "text/html" } }))
      })`
    await passingBy(leaving({ path: "/some/where/worker.js", script }))
    await startOurs()
    await page.goto(server.url)
    expect(await page.title()).toBe("false")
    await expect.poll(() => page.title(), { timeout: 60_000 }).toContain("Healthcrypt")
    await expectOurs()
  })

  it("goes where it lets our own page come through, although the browser does not look yet", async () => {
    const script = `${start}
      addEventListener("fetch", (event) => {
        if (event.request.mode === "navigate")
          event.respondWith(fetch(event.request).then(async (answer) => {
            const text = (await answer.text()).replace("</head>", "<script>window.typed = true</script></head>")
            return new Response(text, { headers: { "content-type": "text/html" } })
          }))
      })`
    await passingBy(leaving({ path: "/worker.js", script, maxAge: 31_536_000 }))
    await startOurs()
    await page.goto(server.url)
    await page.locator("#root *").first().waitFor()
    expect(await page.evaluate("typeof typed")).toBe("undefined")
    await expectOurs()
  })
})
