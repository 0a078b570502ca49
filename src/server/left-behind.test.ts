import { afterAll, beforeAll, expect, test } from "vitest"
import { paths } from "../protocol/paths.ts"
import { openTestServer, type TestServer } from "./server.fixture.ts"

let server: TestServer
beforeAll(async () => {
  server = await openTestServer()
})
afterAll(() => server.close())

test.each(["/sw.js", "/", "/some/where/worker.js?x=1", "/api/session", "/log/checkpoint", "/assets/a.js"])(
  "who asks for a worker's script at %s is given one that ends itself",
  async (url) => {
    const reply = await server.app.inject({ url, headers: { "service-worker": "script" } })
    expect([reply.statusCode, reply.headers["content-type"]]).toEqual([200, "text/javascript; charset=utf-8"])
    expect(reply.headers).toMatchObject({ "cache-control": "no-store", "service-worker-allowed": "/" })
    expect(reply.body).toContain("registration.unregister()")
    // It would delete what this device alone has.
    expect(reply.headers["clear-site-data"]).toBeUndefined()
  },
)

test("whoever asks for anything else is not", async () => {
  const reply = await server.app.inject({ url: paths.practice })
  expect(reply.json()).toMatchObject({ practice: server.store.practice })
  const posted = await server.app.inject({ method: "POST", url: "/sw.js", headers: { "service-worker": "script" } })
  expect(posted.body).not.toContain("registration")
})
