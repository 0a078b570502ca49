import { Readable } from "node:stream"
import type { FastifyInstance, FastifyReply, FastifyRequest } from "fastify"
import { AppError } from "../errors.ts"
import { network } from "./guess-limit.ts"

declare module "fastify" {
  interface FastifyContextConfig {
    /** So much lies in memory while nobody reads an answer that is a stream. Left out: a piece or a line, which is not counted. */
    streamBytes?: number
  }
}

const mib = 1024 * 1024
/** What is smaller is not counted. */
const largeBytes = 64 * 1024
/** Clients write and read one large body after the other: several devices of one physician fit in. */
const bytesEach = 128 * mib
const bytesInAll = 512 * mib
const readsAtOnce = 4

/** Refuses large bodies before they come, and large answers before they go, while too many bytes of others are on their way: what comes
 * slowly, and what nobody reads, lies in memory. Counted for each physician, or address where there is no session, and over all.
 * Called before any route is added. */
export function limitInFlight(app: FastifyInstance): void {
  const held = new Map<string, number>()
  let inAll = 0

  const count = (who: string, bytes: number): void => {
    const now = (held.get(who) ?? 0) + bytes
    if (now > 0) held.set(who, now)
    else held.delete(who)
    inAll += bytes
  }

  /** Counts bytes until the answer has gone, or its connection. @throws UNAVAILABLE_BUSY */
  const hold = (request: FastifyRequest, reply: FastifyReply, bytes: number): void => {
    // Nothing is told any more of the end of an answer whose connection has ended.
    if (bytes <= largeBytes || request.raw.socket.destroyed) return
    const who = request.session?.physician ?? network(request.ip)
    if ((held.get(who) ?? 0) + bytes > bytesEach || inAll + bytes > bytesInAll) throw new AppError("UNAVAILABLE_BUSY")
    count(who, bytes)
    reply.raw.once("close", () => count(who, -bytes))
  }

  app.addHook("preParsing", async (request, reply) => hold(request, reply, bodyBytes(request)))
  app.addHook("onSend", async (request, reply, payload) => {
    if (payload instanceof Readable) {
      try {
        hold(request, reply, request.routeOptions.config.streamBytes ?? 0)
      } catch (error) {
        payload.destroy()
        throw error
      }
      return payload
    }
    if (typeof payload !== "string" && !Buffer.isBuffer(payload)) return payload
    // While a long text waits, Node holds it with three bytes a character besides.
    const bytes = typeof payload === "string" && payload.length > largeBytes ? Buffer.from(payload) : payload
    hold(request, reply, bytes.length)
    return bytes
  })
}

/** Whether a body may be large. */
export function isLarge(request: FastifyRequest): boolean {
  return bodyBytes(request) > largeBytes
}

/** How much of a body is taken at most. */
function bodyBytes({ headers, routeOptions: { bodyLimit = largeBytes } }: FastifyRequest): number {
  const said = headers["transfer-encoding"] === undefined ? Number(headers["content-length"] ?? 0) : bodyLimit
  return Math.min(said, bodyLimit)
}

/** Makes few answers of each physician at a time, and of each address where there is no session: the others wait, and hold nothing. */
export class Turns {
  readonly #running = new Map<string, number>()
  readonly #waiting = new Map<string, (() => void)[]>()

  /** @param who a physician's id, or a network */
  async take<T>(who: string, work: () => Promise<T>): Promise<T> {
    const running = this.#running.get(who) ?? 0
    if (running < readsAtOnce) this.#running.set(who, running + 1)
    else
      await new Promise<void>((resolve) => {
        const waiting = this.#waiting.get(who) ?? []
        this.#waiting.set(who, waiting)
        waiting.push(resolve)
      })
    try {
      return await work()
    } finally {
      this.#end(who)
    }
  }

  /** The next one takes the place over. */
  #end(who: string): void {
    const waiting = this.#waiting.get(who)
    const next = waiting?.shift()
    if (waiting?.length === 0) this.#waiting.delete(who)
    const running = this.#running.get(who)! - (next === undefined ? 1 : 0)
    if (running > 0) this.#running.set(who, running)
    else this.#running.delete(who)
    // What everybody else wants comes in between: a read of the database stops all others while it lasts.
    if (next !== undefined) setImmediate(next)
  }
}
