import { connect, type Socket } from "node:net"
import { afterEach, beforeEach, expect, test } from "vitest"
import { newId, type SegmentId } from "../../encoding/ids.ts"
import { paddedToken } from "../../encoding/token-form.fixture.ts"
import { paths, segmentPath } from "../../protocol/paths.ts"
import { segmentBody } from "../../protocol/records.ts"
import { type Author, newAuthor, randomToken, type SignedIn, signToken } from "../client.fixture.ts"
import { openTestServer, type TestServer } from "../server.fixture.ts"

const password = "correct horse battery staple"
const mib = 1024 * 1024
let server: TestServer
let ada: Author
let session: SignedIn
let stranger: SignedIn

beforeEach(async () => {
  server = await openTestServer({ commentMs: 100, stillMs: 1500 })
  ada = await newAuthor("ada")
  session = await server.client.register(ada, password)
  stranger = await server.client.register(await newAuthor("bob"), password)
})
afterEach(() => server.close())

test("segments go in and out as bytes, all of them in one answer, and nobody else's", async () => {
  const { client } = server
  const made = async (id: SegmentId, length: number) => {
    const { token, signed } = await signToken(ada, "segments", paddedToken(length), { subject: id })
    return { id, token: Buffer.from(token), body: Buffer.from(segmentBody.encode(signed, token)) }
  }
  const segments = await Promise.all([300, 5000].map((length) => made(newId<"segment">(), length)))
  const headers = { ...session.headers, "content-type": "application/octet-stream" }
  for (const { id, body } of segments)
    expect((await client.send("PUT", segmentPath(id), body, headers)).statusCode).toBe(204)
  const put = async (id: SegmentId, body: Buffer, as = headers) => {
    const response = await client.send("PUT", segmentPath(id), body, as)
    return response.json().code
  }
  expect(await put(segments[0]!.id, (await made(segments[0]!.id, 300)).body)).toBe("CONFLICT_EXISTS")
  const id = newId<"segment">()
  const { body, token } = await made(id, 300)
  // Nobody signed for it, or for something else.
  const theirs = { ...stranger.headers, "content-type": "application/octet-stream" }
  expect(await put(newId<"segment">(), body)).toBe("BAD_INPUT_STATEMENT")
  expect(await put(id, body, theirs)).toBe("BAD_INPUT_STATEMENT")
  expect(await put(id, token)).toBe("BAD_INPUT_STATEMENT")
  expect(await put(id, Buffer.concat([body.subarray(0, -token.length), paddedToken(300)]))).toBe("BAD_INPUT_STATEMENT")
  expect(await put(id, body.subarray(0, -1))).toBe("BAD_INPUT_FORMAT")
  const all = await client.send("GET", paths.segments, undefined, session.headers)
  expect(all.headers["content-type"]).toBe("application/octet-stream")
  const parts = segments
    .toSorted((a, b) => (a.id < b.id ? -1 : 1))
    .flatMap(({ id, token }) => {
      const length = Buffer.alloc(4)
      length.writeUInt32BE(token.length)
      return [Buffer.from(id, "base64url"), length, token]
    })
  expect(all.rawPayload).toEqual(Buffer.concat(parts))
  const head = await client.send("HEAD", paths.segments, undefined, session.headers)
  expect(head.statusCode).toBe(404)
  const others = await client.send("GET", paths.segments, undefined, stranger.headers)
  expect([others.statusCode, others.rawPayload.length]).toEqual([200, 0])
  for (const { id: stays } of segments)
    expect((await client.send("DELETE", segmentPath(stays), undefined, session.headers)).statusCode).toBe(404)
  const huge = await client.send("PUT", segmentPath(newId<"segment">()), Buffer.alloc(4 * mib + 65_536 + 69), headers)
  expect([huge.statusCode, huge.json().code]).toEqual([413, "BAD_INPUT_SIZE"])
  const same = await client.send("GET", paths.segments, undefined, session.headers)
  expect(same.rawPayload).toEqual(all.rawPayload)
})

/** Stores so many segments of 4 MiB, and listens. @returns the port */
async function serveSegments(count: number): Promise<number> {
  const physician = session.account.physician
  const { signed } = await signToken(ada, "segments", randomToken(1))
  for (let i = 0; i < count; i++)
    await server.store.putSegment(physician, { id: newId<"segment">(), token: randomToken(4 * mib), signed })
  return Number(new URL(await server.app.listen({ port: 0, host: "127.0.0.1" })).port)
}

/** Asks, and reads nothing. */
function ask(port: number, path: string): Socket {
  const socket = connect(port, "127.0.0.1").pause()
  socket.on("error", () => {})
  socket.write(`GET ${path} HTTP/1.1\r\nhost: x\r\nauthorization: ${session.headers.authorization}\r\n\r\n`)
  return socket
}

const wait = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms))

test("who does not read the answer holds little of it in memory, and is let go of", async () => {
  const port = await serveSegments(16)
  const before = process.memoryUsage().arrayBuffers
  const sockets = Array.from({ length: 8 }, () => ask(port, paths.segments))
  let most = 0
  for (let i = 0; i < 10; i++) {
    await wait(30)
    most = Math.max(most, process.memoryUsage().arrayBuffers - before)
  }
  expect(most / mib).toBeLessThan(8 * 12)
  await expect
    .poll(() => new Promise((resolve) => server.app.server.getConnections((_, open) => resolve(open))), {
      timeout: 10_000,
    })
    .toBe(0)
  for (const socket of sockets) socket.destroy()
})

test("who reads slowly gets all of it, and who listens for events stays", async () => {
  const port = await serveSegments(4)
  const events = ask(port, paths.events).resume()
  const slow = ask(port, paths.segments)
  let bytes = 0
  let over = false
  slow.once("close", () => {
    over = true
  })
  while (!over && bytes < 4 * 4 * mib) {
    await wait(20)
    for (let read = 0; read < 128 * 1024; ) {
      const chunk: Buffer | null = slow.read()
      if (chunk === null) break
      read += chunk.length
      bytes += chunk.length
    }
  }
  expect(bytes).toBeGreaterThan(4 * 4 * mib)
  expect(events.destroyed || events.readableEnded).toBe(false)
  events.destroy()
  slow.destroy()
})
