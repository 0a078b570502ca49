import { once } from "node:events"
import { type AddressInfo, connect, createServer } from "node:net"
import type { Browser } from "playwright-core"
import { openBrowser } from "./chromium.ts"
import { type Line, rounds } from "./lines.ts"
import type { Stage } from "./stage.ts"

/** Bytes over the wire of all that the log-in page transfers before its fields can be typed in; and of all that it loads on its own,
 * its worker included. */
export async function firstLoad(stage: Stage): Promise<Line[]> {
  const { url } = await stage.ours()
  const state = await stage.peer()
  const browser = await openBrowser(stage.say)
  if (browser === null) return []
  const ours: Transfer[] = []
  const peer: Transfer[] = []
  try {
    for (let round = 0; round < rounds; round++) {
      ours.push(await loadLogin(browser, url))
      if ("server" in state) peer.push(await loadLogin(browser, state.server.url))
    }
  } finally {
    await browser.close()
  }
  const line = { unit: "kB", better: "less" } as const
  const of = (transfers: readonly Transfer[], part: keyof Transfer) =>
    transfers.length > 0 ? transfers.map((transfer) => transfer[part]) : null
  return [
    { ...line, name: "first-load", ours: of(ours, "untilTyped") ?? [], peer: of(peer, "untilTyped") },
    { ...line, name: "first-load-with-worker", ours: of(ours, "all") ?? [], peer: of(peer, "all") },
  ]
}

/** In kB of 1,000 bytes, headers included. */
interface Transfer {
  readonly untilTyped: number
  readonly all: number
}

async function loadLogin(browser: Browser, url: string): Promise<Transfer> {
  const wire = await countingProxy(Number(new URL(url).port))
  const context = await browser.newContext()
  try {
    const page = await context.newPage()
    await page.addInitScript(watchField)
    await page.goto(`http://127.0.0.1:${wire.port}/login`, { waitUntil: "networkidle" })
    const typedAt = await page.evaluate(() => window.benchFieldAt)
    if (typedAt === undefined) throw new Error("the log-in page has no field")
    const sum = (until: number) =>
      wire.chunks.reduce((total, { at, bytes }) => total + (at <= until ? bytes : 0), 0) / 1000
    return { untilTyped: sum(typedAt), all: sum(Number.POSITIVE_INFINITY) }
  } finally {
    await context.close()
    wire.close()
  }
}

declare global {
  interface Window {
    /** When the first field stood in the page, milliseconds since 1970. */
    benchFieldAt?: number
  }
}

/** Runs in the page: notes when a field is there that takes a letter. */
function watchField(): void {
  const seen = new MutationObserver(() => {
    const field = document.querySelector<HTMLInputElement>('input:not([type="hidden"]):not([disabled])')
    if (field === null) return
    seen.disconnect()
    window.benchFieldAt = performance.timeOrigin + performance.now()
  })
  seen.observe(document, { subtree: true, childList: true })
}

/** Passes everything on to a server on this machine, and notes when how many bytes came back. */
async function countingProxy(target: number) {
  const chunks: { at: number; bytes: number }[] = []
  const server = createServer((browser) => {
    const upstream = connect(target, "127.0.0.1")
    upstream.on("data", (chunk) => chunks.push({ at: performance.timeOrigin + performance.now(), bytes: chunk.length }))
    browser.pipe(upstream).pipe(browser)
    for (const socket of [browser, upstream]) {
      socket.on("error", () => {})
      socket.on("close", () => {
        browser.destroy()
        upstream.destroy()
      })
    }
  }).listen(0, "127.0.0.1")
  await once(server, "listening")
  const { port } = server.address() as AddressInfo
  return { port, chunks, close: () => void server.close() }
}
