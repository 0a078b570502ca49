import { expect, it } from "vitest"
import { AppError } from "../errors.ts"
import { type HttpRequest, noting, Transport } from "./transport.ts"

const request: HttpRequest = { method: "GET", path: "/api/practice", headers: {} }

it.each([
  [200, [true]],
  [409, [true]],
  [502, []],
  [503, []],
])("an answer with %i says so of the server: %j", async (status, said) => {
  const notes: boolean[] = []
  await noting(
    async () => ({ status, body: new Uint8Array(0) }),
    (reached) => notes.push(reached),
  )(request)
  expect(notes).toEqual(said)
})

it("no answer says that the server is away", async () => {
  const notes: boolean[] = []
  const lost = noting(
    async () => Promise.reject(new AppError("UNAVAILABLE_SERVER")),
    (reached) => notes.push(reached),
  )
  await expect(lost(request)).rejects.toMatchObject({ code: "UNAVAILABLE_SERVER" })
  expect(notes).toEqual([false])
})

it("what others have on their way is not called attempts of this physician", async () => {
  const body = new TextEncoder().encode(JSON.stringify({ code: "UNAVAILABLE_BUSY", message: "words of a server" }))
  const transport = new Transport(async () => ({ status: 503, body }))
  await expect(transport.call("GET", "/api/practice")).rejects.toMatchObject({
    code: "UNAVAILABLE_BUSY",
    message: expect.stringContaining("The server is busy"),
  })
})
