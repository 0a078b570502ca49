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
/** The same of a stranger's body: anybody may begin any number of them. */
const strangersLargeBytes = 4 * 1024
/** Clients write and read one large body after the other: several devices of one physician fit in. */
const physicianBytes = 128 * mib
const readsAtOnce = 4

/** Bodies come, answers go. */
type Way = "coming" | "going"

/** Counts the bytes of large bodies and answers that lie in memory, and refuses what would be too much: what comes slowly, and what nobody
 * reads, lies there for long. What strangers have on its way takes no room from physicians, and what is sent none from who reads. */
export class InFlight {
  readonly #physicians = new Room(physicianBytes, 512 * mib)
  readonly #physiciansComing = new Room(physicianBytes, 256 * mib)
  /** Who has no session signs up, loads the page and reads the log. */
  readonly #strangersComing = new Room(8 * mib, 32 * mib)
  readonly #strangersGoing = new Room(64 * mib, 256 * mib)
  readonly #expected = new WeakSet<FastifyRequest>()

  /** Has what a request will hold let go of when its answer has gone, or its connection. */
  expect(request: FastifyRequest, reply: FastifyReply): void {
    if (this.#expected.has(request)) return
    this.#expected.add(request)
    reply.raw.once("close", () => this.letGo(request))
  }

  /** Counts so many bytes more, of a request that was expected. @throws UNAVAILABLE_BUSY */
  hold(request: FastifyRequest, way: Way, bytes: number): void {
    // Nobody hears any more of the end of an answer whose connection has ended.
    if (bytes === 0 || request.raw.socket.destroyed) return
    for (const room of this.#roomsOf(request, way)) room.take(request, bytes)
  }

  letGo(request: FastifyRequest): void {
    const rooms = [...this.#roomsOf(request, "coming"), ...this.#roomsOf(request, "going")]
    for (const room of rooms) room.letGo(request)
  }

  #roomsOf({ session }: FastifyRequest, way: Way): Room[] {
    if (session === null) return [way === "coming" ? this.#strangersComing : this.#strangersGoing]
    return way === "coming" ? [this.#physiciansComing, this.#physicians] : [this.#physicians]
  }
}

interface Held {
  bytes: number
  /** The oldest first. */
  readonly requests: Map<FastifyRequest, number>
}

/** Room for so many bytes of each, and of all. Where it is full, whoever has most gives way to who has less. */
class Room {
  readonly #each: number
  readonly #all: number
  readonly #held = new Map<string, Held>()
  /** Whom a request is counted for: once its connection has ended, nobody can tell. */
  readonly #names = new Map<FastifyRequest, string>()
  #bytes = 0

  constructor(each: number, all: number) {
    this.#each = each
    this.#all = all
  }

  /** @throws UNAVAILABLE_BUSY */
  take(request: FastifyRequest, bytes: number): void {
    const who = this.#names.get(request) ?? nameOf(request)
    const wanted = (this.#held.get(who)?.bytes ?? 0) + bytes
    if (wanted > this.#each) throw new AppError("UNAVAILABLE_BUSY")
    while (this.#bytes + bytes > this.#all) this.#cutOff(wanted)
    const held = this.#held.get(who) ?? { bytes: 0, requests: new Map() }
    this.#held.set(who, held)
    this.#names.set(request, who)
    held.requests.set(request, (held.requests.get(request) ?? 0) + bytes)
    held.bytes += bytes
    this.#bytes += bytes
  }

  letGo(request: FastifyRequest): void {
    const who = this.#names.get(request) ?? ""
    const held = this.#held.get(who)
    const bytes = held?.requests.get(request)
    if (held === undefined || bytes === undefined) return
    this.#names.delete(request)
    held.requests.delete(request)
    if (held.requests.size === 0) this.#held.delete(who)
    held.bytes -= bytes
    this.#bytes -= bytes
  }

  /** Closes the oldest connection of whoever has most. @throws UNAVAILABLE_BUSY where nobody has more than is wanted */
  #cutOff(wanted: number): void {
    let most: Held = { bytes: wanted, requests: new Map() }
    for (const held of this.#held.values()) if (held.bytes > most.bytes) most = held
    const [request] = most.requests.keys()
    if (request === undefined) throw new AppError("UNAVAILABLE_BUSY")
    request.raw.socket.destroy()
    this.letGo(request)
  }
}

/** Of a connection that has just ended, there may be no address any more. */
function nameOf({ session, ip }: { session: FastifyRequest["session"]; ip: string | undefined }): string {
  return session?.physician ?? network(ip ?? "")
}

/** Counts answers before they go; bodies are counted as they come, see `addBodyParsers`. Called before any route is added. */
export function limitInFlight(app: FastifyInstance, inFlight: InFlight): void {
  const hold = (request: FastifyRequest, reply: FastifyReply, bytes: number): void => {
    if (bytes <= largeBytes) return
    inFlight.expect(request, reply)
    inFlight.hold(request, "going", bytes)
  }

  app.addHook("preParsing", async (request, reply) => {
    if (countedBytes(request, bodyBytes(request)) > 0) inFlight.expect(request, reply)
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

/** How much of a body's buffer of so many bytes is counted. */
export function countedBytes({ session }: FastifyRequest, bytes: number): number {
  return bytes > (session === null ? strangersLargeBytes : largeBytes) ? bytes : 0
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
