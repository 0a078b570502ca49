/** The page's end of the worker. Every view that comes through it has its texts made fit to be shown, so that no part of the page has to
 * think of it. Nothing is loaded until the first call, or until `start` is told to. */
import { proxy, type Remote, wrap } from "comlink"
import type { PageApi } from "../client/views.ts"
import { AppError } from "../errors.ts"
import { shownView } from "./shown.ts"
import { carryAppErrors } from "./transport.ts"
import workerUrl from "./worker.ts?worker&url"

export interface Backend {
  readonly api: PageApi
  /** Loads the worker, if nothing has done so before. */
  start(): void
  /** Throws the worker away, and with it whatever memory cannot be overwritten: names, texts, keys written as text. The next call
   * loads a fresh one. @returns whether it did; not while somebody waits for an answer. */
  replace(): boolean
}

interface TrustedScripts {
  createScriptURL(url: string): string
}

interface PolicyFactory {
  createPolicy(name: string, rules: { createScriptURL(url: string): string }): TrustedScripts
}

interface Running {
  readonly worker: Worker
  readonly remote: Remote<PageApi>
  readonly failed: Promise<never>
}

/** These answer with a text that goes into a file, or back into a form. */
const asItIs: ReadonlySet<string> = new Set<keyof PageApi>(["draft", "exportRecord", "resource"])

type Listener = (...values: unknown[]) => void
type Call = (...args: unknown[]) => Promise<unknown>

/** @returns every method of PageApi; each fails with UNAVAILABLE when the worker cannot be loaded. */
export function createBackend(): Backend {
  carryAppErrors()
  let running: Running | null = null
  let waiting = 0
  let url: string | null = null

  const start = (): Running => {
    // The policy lets itself be made once a page.
    url ??= trusted(workerUrl)
    running ??= run(url)
    return running
  }

  const call = async (name: string, args: readonly unknown[]): Promise<unknown> => {
    const { remote, failed } = start()
    const method = (remote as unknown as Record<string, Call>)[name]
    if (!method) throw new AppError("UNAVAILABLE")
    const sent = args.map((arg) => (typeof arg === "function" ? proxy(hearing(arg as Listener)) : arg))
    waiting++
    try {
      const answer = await Promise.race([method(...sent), failed])
      return asItIs.has(name) ? answer : shownView(answer)
    } finally {
      waiting--
    }
  }

  const api = new Proxy({} as PageApi, {
    get: (_target, name) => (typeof name === "string" && name !== "then" ? bind(name) : undefined),
  })
  const bind =
    (name: string): Call =>
    (...args) =>
      call(name, args)
  const replace = (): boolean => {
    if (waiting > 0) return false
    running?.worker.terminate()
    running = null
    return true
  }
  return { api, start: () => void start(), replace }
}

function hearing(listener: Listener): Listener {
  return (...values) => listener(...values.map(shownView))
}

function run(url: string): Running {
  const worker = new Worker(url, { type: "module", name: "healthcrypt" })
  const failed = new Promise<never>((_resolve, reject) => {
    worker.addEventListener("error", () =>
      reject(new AppError("UNAVAILABLE", "Healthcrypt could not be loaded completely. Reload this page.")),
    )
  })
  failed.catch(() => {})
  return { worker, remote: wrap<PageApi>(worker), failed }
}

/** The only script URL that this page's one Trusted Types policy lets through. */
function trusted(url: string): string {
  const factory = (globalThis as { trustedTypes?: PolicyFactory }).trustedTypes
  if (!factory) return url
  const policy = factory.createPolicy("healthcrypt", {
    createScriptURL(asked) {
      if (asked !== url) throw new TypeError("Not a script of this page")
      return asked
    },
  })
  return policy.createScriptURL(url)
}
