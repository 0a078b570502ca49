import type { Readable } from "node:stream"
import type { FastifyInstance, FastifyRequest } from "fastify"
import { isSmallJson } from "../encoding/json-size.ts"
import { AppError } from "../errors.ts"
import { bodyBytes, countedBytes, type InFlight } from "./in-flight.ts"

/** The largest honest body has a thousand values, three levels deep. */
const mostNodes = 10_000
const mostDepth = 16

/** Reads JSON and bytes. The values of JSON are counted before it is parsed: two bytes of it may become an object of fifty. Fastify's own
 * parser does the rest, and refuses a body that would change a prototype. */
export function addBodyParsers(app: FastifyInstance, inFlight: InFlight): void {
  const parse = app.getDefaultJsonParser("error", "error")
  app.addContentTypeParser("application/octet-stream", (request: FastifyRequest, payload: Readable) =>
    gather(request, payload, inFlight),
  )
  app.addContentTypeParser("application/json", async (request: FastifyRequest, payload: Readable) => {
    const body = await gather(request, payload, inFlight)
    if (!isSmallJson(body, mostNodes, mostDepth)) throw new AppError("BAD_INPUT_SIZE")
    // What it becomes lies beside it.
    inFlight.hold(request, "coming", countedBytes(request, body.length))
    return new Promise((resolve, reject) => {
      parse(request, body.toString(), (error, value) => (error === null ? resolve(value) : reject(error)))
    })
  })
}

/** Reads a body into one buffer that grows with what has come: in pieces of a byte it would take a hundred times as much. A body that
 * there is no room for is read to its end and thrown away, since who still sends hears no answer.
 * @throws BAD_INPUT_SIZE, BAD_INPUT_FORMAT, UNAVAILABLE_BUSY */
function gather(request: FastifyRequest, payload: Readable, inFlight: InFlight): Promise<Buffer> {
  const { bodyLimit } = request.routeOptions
  const most = bodyBytes(request)
  if (most > bodyLimit) return Promise.reject(new AppError("BAD_INPUT_SIZE"))
  return new Promise((resolve, reject) => {
    let body = Buffer.alloc(0)
    let bytes = 0
    let refusal: unknown = null

    const grow = (needed: number): void => {
      const size = Math.min(most, Math.max(needed, 2 * body.length))
      inFlight.hold(request, "coming", countedBytes(request, size) - countedBytes(request, body.length))
      const larger = Buffer.allocUnsafe(size)
      body.copy(larger, 0, 0, bytes)
      body = larger
    }
    const take = (chunk: Buffer): void => {
      if (bytes + chunk.length > most) {
        payload.off("data", take)
        reject(new AppError("BAD_INPUT_SIZE"))
        return
      }
      try {
        if (refusal === null && bytes + chunk.length > body.length) grow(bytes + chunk.length)
      } catch (error) {
        refusal = error
        body = Buffer.alloc(0)
        inFlight.letGo(request)
      }
      if (refusal === null) chunk.copy(body, bytes)
      bytes += chunk.length
    }
    payload.on("data", take)
    payload.once("end", () => (refusal === null ? resolve(body.subarray(0, bytes)) : reject(refusal)))
    payload.once("error", (cause) => reject(new AppError("BAD_INPUT_FORMAT", undefined, { cause })))
  })
}
