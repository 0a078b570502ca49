import { once } from "node:events"
import { connect } from "node:net"
import { afterAll, beforeAll, expect, test } from "vitest"
import { paths } from "../protocol/paths.ts"
import { openTestServer, type TestServer } from "./server.fixture.ts"

let server: TestServer
let port: number
beforeAll(async () => {
  server = await openTestServer()
  port = Number(new URL(await server.app.listen({ port: 0, host: "127.0.0.1" })).port)
})
afterAll(() => server.close())

/** Sends the text as it is. @returns the whole answer */
async function answerTo(text: string): Promise<string> {
  const socket = connect(port, "127.0.0.1")
  await once(socket, "connect")
  socket.write(text)
  const chunks: Buffer[] = []
  for await (const chunk of socket) chunks.push(chunk as Buffer)
  return Buffer.concat(chunks).toString("utf8")
}

const asking = (cookies: number) =>
  `GET ${paths.practice} HTTP/1.1\r\nHost: localhost:${port}\r\nConnection: close\r\nCookie: ${Array.from(
    { length: cookies },
    (_, i) => `c${i}=${"x".repeat(4000)}`,
  ).join("; ")}\r\n\r\n`

test("cookies of other programs keep nobody out", async () => {
  expect(await answerTo(asking(5))).toMatch(/^HTTP\/1\.1 200 /)
  expect(await answerTo(asking(15))).toMatch(/^HTTP\/1\.1 200 /)
})

test.each([17, 180])("who has %s large ones is told what to do", async (cookies) => {
  const answer = await answerTo(asking(cookies))
  expect(answer).toMatch(/^HTTP\/1\.1 431 /)
  expect(answer).toMatch(/content-type: text\/plain/i)
  expect(answer).toContain("Delete the cookies of this address in your browser")
  // All of it, once.
  const [head = "", body] = answer.split("\r\n\r\n")
  expect(Buffer.byteLength(body!)).toBe(Number(/content-length: (\d+)/i.exec(head)![1]))
})

test("what is no request is refused, and nothing of it repeated", async () => {
  const answer = await answerTo("secret secret secret\r\n\r\n")
  expect(answer).toMatch(/^HTTP\/1\.1 400 /)
  expect(answer).toContain('"code":"BAD_INPUT_FORMAT"')
  expect(answer).not.toContain("secret")
})
