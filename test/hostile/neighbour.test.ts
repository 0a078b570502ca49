import { mkdtemp, rm } from "node:fs/promises"
import { createServer, request as httpRequest, type IncomingMessage, type Server, type ServerResponse } from "node:http"
import type { AddressInfo } from "node:net"
import { tmpdir } from "node:os"
import { join } from "node:path"
import type { Browser, BrowserContext, Page } from "playwright-core"
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, vi } from "vitest"
import { pageHeader, paths, protocolHeader, protocolVersion } from "../../src/protocol/paths.ts"
import { type RunningServer, startServer } from "../../src/server/main.ts"
import { builtPage } from "../../src/server/page.ts"
import { idleMs } from "../../src/server/sessions.ts"
import { confirmWords, signIn, signUp } from "../browser/page.ts"
import { launchChromium } from "../chromium.ts"

/** Two practices at two ports of localhost, a physician who is signed in to the first, and a neighbour at a third port who has seen every
 * cookie that the browser sends there. All of them are real. */

vi.setConfig({ testTimeout: 120_000, hookTimeout: 120_000 })

let folder: string
let passedMs = 0
let first: RunningServer
let second: RunningServer
let neighbour: Neighbour
let browser: Browser
let context: BrowserContext
let page: Page

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "healthcrypt-neighbour-"))
  first = await start("first")
  second = await start("second")
  neighbour = await openNeighbour()
  // Any name leads to this machine, as a hostile domain's would.
  browser = await launchChromium({ args: ["--host-resolver-rules=MAP *.example 127.0.0.1"] })
})
afterAll(async () => {
  await browser?.close()
  neighbour?.server.close()
  await first?.close()
  await second?.close()
  await rm(folder, { recursive: true, force: true })
})

let count = 0
beforeEach(async () => {
  context = await browser.newContext({ locale: "en-GB", viewport: { width: 1280, height: 800 } })
  context.setDefaultTimeout(30_000)
  page = await context.newPage()
  await confirmWords(page, await signUp(page, first.url, `ada${++count}`))
  await welcome(page)
  neighbour.seen = []
  neighbour.setCookies = []
})
afterEach(() => context.close())

function start(name: string): Promise<RunningServer> {
  return startServer({
    dataDir: join(folder, name),
    host: "127.0.0.1",
    port: 0,
    transit: { kind: "plain" },
    webRoot: builtPage,
    logLevel: "error",
    notice: () => {},
    now: () => Date.now() + passedMs,
  })
}

interface Neighbour {
  readonly url: string
  readonly server: Server
  /** The Cookie headers that came. */
  seen: string[]
  /** What it sets with its next answers. */
  setCookies: readonly string[]
}

async function openNeighbour(): Promise<Neighbour> {
  const state = { seen: [] as string[], setCookies: [] as readonly string[] }
  const server = createServer((request: IncomingMessage, response: ServerResponse) => {
    if (request.headers.cookie !== undefined) state.seen.push(request.headers.cookie)
    response.setHeader("set-cookie", [...state.setCookies])
    response.setHeader("content-type", "text/html")
    response.end("<!doctype html><title>neighbour</title><p>neighbour</p>")
  })
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve))
  const url = `http://localhost:${(server.address() as AddressInfo).port}`
  return Object.assign(state, { url, server })
}

const welcome = (of: Page) => of.getByRole("heading", { name: "Welcome, Ada Byron" }).waitFor()

/** Every address that needs a session, as a neighbour who knows them would write it. */
const addresses = Object.values(paths)
  .filter((path) => !path.startsWith("/log/") && !/practice|register|login|recover|successions/.test(path))
  .map((path) => path.replace(/:\w+/g, "AAAAAAAAAAAAAAAAAAAAAA"))

/** The cookies that a browser holds for the first practice. */
async function stolen(): Promise<{ readonly name: string; readonly value: string }> {
  const tab = await context.newPage()
  await tab.goto(neighbour.url)
  await tab.close()
  const pairs = neighbour.seen.flatMap((header) => header.split("; ")).map((pair) => pair.split("="))
  const found = pairs.find(([name]) => name?.startsWith("healthcrypt-"))
  // Cookies know no ports: this is what the second secret is there for.
  expect(found).toBeDefined()
  return { name: found![0]!, value: found![1]! }
}

/** Asks as a program does, with whatever headers it likes. */
function ask(method: string, path: string, headers: Record<string, string>): Promise<number> {
  return new Promise((resolve, reject) => {
    const { "content-type": type, ...rest } = headers
    const withBody = method === "POST" || method === "PUT"
    const given = {
      [protocolHeader]: protocolVersion,
      ...rest,
      ...(withBody && type !== undefined && { "content-type": type }),
    }
    const sent = httpRequest(new URL(path, first.url), { method, headers: given }, (response) => {
      response.destroy()
      resolve(response.statusCode ?? 0)
    })
    sent.on("error", reject)
    sent.end(withBody ? "{}" : undefined)
  })
}

describe("a neighbour at another port", () => {
  it("who was sent the cookie can do nothing with it, whatever they make up besides", async () => {
    const { name, value } = await stolen()
    const own = { origin: first.url, "sec-fetch-site": "same-origin", "content-type": "application/json" }
    const forged: Record<string, string>[] = [
      { "content-type": "application/json", cookie: `${name}=${value}` },
      { ...own, cookie: `${name}=${value}` },
      { ...own, cookie: `${name}=${value}`, [pageHeader]: value },
      { ...own, cookie: `${name}=${value}`, [pageHeader]: "A".repeat(43) },
      { ...own, authorization: `Bearer ${value}` },
      { ...own, authorization: `Bearer ${value}`, [pageHeader]: value },
    ]
    passedMs += idleMs - 60_000
    for (const path of addresses)
      for (const method of ["GET", "POST", "PUT", "DELETE"])
        for (const headers of forged)
          expect([401, 404], `${method} ${path}`).toContain(await ask(method, path, headers))
    // None of it counted as activity: a minute later the session is over.
    passedMs += 60_000
    await page.reload()
    await page.getByRole("button", { name: "Sign in" }).waitFor()
  })

  it("whose page the physician visits reads nothing, changes nothing, and ends nothing", async () => {
    const tab = await context.newPage()
    await tab.goto(neighbour.url)
    const asked = await tab.evaluate(
      async ([server, all, header]) => {
        const outcomes: string[] = []
        for (const path of all)
          for (const method of ["GET", "POST", "DELETE"])
            for (const mode of ["cors", "no-cors"] as const)
              for (const headers of [{}, { [header]: "A".repeat(43) }]) {
                if (method === "DELETE" && mode === "no-cors") continue
                const outcome = await fetch(server + path, { method, mode, headers, credentials: "include" }).then(
                  ({ type, status }) => `told ${type} ${status}`,
                  () => "refused",
                )
                outcomes.push(outcome)
              }
        return outcomes
      },
      [first.url, addresses, pageHeader] as const,
    )
    expect(asked.length).toBeGreaterThan(50)
    expect([...new Set(asked)]).toEqual(["refused"])
    const framed = await tab.evaluate(async (url) => {
      const frame = document.createElement("iframe")
      frame.src = url
      const loaded = new Promise((resolve) => frame.addEventListener("load", resolve))
      document.body.append(frame)
      await loaded
      try {
        return frame.contentDocument?.body.textContent ?? "closed"
      } catch {
        return "closed"
      }
    }, first.url)
    expect(framed).toBe("closed")
    await page.reload()
    await welcome(page)
  })

  it("keeps no session alive by asking", async () => {
    const tab = await context.newPage()
    await tab.goto(neighbour.url)
    passedMs += idleMs - 60_000
    await tab.evaluate(async (server) => {
      await fetch(`${server}/api/session`, { mode: "no-cors", credentials: "include" }).catch(() => {})
      await new Promise((resolve) => {
        const image = new Image()
        image.onload = image.onerror = resolve
        image.src = `${server}/api/keyring`
      })
    }, first.url)
    passedMs += 60_000
    await page.reload()
    await page.getByRole("button", { name: "Sign in" }).waitFor()
  })

  it("who sets cookies of the session's name for other paths signs nobody out", async () => {
    const { name } = await stolen()
    neighbour.setCookies = [
      `${name}=junk; Path=/api`,
      `${name}=${"A".repeat(43)}; Path=/api/session`,
      `${name}=${"B".repeat(43)}; Path=/api/keyring; HttpOnly`,
      `healthcrypt=${"C".repeat(43)}; Path=/`,
    ]
    const tab = await context.newPage()
    await tab.goto(neighbour.url)
    await page.reload()
    await welcome(page)
    await page.getByRole("link", { name: "New patient" }).click()
    await page.getByLabel("Last name").waitFor()
  })

  it("who writes over the cookie itself signs out, and gets nobody in", async () => {
    const { name } = await stolen()
    neighbour.setCookies = [`${name}=${"A".repeat(43)}; Path=/; HttpOnly`]
    const tab = await context.newPage()
    await tab.goto(neighbour.url)
    await page.reload()
    await page.getByRole("button", { name: "Sign in" }).waitFor()
    await signIn(page, first.url, `ada${count}`)
  })
})

describe("two practices on one host", () => {
  it("do not sign each other out, and further tabs of each go on", async () => {
    const other = await context.newPage()
    await confirmWords(other, await signUp(other, second.url, "bea", "Bea Bell"))
    await other.getByRole("heading", { name: "Welcome, Bea Bell" }).waitFor()
    for (const tab of [page, other]) await tab.reload()
    await welcome(page)
    await other.getByRole("heading", { name: "Welcome, Bea Bell" }).waitFor()
    const further = await context.newPage()
    await further.goto(first.url)
    await welcome(further)
    await further.getByRole("button", { name: /Ada Byron/ }).click()
    await further.getByRole("menuitem", { name: "Sign out" }).click()
    await further.getByRole("button", { name: "Sign in" }).waitFor()
    await page.reload()
    await page.getByRole("button", { name: "Sign in" }).waitFor()
    await other.reload()
    await other.getByRole("heading", { name: "Welcome, Bea Bell" }).waitFor()
    // The secret went with the session.
    expect(await secretIn(page)).toBe(null)
    expect(await secretIn(other)).toMatch(/^[A-Za-z0-9_-]{43}$/)
  })

  it("the second secret stands in no address and in no storage but its own", async () => {
    const secret = await secretIn(page)
    expect(secret).toMatch(/^[A-Za-z0-9_-]{43}$/)
    const asked: string[] = []
    page.on("request", (request) => asked.push(request.url()))
    await page.reload()
    await welcome(page)
    expect(asked.length).toBeGreaterThan(3)
    const elsewhere = await page.evaluate(() =>
      JSON.stringify([{ ...localStorage }, { ...sessionStorage }, document.cookie]),
    )
    expect(asked.join() + elsewhere + (await page.content())).not.toContain(secret)
  })
})

describe("a domain that leads to this server", () => {
  it("gets neither the page nor the API, and is told why", async () => {
    const { port } = new URL(first.url)
    const tab = await context.newPage()
    const answer = await tab.goto(`http://rebound.example:${port}/`)
    expect(answer?.status()).toBe(421)
    expect(await tab.locator("body").textContent()).toContain("--host-name")
    const told = await tab.evaluate(async (header) => {
      const statuses: number[] = []
      for (const path of ["/api/practice", "/api/session", "/log/checkpoint", "/"]) {
        const headers = { "x-forwarded-host": "localhost", [header]: "A".repeat(43) }
        statuses.push((await fetch(path, { headers }).catch(() => ({ status: 0 }))).status)
      }
      return statuses
    }, pageHeader)
    // A page of the domain's own, even with the browser's blessing, is told nothing.
    expect(told.every((status) => status === 421 || status === 0)).toBe(true)
  })
})

describe("a link from elsewhere", () => {
  it("opens the page, and the session goes on", async () => {
    const tab = await context.newPage()
    await tab.goto(neighbour.url.replace("localhost", "mail.example"))
    await tab.evaluate((url) => {
      const link = document.createElement("a")
      link.href = url
      link.textContent = "Open"
      document.body.append(link)
    }, first.url)
    await tab.getByRole("link", { name: "Open" }).click()
    await welcome(tab)
  })
})

/** What a page's origin keeps of the second secret; null for nothing. */
function secretIn(of: Page): Promise<string | null> {
  return of.evaluate(async () => {
    const database = await new Promise<IDBDatabase>((resolve, reject) => {
      const request = indexedDB.open("healthcrypt", 1)
      request.onsuccess = () => resolve(request.result)
      request.onerror = () => reject(request.error)
    })
    const kept = await new Promise<unknown>((resolve) => {
      const request = database.transaction("sealed").objectStore("sealed").get("page")
      request.onsuccess = () => resolve(request.result)
    })
    database.close()
    return kept instanceof Uint8Array ? new TextDecoder().decode(kept) : null
  })
}
