import Fastify from "fastify"
import { expect, test } from "vitest"
import { newId } from "../encoding/ids.ts"
import { Watchers } from "./watchers.ts"

const wait = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms))

test("whoever went away is asked about no more, and told nothing", async () => {
  const watchers = new Watchers(10)
  const physician = newId<"physician">()
  let asked = 0
  const app = Fastify()
  app.get("/", async (_, reply) =>
    reply.type("text/event-stream").send(
      watchers.watch(physician, async () => {
        asked++
        return true
      }),
    ),
  )
  const url = await app.listen({ port: 0, host: "127.0.0.1", listenTextResolver: () => "" })
  const abort = new AbortController()
  await fetch(url, { signal: abort.signal })
  await expect.poll(() => asked).toBeGreaterThan(2)
  abort.abort()
  await wait(50)
  const then = asked
  watchers.notify([physician])
  await wait(100)
  expect(asked).toBe(then)
  watchers.close()
  await app.close()
})

test("a session that cannot be looked up ends the stream", async () => {
  const watchers = new Watchers(10)
  const stream = watchers.watch(newId<"physician">(), () => Promise.reject(new Error("closed")))
  stream.resume()
  await new Promise((resolve) => stream.once("end", resolve))
})
