import { createPageApi } from "../src/client/page-api.ts"
import type { ClientStorage } from "../src/client/storage.ts"
import type { PageApi } from "../src/client/views.ts"

interface Options {
  readonly now?: () => number
  /** Which requests never reach the server, and what is answered in its place, if anything is. */
  readonly fails?: (path: string, method: string) => boolean | Response
  /** What of an answer's JSON is changed. */
  readonly changes?: (path: string, body: unknown) => unknown
  /** The browser's cookies: those of a page that was open before. */
  readonly jar?: { cookie: string }
}

/** What a page's worker answers it with, in this process: a browser of one device. */
export function pageOf(
  baseUrl: string,
  storage: ClientStorage,
  // A browser keeps the cookies that it is sent.
  { now = Date.now, fails = () => false, changes, jar = { cookie: "" } }: Options = {},
): PageApi {
  const browser: typeof fetch = async (input, init) => {
    const failed = fails(String(input), init?.method ?? "GET")
    if (failed instanceof Response) return failed
    if (failed) throw new TypeError("network")
    const response = await fetch(input, { ...init, headers: { ...init?.headers, cookie: jar.cookie } })
    for (const set of response.headers.getSetCookie()) jar.cookie = set.split(";")[0]!
    if (changes === undefined || response.headers.get("content-type")?.startsWith("application/json") !== true)
      return response
    return Response.json(changes(String(input), await response.json()), response)
  }
  return createPageApi({ baseUrl, fetch: browser, storage, now, deviceLabel: "A browser" })
}
