import type { FastifyInstance, FastifyRequest } from "fastify"
import { AppError } from "../errors.ts"

/** Refuses what a browser sends to the API for another page than our own: a page of another site, or of another port of this host. A
 * browser says so by itself; a program says nothing, and carries a bearer, which no page can set for it.
 * Source: Fetch Metadata (w3.org/TR/fetch-metadata), else the Origin header that browsers put on whatever may change something. */
export function refuseOtherPages(app: FastifyInstance): void {
  app.addHook("onRequest", async (request) => {
    if (isApi(request) && isOtherPage(request))
      throw new AppError(
        "NOT_ALLOWED",
        "This request came from another site's page. Open Healthcrypt by its own address.",
      )
  })
}

/** By the route that answers: an address can be written in more than one way. */
export function isApi(request: FastifyRequest): boolean {
  return /^\/api(\/|$)/.test(request.routeOptions.url ?? "")
}

function isOtherPage({ headers }: FastifyRequest): boolean {
  const { "sec-fetch-site": site, origin, host = "" } = headers
  // What somebody typed into the address bar is of no page: "none".
  if (site !== undefined) return site !== "same-origin" && site !== "none"
  return origin !== undefined && !isOwnOrigin(origin, host)
}

/** A browser leaves out the port that goes without saying, on either side. */
function isOwnOrigin(origin: string, host: string): boolean {
  if (!URL.canParse(origin)) return false
  const from = new URL(origin)
  const own = `${from.protocol}//${host}`
  return URL.canParse(own) && new URL(own).host === from.host
}
