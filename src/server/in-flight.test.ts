import { EventEmitter, once } from "node:events"
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises"
import { connect, type Socket } from "node:net"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { PassThrough } from "node:stream"
import { setFlagsFromString } from "node:v8"
import { runInNewContext } from "node:vm"
import fastify, { type FastifyReply, type FastifyRequest } from "fastify"
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest"
import { newId, type RecordId } from "../encoding/ids.ts"
import { bodyPath, entriesPath, paths, protocolHeader, protocolVersion } from "../protocol/paths.ts"
import { segmentMaxBytes } from "../protocol/records.ts"
import { type Author, draftEntry, randomToken, type SignedIn, signToken, signUp } from "./client.fixture.ts"
import { InFlight, limitInFlight, Turns } from "./in-flight.ts"
import { openFilesIn, seesOpenFiles } from "./open-files.fixture.ts"
import { servePage } from "./page.ts"
import { answerRefusals } from "./refusals.ts"
import { openTestServer, type TestServer } from "./server.fixture.ts"
import type { StoredSession } from "./store/store.ts"

const mib = 1024 * 1024
/** So long a connection may be still, where a test waits for its end. */
const stillMs = 3000
let server: TestServer
let port: number
let ada: Author
let bea: Author
let sessionOf: (author: Author) => SignedIn
let sockets: Socket[]
let accepted: Socket[]

beforeEach(async () => {
  server = await openTestServer({ commentMs: 500 })
  const signed = await signUp(server.client, "ada", "bea")
  ;[ada, bea] = signed.authors as [Author, Author]
  sessionOf = signed.sessionOf
  sockets = []
  accepted = []
  server.app.server.on("connection", (socket) => accepted.push(socket))
  port = Number(new URL(await server.app.listen({ port: 0, host: "127.0.0.1" })).port)
})
afterEach(async () => {
  for (const socket of sockets) socket.destroy()
  await server.close()
})

interface Asked {
  readonly socket: Socket
  /** The answer's first bytes, if any came. */
  readonly head: () => string
}

/** Asks, and reads no more than the beginning of what comes. */
function ask(as: Author, method: string, path: string, lines: readonly string[] = [], body = "", at = port): Asked {
  const socket = connect(at, "127.0.0.1")
  sockets.push(socket)
  let head = ""
  socket.on("error", () => {})
  socket.once("data", (chunk) => {
    socket.pause()
    head = chunk.toString("latin1")
  })
  const { authorization } = sessionOf(as).headers
  const all = ["host: x", `authorization: ${authorization}`, `${protocolHeader}: ${protocolVersion}`, ...lines]
  socket.write(`${method} ${path} HTTP/1.1\r\n${all.join("\r\n")}\r\n\r\n${body}`)
  return { socket, head: () => head }
}

/** Waits until the server has read all that was written. */
async function taken(): Promise<void> {
  const sum = (bytes: readonly number[]) => bytes.reduce((all, one) => all + one, 0)
  const left = () => sum(sockets.map((one) => one.bytesWritten)) - sum(accepted.map((one) => one.bytesRead))
  await expect.poll(left, { timeout: 20_000 }).toBe(0)
}

/** What is in use, after everything else was collected. */
function inUse(): NodeJS.MemoryUsage {
  setFlagsFromString("--expose-gc")
  runInNewContext("gc")()
  return process.memoryUsage()
}

/** What was let go of is given back a moment later, sooner than connections are closed. @param before bytes that were held then */
async function expectToHold(before: number, lessMib: number): Promise<void> {
  await expect.poll(() => (inUse().arrayBuffers - before) / mib, { timeout: stillMs - 1000 }).toBeLessThan(lessMib)
}

/** Says one byte, and then nothing. */
function stillStream(): PassThrough {
  const stream = new PassThrough()
  stream.write("x")
  return stream
}

/** Begins to send a body, and says no more than one byte of it. */
function upload(as: Author, record: RecordId, length = `content-length: ${26 * mib}`, begins = "{"): Asked {
  return ask(as, "POST", entriesPath(record), ["content-type: application/json", length], begins)
}

const statusOf = ({ head }: Asked) => head().slice(9, 12)
const statusOnce = async (asked: Asked) => {
  await expect.poll(() => statusOf(asked), { interval: 5, timeout: 20_000 }).not.toBe("")
  return statusOf(asked)
}
const statuses = (all: readonly Asked[]) => Object.groupBy(all.map(statusOf), (status) => status || "waits")

test("what is announced and does not come keeps nobody from reading and writing", async () => {
  const others = await signUp(server.client, "mal-1", "mal-2", "mal-3", "mal-4", "mal-5")
  const record = newId<"record">()
  const large = await draftEntry(bea, record, null, undefined, {}, 200_000)
  const own = sessionOf
  sessionOf = (author) => (others.authors.includes(author) ? others.sessionOf(author) : own(author))
  const lengths = [4, 20, 20].flatMap((count, i) => Array(count).fill([26 * mib, mib, 200_000][i]))
  const announced = others.authors.flatMap((one) =>
    lengths.map((bytes) => upload(one, newId(), `content-length: ${bytes}`)),
  )
  await taken()
  expect((await server.client.append(sessionOf(bea), large)).statusCode).toBe(200)
  expect(await statusOnce(ask(bea, "GET", bodyPath(record, 0)))).toBe("200")
  expect(statuses(announced).waits).toHaveLength(announced.length)
})

test("bodies that come slowly are as many as fit, for each physician", async () => {
  const half = Buffer.alloc(13 * mib, " ")
  const before = inUse().arrayBuffers
  const uploads = Array.from({ length: 14 }, () => upload(ada, newId(), `content-length: ${26 * mib}`, ""))
  for (const { socket } of uploads) socket.write(half)
  await taken()
  await expectToHold(before, 140)
  // What is small goes on, and what others send.
  const small = await server.client.append(sessionOf(ada), await draftEntry(ada, newId(), null))
  const other = upload(bea, newId(), "transfer-encoding: chunked", '6\r\n"text"\r\n0\r\n\r\n')
  expect([small.statusCode, await statusOnce(other)]).toEqual([200, "400"])
  // Who is refused hears of it when everything is sent.
  expect(statuses(uploads).waits).toHaveLength(uploads.length)
  for (const { socket } of uploads) socket.write(half)
  await expect.poll(() => statuses(uploads).waits, { timeout: 20_000 }).toBeUndefined()
  const refused = uploads.filter((one) => statusOf(one) === "503")
  expect(refused.length).toBeGreaterThanOrEqual(6)
  expect(refused[0]!.head()).toContain("retry-after: 30\r\n")
  expect(refused[0]!.head()).toContain('"UNAVAILABLE_BUSY"')
  // And there is room again.
  const again = upload(ada, newId(), `content-length: ${26 * mib}`, "")
  again.socket.write(half)
  again.socket.write(half)
  expect(await statusOnce(again)).toBe("400")
})

describe("the room for what is on its way", () => {
  let inFlight: InFlight
  let asked: { readonly socket: { destroyed: boolean }; end(): void }[]
  beforeEach(() => {
    inFlight = new InFlight()
    asked = []
  })

  const physician = () => ({ session: { physician: newId<"physician">() } as StoredSession })
  const stranger = (i: number) => ({ session: null, ip: `10.0.1.${i}` })

  function take(from: Partial<FastifyRequest>, way: "coming" | "going", bytes: number): void {
    const socket = { destroyed: false, destroy: () => Object.assign(socket, { destroyed: true }) }
    const request = { ...from, raw: { socket } } as unknown as FastifyRequest
    const answer = new EventEmitter()
    asked.push({ socket, end: () => answer.emit("close") })
    inFlight.expect(request, { raw: answer } as unknown as FastifyReply)
    inFlight.hold(request, way, bytes)
  }

  /** @returns how many fit */
  function fill(from: (i: number) => Partial<FastifyRequest>, way: "coming" | "going", bytes: number): number {
    for (let i = 0; ; i++)
      try {
        take(from(i), way, bytes)
      } catch (error) {
        expect(error).toMatchObject({ code: "UNAVAILABLE_BUSY" })
        return i
      }
  }

  test("strangers take none from physicians, and what is sent takes none from who reads", () => {
    const all = () => [
      fill(stranger, "coming", mib),
      fill(stranger, "going", mib),
      fill(physician, "coming", 16 * mib),
      fill(physician, "going", 16 * mib),
    ]
    expect(all()).toEqual([32, 256, 16, 16])
    for (const { end } of asked) end()
    expect(all()).toEqual([32, 256, 16, 16])
  })

  test.each([
    ["physicians", "coming", 128, 2, physician],
    ["physicians", "going", 128, 4, physician],
    ["strangers", "coming", 8, 4, stranger],
    ["strangers", "going", 64, 4, stranger],
  ] as const)("where it is full, who has most gives way to who has less: %s, %s", (_, way, each, many, from) => {
    for (let i = 0; i < many; i++) {
      const one = from(i)
      expect(fill(() => one, way, mib)).toBe(each)
    }
    const cut = () => asked.filter(({ socket }) => socket.destroyed).length
    expect(cut()).toBe(0)
    const other = from(many)
    take(other, way, 200_000)
    expect(cut()).toBe(1)
    // Who has as much as the others does not push them out.
    fill(() => other, way, mib)
    const last = cut()
    expect(last).toBeLessThan(each)
    expect(fill(() => other, way, mib)).toBe(0)
    expect(cut()).toBe(last)
  })
})

test("a body in pieces of a byte takes no more than its length", async () => {
  const before = inUse().heapUsed
  const piece = "1\r\n \r\n"
  const sent = Array.from({ length: 8 }, () =>
    ask(
      ada,
      "POST",
      paths.loginStart,
      ["content-type: application/json", "transfer-encoding: chunked"],
      piece.repeat(60_000),
    ),
  )
  await taken()
  expect((inUse().heapUsed - before) / mib).toBeLessThan(20)
  expect(statuses(sent).waits).toHaveLength(8)
})

test("a large body for a record of others is refused before it comes", async () => {
  const record = newId<"record">()
  await server.client.append(sessionOf(ada), await draftEntry(ada, record, null))
  const mine = upload(ada, record)
  const theirs = upload(bea, record)
  await expect.poll(() => statusOf(theirs)).toBe("403")
  expect([theirs.head().includes('"NOT_ALLOWED"'), statusOf(mine)]).toEqual([true, ""])
})

test("answers that nobody reads are as many as fit, and are let go of", async () => {
  server.app.server.setTimeout(stillMs)
  const record = newId<"record">()
  const drafted = await draftEntry(ada, record, null, undefined, {}, 12 * mib)
  expect((await server.client.append(sessionOf(ada), drafted)).statusCode).toBe(200)
  const before = process.memoryUsage().arrayBuffers
  const events = ask(ada, "GET", paths.events)
  const reads = Array.from({ length: 30 }, () => ask(ada, "GET", bodyPath(record, 0)))
  await expect.poll(() => statuses(reads).waits, { timeout: 20_000 }).toBeUndefined()
  expect(statuses(reads)["200"]!.length).toBeLessThanOrEqual(10)
  await expectToHold(before, 140)
  expect(statuses(reads)["503"]!.length).toBeGreaterThanOrEqual(20)
  const again = () => server.client.send("GET", bodyPath(record, 0), undefined, sessionOf(ada).headers)
  await expect
    .poll(async () => (await again()).rawPayload.length, { timeout: 60_000, interval: 500 })
    .toBe(drafted.body.length)
  expect(events.socket.closed).toBe(false)
})

test("streams that nobody reads are as many as fit, and hold no more than is counted", async () => {
  server.app.server.setTimeout(stillMs)
  const { signed } = await signToken(ada, "segments", randomToken(1))
  for (let i = 0; i < 3; i++) {
    const segment = { id: newId<"segment">(), token: randomToken(segmentMaxBytes), signed }
    await server.store.putSegment(ada.physician, segment)
  }
  const before = process.memoryUsage().arrayBuffers
  const events = ask(ada, "GET", paths.events)
  const reads = Array.from({ length: 60 }, () => ask(ada, "GET", paths.segments))
  await expect.poll(() => statuses(reads).waits, { timeout: 20_000 }).toBeUndefined()
  expect(statuses(reads)["200"]).toHaveLength(25)
  expect(statuses(reads)["503"]).toHaveLength(35)
  await expectToHold(before, 140)
  const other = await server.client.send("GET", paths.segments, undefined, sessionOf(bea).headers)
  expect(other.statusCode).toBe(200)
  // Who reads nothing is let go of, and all of it comes again.
  const again = () => server.client.send("GET", paths.segments, undefined, sessionOf(ada).headers)
  await expect
    .poll(async () => (await again()).rawPayload.length, { timeout: 60_000, interval: 500 })
    .toBe(3 * (16 + 4 + segmentMaxBytes))
  expect(events.socket.closed).toBe(false)
})

test.runIf(seesOpenFiles)(
  "files of the page that nobody reads are as many as fit, and what is refused leaves none open",
  async () => {
    const root = await mkdtemp(join(tmpdir(), "healthcrypt-page-"))
    await mkdir(join(root, "assets"))
    await writeFile(join(root, "index.html"), "")
    await writeFile(join(root, "assets/large.js"), Buffer.alloc(32 * mib))
    const app = fastify({ forceCloseConnections: true })
    app.decorateRequest("session", null)
    answerRefusals(app, Date.now)
    limitInFlight(app, new InFlight())
    await servePage(app, root)
    app.get("/log/still", { config: { streamBytes: mib } }, async (_, reply) => reply.send(stillStream()))
    const own = Number(new URL(await app.listen({ port: 0, host: "127.0.0.1" })).port)
    const get = (path: string) => statusOnce(ask(ada, "GET", path, [], "", own))
    let fit = 0
    while ((await get("/log/still")) === "200") fit++
    expect(fit).toBeGreaterThan(10)
    const files = []
    for (let i = 0; i < 10; i++) files.push(await get("/assets/large.js"))
    const open = files.filter((status) => status === "200").length
    expect(open).toBeLessThan(6)
    const busy = ask(ada, "GET", "/assets/large.js", [], "", own)
    expect(await statusOnce(busy)).toBe("503")
    expect(busy.head()).toMatch(/^cache-control: no-store\r$/im)
    expect(busy.head()).not.toMatch(/immutable|etag|last-modified/i)
    await expect.poll(() => openFilesIn(root), { timeout: 20_000 }).toBe(open)
    await app.close()
    await expect.poll(() => openFilesIn(root), { timeout: 20_000 }).toBe(0)
    await rm(root, { recursive: true })
  },
)

test("nothing stays counted of what is asked for by who hangs up", async () => {
  const record = newId<"record">()
  const drafted = await draftEntry(ada, record, null, undefined, {}, 4 * mib)
  expect((await server.client.append(sessionOf(ada), drafted)).statusCode).toBe(200)
  for (let i = 0; i < 40; i++) {
    const { socket } = ask(ada, "GET", bodyPath(record, 0))
    await once(socket, "connect")
    socket.destroy()
  }
  const again = () => server.client.send("GET", bodyPath(record, 0), undefined, sessionOf(ada).headers)
  await expect.poll(async () => (await again()).rawPayload.length, { timeout: 20_000 }).toBe(drafted.body.length)
})

test("few pieces of the log are read at a time for one address", async () => {
  const read = server.store.leafData.bind(server.store)
  const go = Promise.withResolvers<void>()
  let begun = 0
  vi.spyOn(server.store, "leafData").mockImplementation(async (range) => {
    begun++
    await go.promise
    return read(range)
  })
  const reads = Array.from({ length: 20 }, () => ask(ada, "GET", "/log/tile/entries/000.p/1"))
  await Promise.all(reads.map(({ socket }) => once(socket, "connect")))
  // What is asked for later is answered: all of them were looked at.
  expect(await statusOnce(ask(ada, "GET", paths.checkpoint))).toBe("200")
  expect(begun).toBe(4)
  go.resolve()
  await expect.poll(() => statuses(reads)["200"]?.length, { timeout: 20_000 }).toBe(20)
})

test("others come in between what one physician asks for at once", async () => {
  const turns = new Turns()
  const order: string[] = []
  const read = (name: string) => turns.take(ada.physician, async () => void order.push(name))
  const all = Promise.all(["a", "b", "c", "d", "e", "f", "g", "h"].map(read))
  const between = new Promise<void>((resolve) => {
    setImmediate(() => {
      order.push("somebody else")
      resolve()
    })
  })
  await Promise.all([all, between])
  expect(order.indexOf("somebody else")).toBeLessThanOrEqual(4)
})
