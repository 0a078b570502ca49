import type { FastifyInstance } from "fastify"
import { isSmallJson } from "../encoding/json-size.ts"
import { AppError } from "../errors.ts"

/** The largest honest body has a thousand values, three levels deep. */
const mostNodes = 10_000
const mostDepth = 16

/** Counts the values of a JSON body before it is parsed: two bytes of it may become an object of fifty. Fastify's own parser does the
 * rest, and refuses a body that would change a prototype. */
export function addJsonParser(app: FastifyInstance): void {
  const parse = app.getDefaultJsonParser("error", "error")
  app.addContentTypeParser<Buffer>("application/json", { parseAs: "buffer" }, (request, body, done) => {
    if (isSmallJson(body, mostNodes, mostDepth)) parse(request, body.toString(), done)
    else done(new AppError("BAD_INPUT_SIZE"))
  })
}
