import { createServer, type Server } from "node:http"
import type { AddressInfo, Socket } from "node:net"
import { afterEach, beforeEach, expect, it } from "vitest"
import { type Connection, connect } from "./http.ts"

let server: Server
let connection: Connection
let asked: string[]
let sockets: Socket[]

beforeEach(async () => {
  asked = []
  sockets = []
  server = createServer((request, response) => {
    asked.push(`${request.method} ${request.url}`)
    if (request.url === "/lost") request.socket.destroy()
    else response.end("here")
  })
  server.on("connection", (socket) => sockets.push(socket))
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve))
  connection = connect(`http://127.0.0.1:${(server.address() as AddressInfo).port}`, undefined)
})
afterEach(async () => {
  connection.close()
  await new Promise((resolve) => server.close(resolve))
})

const send = (method: "GET" | "POST" | "PUT" | "DELETE", path: string) =>
  connection.send({ method, path, headers: {}, ...(method === "GET" ? {} : { body: new Uint8Array(2) }) })
const lost = expect.objectContaining({ code: "UNAVAILABLE_SERVER" })

/** One connection is kept, and the server closes it; nobody here has heard of that yet. */
async function keepOneThatIsClosed(): Promise<void> {
  expect((await send("GET", "/first")).status).toBe(200)
  await new Promise((resolve) => setImmediate(resolve))
  asked.length = 0
  server.closeIdleConnections()
}

it("what only reads is asked once more where the server had closed the connection that was kept", async () => {
  await keepOneThatIsClosed()
  expect(new TextDecoder().decode((await send("GET", "/second")).body)).toBe("here")
  expect(asked).toEqual(["GET /second"])
  expect(sockets).toHaveLength(2)
})

it("so is a stream", async () => {
  await keepOneThatIsClosed()
  const { chunks } = await connection.open({ method: "GET", path: "/s", headers: {} }, new AbortController().signal)
  for await (const chunk of chunks) expect(new TextDecoder().decode(chunk)).toBe("here")
  expect(asked).toEqual(["GET /s"])
})

it.each(["POST", "PUT", "DELETE"] as const)("a %s is not sent again by itself", async (method) => {
  await keepOneThatIsClosed()
  await expect(send(method, "/second")).rejects.toEqual(lost)
  expect(asked).toEqual([])
  expect(sockets).toHaveLength(1)
})

it("what a fresh connection loses is not asked again, and the second time is the last", async () => {
  await expect(send("GET", "/lost")).rejects.toEqual(lost)
  expect(asked).toEqual(["GET /lost"])
  await keepOneThatIsClosed()
  await expect(send("GET", "/lost")).rejects.toEqual(lost)
  expect(asked).toEqual(["GET /lost"])
})
