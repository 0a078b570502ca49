import { once } from "node:events"
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises"
import { connect, type Socket } from "node:net"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { PassThrough } from "node:stream"
import fastify from "fastify"
import { afterEach, beforeEach, expect, test, vi } from "vitest"
import { newId, type RecordId } from "../encoding/ids.ts"
import { bodyPath, entriesPath, paths, protocolHeader, protocolVersion } from "../protocol/paths.ts"
import { segmentMaxBytes } from "../protocol/records.ts"
import { type Author, draftEntry, randomToken, type SignedIn, signToken, signUp } from "./client.fixture.ts"
import { limitInFlight, Turns } from "./in-flight.ts"
import { openFilesIn, seesOpenFiles } from "./open-files.fixture.ts"
import { servePage } from "./page.ts"
import { answerRefusals } from "./refusals.ts"
import { openTestServer, type TestServer } from "./server.fixture.ts"

const mib = 1024 * 1024
let server: TestServer
let port: number
let ada: Author
let bea: Author
let sessionOf: (author: Author) => SignedIn
let sockets: Socket[]

beforeEach(async () => {
  server = await openTestServer({ commentMs: 500, stillMs: 3000 })
  const signed = await signUp(server.client, "ada", "bea")
  ;[ada, bea] = signed.authors as [Author, Author]
  sessionOf = signed.sessionOf
  port = Number(new URL(await server.app.listen({ port: 0, host: "127.0.0.1" })).port)
  sockets = []
})
afterEach(async () => {
  for (const socket of sockets) socket.destroy()
  await server.close()
})

const wait = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms))

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
  await expect.poll(() => statusOf(asked), { interval: 5 }).not.toBe("")
  return statusOf(asked)
}
const statuses = (all: readonly Asked[]) => Object.groupBy(all.map(statusOf), (status) => status || "waits")

test("bodies that come slowly are as many as fit, for each physician", async () => {
  const uploads = Array.from({ length: 20 }, () => upload(ada, newId()))
  await expect.poll(() => statuses(uploads)["503"]?.length).toBe(16)
  expect(statuses(uploads).waits).toHaveLength(4)
  const refused = uploads.find((one) => statusOf(one) === "503")!
  expect(refused.head()).toContain("retry-after: 30\r\n")
  expect(refused.head()).toContain('"UNAVAILABLE_BUSY"')
  // One that does not say how long it is counts as the longest.
  const chunked = upload(ada, newId(), "transfer-encoding: chunked", "1\r\n{\r\n")
  const other = upload(bea, newId())
  await expect.poll(() => statusOf(chunked)).toBe("503")
  // What is small goes on.
  const small = await server.client.append(sessionOf(ada), await draftEntry(ada, newId(), null))
  expect([small.statusCode, statusOf(other)]).toEqual([200, ""])
  // Who sends nothing is let go of, and there is room again.
  await expect
    .poll(
      async () => {
        const again = upload(ada, newId())
        await wait(300)
        return statusOf(again)
      },
      { timeout: 60_000, interval: 1000 },
    )
    .toBe("")
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
  const record = newId<"record">()
  const drafted = await draftEntry(ada, record, null, undefined, {}, 12 * mib)
  expect((await server.client.append(sessionOf(ada), drafted)).statusCode).toBe(200)
  const before = process.memoryUsage().arrayBuffers
  const events = ask(ada, "GET", paths.events)
  const reads = Array.from({ length: 30 }, () => ask(ada, "GET", bodyPath(record, 0)))
  await expect.poll(() => statuses(reads).waits, { timeout: 20_000 }).toBeUndefined()
  expect(statuses(reads)["200"]!.length).toBeLessThanOrEqual(10)
  expect((process.memoryUsage().arrayBuffers - before) / mib).toBeLessThan(200)
  expect(statuses(reads)["503"]!.length).toBeGreaterThanOrEqual(20)
  const again = () => server.client.send("GET", bodyPath(record, 0), undefined, sessionOf(ada).headers)
  await expect
    .poll(async () => (await again()).rawPayload.length, { timeout: 60_000, interval: 500 })
    .toBe(drafted.body.length)
  expect(events.socket.closed).toBe(false)
})

test("streams that nobody reads are as many as fit, and hold no more than is counted", async () => {
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
  expect((process.memoryUsage().arrayBuffers - before) / mib).toBeLessThan(200)
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
    limitInFlight(app)
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
    await expect.poll(() => openFilesIn(root)).toBe(open)
    await app.close()
    await expect.poll(() => openFilesIn(root)).toBe(0)
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
  await expect.poll(async () => (await again()).rawPayload.length).toBe(drafted.body.length)
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
  await expect.poll(() => statuses(reads)["200"]?.length).toBe(20)
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
