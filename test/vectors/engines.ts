import { createServer } from "node:http"
import type { AddressInfo } from "node:net"
import { join } from "node:path"
import { build, type Rolldown } from "vite"
import { launchChromium } from "../chromium.ts"
import { type Outcome, suites } from "./suites.ts"

export type SuiteName = keyof typeof suites

/** One platform on which the suites run. */
export interface RunningEngine {
  run(suite: SuiteName, file: unknown): Promise<Outcome[]>
  /** What the platform has of Node: nothing, in a browser. */
  platform(): Promise<string>
  close(): Promise<void>
}

export const engines: readonly { readonly name: string; readonly open: () => Promise<RunningEngine> }[] = [
  { name: "Node", open: openNode },
  { name: "Chromium", open: openChromium },
]

type AnySuite = (file: unknown) => Promise<Outcome[]>

const document = `<!doctype html><title>vectors</title>
<script type="module">import { suites } from "/suites.js"; globalThis.suites = suites</script>`

async function openNode(): Promise<RunningEngine> {
  return {
    run: (suite, file) => (suites[suite] as AnySuite)(file),
    platform: async () => `Node ${process.version}`,
    close: async () => {},
  }
}

/** Bundles the suites as a browser gets them and runs them in a real one, from a loopback address: WebCrypto wants a secure context. */
async function openChromium(): Promise<RunningEngine> {
  const code = await bundle(join(import.meta.dirname, "suites.ts"))
  const server = createServer((request, response) => {
    const script = request.url === "/suites.js"
    response.setHeader("content-type", script ? "text/javascript" : "text/html")
    response.end(script ? code : document)
  })
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve))
  const browser = await launchChromium()
  const page = await browser.newPage()
  await page.goto(`http://localhost:${(server.address() as AddressInfo).port}/`)
  return {
    run: (suite, file) =>
      page.evaluate(
        ({ suite, file }) => (globalThis as unknown as { suites: Record<string, AnySuite> }).suites[suite]!(file),
        { suite, file },
      ),
    platform: () => page.evaluate(() => navigator.userAgent),
    close: async () => {
      await browser.close()
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}

/** One file for a browser. @throws where it would reach for Node. */
async function bundle(entry: string): Promise<string> {
  const built = await build({
    configFile: false,
    logLevel: "error",
    publicDir: false,
    resolve: { conditions: ["browser"] },
    build: { write: false, minify: false, target: "es2023", lib: { entry, formats: ["es"], fileName: "suites" } },
  })
  const { output } = (Array.isArray(built) ? built[0] : built) as Rolldown.RolldownOutput
  const code = output[0].code
  if (/node:|__vite-browser-external|engine\.node/.test(code)) throw new Error("the browser's bundle reaches for Node")
  return code
}
