import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest"
import { currentSession, getKeyring, putKeyring } from "../../protocol/accounts.ts"
import { backgroundHeader, paths, sessionHeader } from "../../protocol/paths.ts"
import { newAuthor, randomToken, type SignedIn } from "../client.fixture.ts"
import { openTestServer, type TestServer } from "../server.fixture.ts"
import { idleMs, longestMs } from "../sessions.ts"

const password = "correct horse battery staple"
let server: TestServer
let bearer: SignedIn
let cookie: SignedIn

beforeAll(async () => {
  server = await openTestServer()
  await server.client.register(await newAuthor("ada"), password)
})
afterAll(() => server.close())
beforeEach(async () => {
  bearer = await server.client.login("ada", password)
  cookie = await server.client.login("ada", password, "cookie")
})

async function status(session: { headers: object }, method: "GET" | "DELETE" = "GET", url: string = paths.session) {
  return (await server.client.send(method, url, undefined, session.headers)).statusCode
}

function later(ms: number): void {
  server.clock.time += ms
}

describe("how long", () => {
  test("fifteen idle minutes end a session, each request begins them anew", async () => {
    for (let i = 0; i < 5; i++) {
      later(idleMs - 1)
      expect(await status(bearer)).toBe(200)
    }
    later(idleMs)
    expect(await status(bearer)).toBe(401)
    expect(await status(bearer)).toBe(401)
  })

  test("what nobody's hand caused keeps no session alive", async () => {
    const background = { headers: { ...bearer.headers, [backgroundHeader]: "1" } }
    for (let i = 0; i < 14; i++) {
      later(60_000)
      expect(await status(background)).toBe(200)
    }
    later(60_000)
    expect(await status(background)).toBe(401)
  })

  test("activity that only this process knows of counts, and the store learns of it within a minute", async () => {
    later(30_000)
    expect(await status(bearer)).toBe(200)
    later(idleMs - 20_000)
    expect(await status(bearer)).toBe(200)
  })

  test("twelve hours are the most, however busy", async () => {
    const { expires } = cookie.account.session
    expect(expires).toBe(server.clock.time + longestMs)
    while (server.clock.time + 600_000 < expires) {
      later(600_000)
      expect(await status(cookie)).toBe(200)
    }
    later(600_000)
    expect(await status(cookie)).toBe(401)
  })
})

describe("a cookie", () => {
  test("is for this site alone, and holds what the store knows only by its hash", async () => {
    const { response, clientLoginState } = await server.client.startLogin("ada", password)
    const { login, loginResponse } = response.json()
    const finishLoginRequest = server.client.finishLogin("ada", password, clientLoginState, loginResponse)
    const finish = { login, finishLoginRequest, carrier: "cookie" }
    const { headers, body } = await server.client.send("POST", paths.loginFinish, finish)
    expect(headers["set-cookie"]).toMatch(/^healthcrypt=[A-Za-z0-9_-]{43}; Path=\/; HttpOnly; SameSite=Strict$/)
    const secret = String(headers["set-cookie"]).slice(12, 55)
    expect(body).not.toContain(secret)
    expect(await server.store.findSession(secret)).toBe(null)
  })

  test("under TLS it is Secure and bound to the host", async () => {
    const secure = await openTestServer({ secureCookies: true })
    const { headers } = await secure.client.register(await newAuthor("ada"), password, { carrier: "cookie" })
    expect(headers.cookie).toMatch(/^__Host-healthcrypt=/)
    expect((await secure.client.send("GET", paths.session, undefined, headers)).statusCode).toBe(200)
    const signOut = await secure.client.send("DELETE", paths.session, undefined, headers)
    expect(String(signOut.headers["set-cookie"])).toMatch(/__Host-healthcrypt=; .*Secure/)
    await secure.close()
  })

  test.each<[string, Record<string, string>, number]>([
    ["nothing that says where it came from", {}, 403],
    ["Sec-Fetch-Site: cross-site", { "sec-fetch-site": "cross-site" }, 403],
    ["Sec-Fetch-Site: same-site", { "sec-fetch-site": "same-site" }, 403],
    ["another Origin", { origin: "https://elsewhere.example" }, 403],
    ["Origin: null", { origin: "null" }, 403],
    ["cross-site with our own Origin", { "sec-fetch-site": "cross-site", origin: "http://localhost:80" }, 403],
    ["our own Origin", { origin: "http://localhost:80" }, 204],
    ["Sec-Fetch-Site: same-origin", { "sec-fetch-site": "same-origin" }, 204],
  ])("a change with %s", async (_, headers, expected) => {
    const given = { headers: { cookie: cookie.headers.cookie, host: "localhost:80", ...headers } }
    expect(await status(given, "DELETE", paths.sessionHalf)).toBe(expected)
    expect(await status({ headers: { cookie: cookie.headers.cookie } })).toBe(200)
  })

  test("a bearer needs no such proof, and comes before a cookie", async () => {
    expect(await status(bearer, "DELETE", paths.sessionHalf)).toBe(204)
    const both = { headers: { ...cookie.headers, authorization: "Bearer nonsense" } }
    expect(await status(both)).toBe(401)
  })

  test.each([
    "",
    "healthcrypt=",
    "healthcrypt=short",
    `healthcrypt=${"A".repeat(43)}`,
    `healthcrypt=${"é".repeat(43)}`,
  ])("%j is no session", async (value) => {
    expect(await status({ headers: { cookie: value } })).toBe(401)
  })
})

describe("the half", () => {
  test("is a browser's alone, and comes again until the session is locked", async () => {
    expect(bearer.account.session.half).toBe(undefined)
    const { half } = cookie.account.session
    expect(half).toHaveLength(32)
    const reloaded = await server.client.call(currentSession.reply, "GET", paths.session, undefined, cookie.headers)
    expect(reloaded.session).toEqual({ ...cookie.account.session })
    expect(await status(cookie, "DELETE", paths.sessionHalf)).toBe(204)
    const locked = await server.client.call(currentSession.reply, "GET", paths.session, undefined, cookie.headers)
    expect(locked.session.half).toBe(undefined)
    expect(locked.physician).toBe(cookie.account.physician)
  })

  test("goes with the session, at sign-out and when time ends it", async () => {
    expect(await status(cookie, "DELETE")).toBe(204)
    expect(await status(cookie)).toBe(401)
    const { size } = server.store.treeHead()
    later(idleMs)
    expect(await status(bearer)).toBe(401)
    expect(server.store.treeHead().size).toBe(size)
  })
})

describe("the keyring", () => {
  test("is compare-and-swap on its number", async () => {
    const { client } = server
    const { number } = await client.call(getKeyring.reply, "GET", paths.keyring, undefined, bearer.headers)
    const put = (next: number, token: Uint8Array) =>
      client.send("PUT", paths.keyring, putKeyring.body.encode({ number: next, token, since: 0 }), bearer.headers)
    const token = randomToken(400)
    const results = await Promise.all([put(number + 1, token), put(number + 1, randomToken(400))])
    expect(results.map((result) => result.statusCode)).toEqual([200, 409])
    expect(results[1]?.json().code).toBe("CONFLICT_KEYRING")
    expect((await put(number + 1, token)).statusCode).toBe(200)
    const stored = await client.call(getKeyring.reply, "GET", paths.keyring, undefined, cookie.headers)
    expect(stored).toMatchObject({ number: number + 1, token })
  })
})

test("a browser that signs in again, or unlocks, leaves no session behind; a program's stays", async () => {
  const again = await server.client.login("ada", password, "cookie", cookie.headers)
  expect(await status(cookie)).toBe(401)
  expect([await status(again), await status(bearer)]).toEqual([200, 200])
  await server.client.register(await newAuthor("beta"), password)
  await server.client.login("beta", password, "cookie", again.headers)
  expect(await status(again)).toBe(401)
  const proving = await server.client.login("ada", password, "cookie", cookie.headers)
  const named = { ...proving.headers, [sessionHeader]: proving.account.session.id }
  await server.client.login("ada", password, "cookie", named)
  expect(await status({ headers: named })).toBe(200)
  await server.client.login("ada", password, "bearer", bearer.headers)
  expect(await status(bearer)).toBe(200)
})
