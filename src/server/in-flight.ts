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
const physicianBytes = 128 * mib
const physiciansBytes = 512 * mib
/** What remains is for reading, however much is sent. */
const physiciansComing = 256 * mib
/** Of who has no session: they sign up, load the page and read the log. */
const strangers = {
  coming: { each: 8 * mib, all: 32 * mib },
  going: { each: 64 * mib, all: 256 * mib },
} as const
const readsAtOnce = 4

/** Bodies come, answers go. */
type Way = "coming" | "going"

interface Share {
  readonly name: string
  readonly most: number
}

/** Counts the bytes of large bodies and answers that lie in memory, and refuses what would be too much: what comes slowly, and what nobody
 * reads, lies there for long. What strangers have on its way takes no room from physicians, and what is sent none from who reads. */
export class InFlight {
  readonly #counted = new Map<string, number>()
  readonly #held = new WeakMap<FastifyRequest, { readonly shares: readonly Share[]; readonly bytes: number }[]>()

  /** Has what a request will hold let go of when its answer has gone, or its connection. */
  expect(request: FastifyRequest, reply: FastifyReply): void {
    if (this.#held.has(request)) return
    this.#held.set(request, [])
    reply.raw.once("close", () => this.letGo(request))
  }

  /** Counts so many bytes more, of a request that was expected. @throws UNAVAILABLE_BUSY */
  hold(request: FastifyRequest, way: Way, bytes: number): void {
    // Nobody hears any more of the end of an answer whose connection has ended.
    if (request.raw.socket.destroyed) return
    const shares = sharesOf(request, way)
    if (shares.some(({ name, most }) => (this.#counted.get(name) ?? 0) + bytes > most))
      throw new AppError("UNAVAILABLE_BUSY")
    this.#held.get(request)?.push({ shares, bytes })
    this.#count(shares, bytes)
  }

  letGo(request: FastifyRequest): void {
    for (const { shares, bytes } of this.#held.get(request)?.splice(0) ?? []) this.#count(shares, -bytes)
  }

  #count(shares: readonly Share[], bytes: number): void {
    for (const { name } of shares) {
      const now = (this.#counted.get(name) ?? 0) + bytes
      if (now > 0) this.#counted.set(name, now)
      else this.#counted.delete(name)
    }
  }
}

function sharesOf({ session, ip }: FastifyRequest, way: Way): Share[] {
  if (session === null) {
    const { each, all } = strangers[way]
    return [
      { name: `${way} ${network(ip)}`, most: each },
      { name: `${way} strangers`, most: all },
    ]
  }
  const both = [
    { name: session.physician, most: physicianBytes },
    { name: "physicians", most: physiciansBytes },
  ]
  return way === "going" ? both : [...both, { name: "coming physicians", most: physiciansComing }]
}

/** Counts answers before they go; bodies are counted as they come, see `addBodyParsers`. Called before any route is added. */
export function limitInFlight(app: FastifyInstance, inFlight: InFlight): void {
  const hold = (request: FastifyRequest, reply: FastifyReply, bytes: number): void => {
    if (bytes <= largeBytes) return
    inFlight.expect(request, reply)
    inFlight.hold(request, "going", bytes)
  }

  app.addHook("preParsing", async (request, reply) => {
    if (isLarge(request)) inFlight.expect(request, reply)
  })
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

/** How much of a buffer of so many bytes is counted. */
export function countedBytes(bytes: number): number {
  return bytes > largeBytes ? bytes : 0
}

/** How long a body says that it is, or may be where it does not say. */
export function bodyBytes({ headers, routeOptions: { bodyLimit = largeBytes } }: FastifyRequest): number {
  return headers["transfer-encoding"] === undefined ? Number(headers["content-length"] ?? 0) : bodyLimit
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
