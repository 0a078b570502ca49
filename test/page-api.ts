import { createPageApi } from "../src/client/page-api.ts"
import type { ClientStorage } from "../src/client/storage.ts"
import type { PageApi } from "../src/client/views.ts"

interface Options {
  readonly now?: () => number
  /** Which requests never reach the server, and what is answered in its place, if anything is. */
  readonly fails?: (path: string, method: string) => boolean | Response
}

/** What a page's worker answers it with, in this process: a browser of one device. */
export function pageOf(
  baseUrl: string,
  storage: ClientStorage,
  { now = Date.now, fails = () => false }: Options = {},
): PageApi {
  // A browser keeps the cookies that it is sent.
  let cookie = ""
  const browser: typeof fetch = async (input, init) => {
    const failed = fails(String(input), init?.method ?? "GET")
    if (failed instanceof Response) return failed
    if (failed) throw new TypeError("network")
    const response = await fetch(input, { ...init, headers: { ...init?.headers, cookie } })
    for (const set of response.headers.getSetCookie()) cookie = set.split(";")[0]!
    return response
  }
  return createPageApi({ baseUrl, fetch: browser, storage, now, deviceLabel: "A browser" })
}
