import { readFileSync } from "node:fs"
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest"
import { sha256 } from "#sha256"
import { encodeBase64url, parseBase64url } from "../../encoding/base64.ts"
import { keyToken, paddedToken } from "../../encoding/token-form.fixture.ts"
import { currentSession, getKeyring, putKeyring } from "../../protocol/accounts.ts"
import { backgroundHeader, pageHeader, paths, sessionHeader } from "../../protocol/paths.ts"
import {
  type Author,
  asSent,
  newAuthor,
  randomToken,
  type SignedIn,
  signToken,
  withoutSession,
} from "../client.fixture.ts"
import { openTestServer, type TestServer } from "../server.fixture.ts"
import { idleMs, longestMs } from "../sessions.ts"

const password = "correct horse battery staple"
let server: TestServer
let ada: Author
let bearer: SignedIn
let cookie: SignedIn

beforeAll(async () => {
  server = await openTestServer()
  ada = await newAuthor("ada")
  await server.client.register(ada, password)
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

  test("a session of times that have not come yet is over: the clock was ahead, and has been put right", async () => {
    later(-30_000)
    expect([await status(bearer), await status(cookie)]).toEqual([200, 200])
    later(-3_600_000)
    expect([await status(bearer), await status(cookie)]).toEqual([401, 401])
    // It does not come back with the time.
    later(3_630_000)
    expect([await status(bearer), await status(cookie)]).toEqual([401, 401])
  })

  test("a session that was used while the clock was ahead is over, too", async () => {
    later(600_000)
    expect(await status(bearer)).toBe(200)
    later(-600_000)
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
    const name = `healthcrypt-${server.store.practice}`
    const [, secret = ""] =
      /^([A-Za-z0-9_-]{43}); Path=\/; HttpOnly; SameSite=Strict$/.exec(
        String(headers["set-cookie"]).replace(`${name}=`, ""),
      ) ?? []
    expect(secret).toHaveLength(43)
    expect(body).not.toContain(secret)
    expect(await server.store.findSession(secret)).toBe(null)
  })

  test("under TLS it is Secure and bound to the host", async () => {
    const secure = await openTestServer({ secureCookies: true })
    const { headers } = await secure.client.register(await newAuthor("ada"), password, { carrier: "cookie" })
    expect(headers.cookie).toMatch(`__Host-healthcrypt-${secure.store.practice}=`)
    expect((await secure.client.send("GET", paths.session, undefined, headers)).statusCode).toBe(200)
    const signOut = await secure.client.send("DELETE", paths.session, undefined, headers)
    expect(String(signOut.headers["set-cookie"])).toMatch(/^__Host-healthcrypt-.{22}=; .*Secure/)
    await secure.close()
  })

  test.each<[string, Record<string, string>, number]>([
    ["Sec-Fetch-Site: cross-site", { "sec-fetch-site": "cross-site" }, 403],
    ["Sec-Fetch-Site: same-site", { "sec-fetch-site": "same-site" }, 403],
    ["another Origin", { origin: "https://elsewhere.example" }, 403],
    ["another port's Origin", { origin: "http://localhost:81" }, 403],
    ["Origin: null", { origin: "null" }, 403],
    ["cross-site with our own Origin", { "sec-fetch-site": "cross-site", origin: "http://localhost:80" }, 403],
    ["our own Origin", { origin: "http://localhost:80" }, 200],
    ["Sec-Fetch-Site: same-origin", { "sec-fetch-site": "same-origin" }, 200],
    ["nothing that says where it came from, and the page's secret", {}, 200],
  ])("whatever comes with %s", async (_, headers, expected) => {
    const { cookie: sent, [pageHeader]: page } = cookie.headers
    const given = { headers: { cookie: sent, [pageHeader]: page, host: "localhost:80", ...headers } }
    // Neither read, nor kept alive, nor changed: what is refused might as well not have come.
    for (let minutes = 0; minutes < 14; minutes++) {
      expect(await status(given)).toBe(expected)
      later(60_000)
    }
    expect(await status(given, "DELETE", paths.sessionHalf)).toBe(expected === 200 ? 204 : expected)
    later(60_000)
    expect(await status(cookie)).toBe(expected === 200 ? 200 : 401)
  })

  test("an address that is written in another way is the same to all that guards it", async () => {
    const headers = { ...cookie.headers, "sec-fetch-site": "cross-site" }
    for (const url of ["/api/session", "/%61pi/session", "http://localhost:80/api/session", "/api/nothing"]) {
      const answer = await server.client.send("GET", url, undefined, headers)
      expect([url, answer.statusCode, answer.headers["cache-control"]]).toEqual([url, 403, "no-store"])
    }
  })

  test("a bearer comes before a cookie", async () => {
    expect(await status(bearer, "DELETE", paths.sessionHalf)).toBe(204)
    const both = { headers: { ...cookie.headers, authorization: "Bearer nonsense" } }
    expect(await status(both)).toBe(401)
  })

  test("its secret is no bearer, with the page's or without, and a bearer's no cookie", async () => {
    const secret = cookie.headers.cookie!.split("=")[1]!
    const token = bearer.account.session.bearer!
    const name = `healthcrypt-${server.store.practice}`
    const page = cookie.headers[pageHeader]!
    for (const headers of [
      { authorization: `Bearer ${secret}` },
      { authorization: `Bearer ${secret}`, [pageHeader]: page },
      { authorization: `Bearer ${page}` },
      { cookie: `${name}=${token}`, "sec-fetch-site": "same-origin" },
      { cookie: `${name}=${token}`, "sec-fetch-site": "same-origin", [pageHeader]: token },
      { cookie: `${name}=${token}`, "sec-fetch-site": "same-origin", [pageHeader]: page },
      { cookie: `${name}=${page}`, "sec-fetch-site": "same-origin", [pageHeader]: secret },
    ])
      expect(await status({ headers })).toBe(401)
  })

  test.each([
    "",
    "healthcrypt-ID=",
    "healthcrypt-ID=short",
    `healthcrypt-ID=${"A".repeat(43)}`,
    `healthcrypt-ID=${"é".repeat(43)}`,
  ])("%j is no session", async (value) => {
    const name = value.replace("ID", server.store.practice)
    expect(await status({ headers: { ...cookie.headers, cookie: name } })).toBe(401)
  })

  test("of several cookies of one name each is tried", async () => {
    const mine = cookie.headers.cookie!
    const name = mine.split("=")[0]!
    const other = await server.client.login("ada", password, "cookie")
    const junk = [`${name}=`, `${name}=junk`, `${name}=${"A".repeat(43)}`, `${name}x=1`, "=;;", other.headers.cookie!]
    for (const all of [
      [...junk, mine],
      [mine, ...junk],
      [...junk, mine, ...junk],
    ])
      expect(await status({ headers: { ...cookie.headers, cookie: all.join("; ") } })).toBe(200)
    expect(await status({ headers: { ...cookie.headers, cookie: junk.join("; ") } })).toBe(401)
    const signOut = { headers: { ...cookie.headers, cookie: [...junk, mine].join("; ") } }
    expect(await status(signOut, "DELETE")).toBe(204)
    expect([await status(cookie), await status(other)]).toEqual([401, 200])
  })

  test("of another practice on this host it is another cookie", async () => {
    const second = await openTestServer()
    const there = await second.client.register(await newAuthor("ada"), password, { carrier: "cookie" })
    const both = `${there.headers.cookie}; ${cookie.headers.cookie}`
    expect(there.headers.cookie!.split("=")[0]).not.toBe(cookie.headers.cookie!.split("=")[0])
    expect(await status({ headers: { ...cookie.headers, cookie: both } })).toBe(200)
    const answer = await second.client.send("GET", paths.session, undefined, { ...there.headers, cookie: both })
    expect(answer.statusCode).toBe(200)
    await second.close()
  })
})

describe("a cookie without its page's secret", () => {
  test.each<[string, (page: string, other: string) => string | undefined]>([
    ["nothing", () => undefined],
    ["an empty one", () => ""],
    ["another session's", (_, other) => other],
    ["one that was cut", (page) => page.slice(0, 42)],
    ["one in other letters", (page) => page.toUpperCase()],
    ["the same twice", (page) => `${page}, ${page}`],
  ])("but %s does nothing at any address, and is not kept alive", async (_, change) => {
    const other = await server.client.login("ada", password, "cookie")
    const page = change(cookie.headers[pageHeader]!, other.headers[pageHeader]!)
    const { [pageHeader]: __, ...headers } = cookie.headers
    const given = page === undefined ? headers : { ...headers, [pageHeader]: page }
    const { id } = cookie.account.session
    for (const pattern of Object.values(paths)) {
      if (withoutSession.has(pattern) || pattern.startsWith("/log/")) continue
      const path = pattern.replace(":session", id).replace(/:\w+/, cookie.account.physician)
      for (const method of ["GET", "HEAD", "POST", "PUT", "DELETE"]) {
        const answer = await server.client.send(
          method,
          path,
          method === "GET" || method === "HEAD" ? undefined : {},
          given,
        )
        expect([401, 404], `${method} ${path}`).toContain(answer.statusCode)
        expect(answer.headers["set-cookie"], `${method} ${path}`).toBe(undefined)
      }
    }
    const again = await server.client.login("ada", password, "cookie", given)
    later(idleMs - 60_000)
    expect(await status(again)).toBe(200)
    expect(await status(cookie, "DELETE", paths.sessionHalf)).toBe(204)
    later(60_000)
    expect(await status({ headers: given })).toBe(401)
  })

  test("the page's secret is told once, stored by its hash alone, and logged nowhere", async () => {
    const page = cookie.account.session.page!
    expect(page).toMatch(/^[A-Za-z0-9_-]{43}$/)
    expect(bearer.account.session.page).toBe(undefined)
    const answers = [
      await server.client.send("GET", paths.session, undefined, cookie.headers),
      await server.client.send("GET", paths.sessions, undefined, cookie.headers),
      await server.client.send("PUT", paths.keyring, { number: "none" }, cookie.headers),
      await server.client.send("GET", `/api/nothing?page=${page}`, undefined, cookie.headers),
    ]
    for (const { body, headers } of answers) expect(body + JSON.stringify(headers)).not.toContain(page)
    expect(server.lines.join("")).not.toContain(page)
    const stored = readFileSync(server.file).toString("latin1") + readFileSync(`${server.file}-wal`).toString("latin1")
    expect(stored).toContain(encodeBase64url(sha256(parseBase64url(page))))
    expect(stored).not.toContain(page)
    expect(stored).not.toContain(Buffer.from(parseBase64url(page)).toString("latin1"))
  })
})

describe("the half", () => {
  test("is a browser's alone, and comes again until the session is locked", async () => {
    expect(bearer.account.session.half).toBe(undefined)
    const { half } = cookie.account.session
    expect(half).toHaveLength(32)
    const reloaded = await server.client.call(currentSession.reply, "GET", paths.session, undefined, cookie.headers)
    const { page: _, ...session } = cookie.account.session
    expect(reloaded.session).toEqual(session)
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
    const { token: before } = bearer.account.keyring
    const put = async (next: number, token: Uint8Array) => {
      const signed = await signToken(ada, "keyring", token, { number: next, prev: sha256(before) })
      return client.send("PUT", paths.keyring, putKeyring.body.encode({ ...signed, since: 0 }), bearer.headers)
    }
    const token = paddedToken(400)
    const results = await Promise.all([put(number + 1, token), put(number + 1, paddedToken(400))])
    expect(results.map((result) => result.statusCode)).toEqual([200, 409])
    expect(results[1]?.json().code).toBe("CONFLICT_KEYRING")
    expect((await put(number + 1, token)).statusCode).toBe(200)
    const stored = await client.call(getKeyring.reply, "GET", paths.keyring, undefined, cookie.headers)
    expect(stored).toMatchObject({ number: number + 1, token })
  })

  test.each(["keyring", "profile"] as const)(
    "a %s that is no sealed token is not stored, whoever signed for it",
    async (what) => {
      const { number, token: before } = bearer.account[what]
      const put = async (token: Uint8Array) => {
        const { signed } = await signToken(ada, what, token, { number: number + 1, prev: sha256(before) })
        const body = asSent({ token, signed, ...(what === "keyring" && { since: 0 }) })
        return server.client.send("PUT", paths[what], body, bearer.headers)
      }
      for (const token of [randomToken(3), keyToken(), paddedToken(400).subarray(1)]) {
        const refused = await put(token)
        expect([refused.statusCode, refused.json().code]).toEqual([400, "BAD_INPUT_FORMAT"])
      }
      expect((await server.client.login("ada", password)).account[what]).toMatchObject({ number, token: before })
      expect((await put(paddedToken(400))).statusCode).toBeLessThan(300)
    },
  )
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
