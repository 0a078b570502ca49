import Fastify from "fastify"
import { expect, onTestFinished, test, vi } from "vitest"
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
  await expect.poll(() => asked, { timeout: 20_000 }).toBeGreaterThan(2)
  abort.abort()
  await wait(50)
  const then = asked
  watchers.notify([physician])
  await wait(100)
  expect(asked).toBe(then)
  watchers.close()
  await app.close()
})

test("what comes within 50 ms is told at once, and what comes later again", () => {
  vi.useFakeTimers()
  onTestFinished(() => {
    vi.useRealTimers()
  })
  const watchers = new Watchers()
  const physician = newId<"physician">()
  const stream = watchers.watch(physician, async () => true)
  const told = () => String(stream.read() ?? "").split("event: changes").length - 1
  for (let i = 0; i < 5; i++) {
    watchers.notify([physician])
    vi.advanceTimersByTime(9)
  }
  expect(told()).toBe(0)
  vi.advanceTimersByTime(5)
  expect(told()).toBe(1)
  watchers.notify([physician])
  vi.advanceTimersByTime(50)
  expect(told()).toBe(1)
  watchers.close()
})

test("a session that cannot be looked up ends the stream", async () => {
  const watchers = new Watchers(10)
  const stream = watchers.watch(newId<"physician">(), () => Promise.reject(new Error("closed")))
  stream.resume()
  await new Promise((resolve) => stream.once("end", resolve))
})
