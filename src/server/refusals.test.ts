import { afterAll, beforeAll, beforeEach, describe, expect, test, vi } from "vitest"
import { newId } from "../encoding/ids.ts"
import { limits } from "../encoding/limits.ts"
import { actsPath, entriesPath, paths, segmentPath } from "../protocol/paths.ts"
import { appendBody, draftEntry, newAuthor, type SignedIn } from "./client.fixture.ts"
import { openTestServer, type TestServer } from "./server.fixture.ts"

const password = "correct horse battery staple"
let server: TestServer
let session: SignedIn

beforeAll(async () => {
  server = await openTestServer()
  session = await server.client.register(await newAuthor("ada"), password)
})
afterAll(() => server.close())
beforeEach(() => {
  server.lines.length = 0
})

describe("a request that is no request", () => {
  test.each<[string, string, string, string | Buffer, string, number, string]>([
    ["broken JSON", "POST", paths.loginStart, "{", "application/json", 400, "BAD_INPUT_FORMAT"],
    ["no body", "POST", paths.loginStart, "", "application/json", 400, "BAD_INPUT_FORMAT"],
    [
      "another type",
      "POST",
      paths.loginStart,
      "username=a",
      "application/x-www-form-urlencoded",
      400,
      "BAD_INPUT_FORMAT",
    ],
    ["text", "POST", paths.loginStart, "{}", "text/plain", 400, "BAD_INPUT_FORMAT"],
    ["bytes for JSON", "POST", paths.loginStart, Buffer.of(1), "application/octet-stream", 400, "BAD_INPUT_FORMAT"],
    ["a text without an end", "POST", paths.loginStart, '{"username":"a', "application/json", 400, "BAD_INPUT_FORMAT"],
    ["a prototype", "POST", paths.loginStart, '{"__proto__":{}}', "application/json", 400, "BAD_INPUT_FORMAT"],
    [
      "a constructor",
      "POST",
      paths.loginStart,
      '{"constructor":{"prototype":{}}}',
      "application/json",
      400,
      "BAD_INPUT_FORMAT",
    ],
    ["too much", "POST", paths.loginStart, " ".repeat(70_000), "application/json", 413, "BAD_INPUT_SIZE"],
    ["an array", "POST", paths.loginStart, "[]", "application/json", 400, "BAD_INPUT_FORMAT"],
  ])("%s", async (_, method, url, payload, type, status, code) => {
    const response = await server.client.send(method as "POST", url, payload, { "content-type": type })
    expect([response.statusCode, response.json().code]).toEqual([status, code])
  })

  test("the message names the field and never its value", async () => {
    const secret = "Jane Doe 1961"
    const body = { username: secret, startLoginRequest: 7, [secret]: true }
    const response = await server.client.send("POST", paths.loginStart, body)
    expect(response.statusCode).toBe(400)
    expect(response.json()).toMatchObject({ code: "BAD_INPUT_FORMAT" })
    expect(Object.keys(response.json().fields)).toEqual(["username", "startLoginRequest"])
    expect(response.json().message).toContain("body.username")
    expect(response.body).not.toContain("Jane")
  })

  test("ids and numbers in an address are checked", async () => {
    const id = newId<"record">()
    for (const url of [
      `${entriesPath(id)}?from=-1&since=0`,
      `${entriesPath(id)}?from=0`,
      `${paths.changes}?since=0&limit=1e3&pinned=0`,
      paths.entries.replace(":record", "1234"),
      paths.entries.replace(":record", "A".repeat(22)).replace("A/", "B/"),
    ]) {
      const response = await server.client.send("GET", url, undefined, session.headers)
      expect([url, response.statusCode, response.json().code]).toEqual([url, 400, "BAD_INPUT_FORMAT"])
    }
  })

  describe("JSON that would become far more than its bytes is counted, and never parsed", () => {
    const cell = "[]"
    test.each<[string, (size: number) => string]>([
      ["lists in lists", (size) => "[".repeat(size / 2) + "]".repeat(size / 2)],
      ["lists that never end", (size) => "[".repeat(size)],
      ["a list of lists", (size) => `[${`${cell},`.repeat(size / 3)}${cell}]`],
      ["a list of numbers", (size) => `[${"0,".repeat(size / 2)}0]`],
      ["names", (size) => `{${'"":0,'.repeat(size / 5)}"":0}`],
      ["objects in objects", (size) => '{"":'.repeat(size / 4)],
    ])("%s", async (_, make) => {
      const parse = vi.spyOn(JSON, "parse")
      const results = []
      for (const [url, size] of [
        [entriesPath(newId<"record">()), 27_000_000],
        [paths.selfGrants, 90_000],
        [paths.loginStart, 60_000],
      ] as const) {
        const body = `{"statement":${make(size)}}`
        const headers = { ...session.headers, "content-type": "application/json; charset=utf-8" }
        const { statusCode, headers: answered, body: said } = await server.client.send("POST", url, body, headers)
        results.push([statusCode, answered["content-type"], said.includes('"BAD_INPUT_SIZE"')])
      }
      expect(parse.mock.calls.length).toBe(0)
      parse.mockRestore()
      expect(results).toEqual(Array.from({ length: 3 }, () => [413, "application/json; charset=utf-8", true]))
    })

    test("the most that an honest client sends is far from it", async () => {
      const sizes = Array.from({ length: 1000 }, () => 1)
      const proved = await server.client.send("POST", paths.prefixes, { to: 1, sizes }, session.headers)
      expect(proved.statusCode).toBe(200)
      const grants = Array.from({ length: limits.members }, () => ({ recipient: newId(), grant: "AAAA" }))
      const body = { statement: "AAAA", signature: "A".repeat(86), since: 0, grants }
      const taken = await server.client.send("POST", entriesPath(newId<"record">()), body, session.headers)
      expect([taken.statusCode, taken.json().code]).toEqual([400, "BAD_INPUT_STATEMENT"])
      // A text is one value, however many brackets stand in it.
      const text = await server.client.send("POST", paths.loginStart, { username: "[{,".repeat(20_000) })
      expect([text.statusCode, text.json().code]).toEqual([400, "BAD_INPUT_FORMAT"])
    })
  })

  test("without a session nothing of a body is read", async () => {
    const large = Buffer.alloc(30 * 1024 * 1024)
    for (const [method, url] of [
      ["POST", entriesPath(newId<"record">())],
      ["PUT", segmentPath(newId<"segment">())],
      ["PUT", paths.keyring],
      ["POST", paths.unlocks],
    ] as const) {
      const headers = { "content-type": "application/json" }
      const response = await server.client.send(method, url, large, headers)
      expect([response.statusCode, response.json().code]).toEqual([401, "NOT_ALLOWED_SESSION"])
    }
  })
})

test.each(["/api", "/api/", "/api/nothing", "/api/records", "/log/nothing", "/api/../api/x"])(
  "%s is nobody's to open",
  async (url) => {
    for (const method of ["GET", "POST", "DELETE"] as const) {
      const response = await server.client.send(method, url)
      expect([response.statusCode, response.json().code]).toEqual([404, "NOT_ALLOWED"])
    }
  },
)

test("a known address under another method is nobody's to open either", async () => {
  const response = await server.client.send("DELETE", paths.loginStart)
  expect([response.statusCode, response.json().code]).toEqual([404, "NOT_ALLOWED"])
})

test("no answer of the API is kept by a cache", async () => {
  for (const url of [paths.practice, paths.session, "/api/nothing", paths.checkpoint])
    expect((await server.client.send("GET", url)).headers["cache-control"]).toBe("no-store")
})

test("what fails unforeseen is UNAVAILABLE, and its message goes nowhere", async () => {
  const broken = await openTestServer()
  const store = { ...broken.store, usernameTaken: () => Promise.reject(new Error("Jane Doe")) }
  const app = await openTestServer({ store })
  const response = await app.client.send("POST", paths.registerStart, { username: "jane", registrationRequest: "AAAA" })
  expect([response.statusCode, response.json().code]).toEqual([503, "UNAVAILABLE"])
  expect(response.body + app.lines.join("")).not.toContain("Jane Doe")
  const line = app.lines.map((one) => JSON.parse(one)).find((one) => one.msg === "failed")
  expect(line).toMatchObject({ level: 50, route: paths.registerStart, error: "Error" })
  expect(line.at[0]).toContain("refusals.test.ts")
  await app.close()
  await broken.close()
})

test("log lines say method, route, status and time, and carry nothing", async () => {
  const { client, lines } = server
  const ada = await newAuthor("grace")
  const session = await client.register(ada, password)
  const record = newId<"record">()
  const entry = await draftEntry(ada, record, null)
  const body = appendBody(entry) as Record<string, string>
  await client.append(session, entry)
  await client.send("GET", `${entriesPath(record)}?from=0&since=0`, undefined, session.headers)
  await client.send("POST", actsPath(record), { act: "read" }, session.headers)
  await client.send("GET", "/api/Jane%20Doe")
  await client.send("POST", paths.loginStart, { username: "Jane Doe" })
  const logged = lines.map((line) => JSON.parse(line))
  expect(logged).toHaveLength(7)
  for (const line of logged) {
    expect(Object.keys(line)).toEqual(["level", "time", "method", "route", "status", "ms", "msg"])
    expect(line.level).toBe(30)
  }
  expect(logged.map((line) => line.route)).toEqual([
    paths.registerStart,
    paths.registerFinish,
    paths.entries,
    paths.entries,
    paths.acts,
    "/api/*",
    paths.loginStart,
  ])
  const text = lines.join("")
  for (const secret of ["grace", "Jane", "127.0.0.1", record, ada.physician, session.headers.authorization ?? "-"])
    expect(text).not.toContain(secret)
  for (const value of Object.values(body)) if (String(value).length > 8) expect(text).not.toContain(value)
})
