import { once } from "node:events"
import { type AddressInfo, connect } from "node:net"
import { text } from "node:stream/consumers"
import { afterEach, beforeEach, describe, expect, test } from "vitest"
import { newId } from "../../encoding/ids.ts"
import { encodeRecovery } from "../../proof/recovery.ts"
import { signedBytes } from "../../proof/signature.ts"
import {
  practice,
  readIdentity,
  readSessions,
  recoverFinish,
  recoverStart,
  registerFinish,
} from "../../protocol/accounts.ts"
import { parseInvite } from "../../protocol/invite.ts"
import {
  entriesPath,
  otherSessionPath,
  paths,
  protocolHeader,
  protocolVersion,
  segmentPath,
  usernamePath,
} from "../../protocol/paths.ts"
import { readAccepted, readActivity } from "../../protocol/records.ts"
import {
  type Author,
  appendBody,
  draftEntry,
  draftMembers,
  memberOf,
  newAuthor,
  newSigner,
  type RegisterOptions,
  randomToken,
  type SignedIn,
  signUp,
  withoutSession,
} from "../client.fixture.ts"
import { guessLimits } from "../guess-limit.ts"
import { hashOfCode, type OperatorReply, type OperatorRequest } from "../operator.ts"
import { openTestServer, type TestServer } from "../server.fixture.ts"

const password = "correct horse battery staple"
const url = "https://practice.example"
const dayMs = 24 * 3_600_000
let server: TestServer

afterEach(() => server.close())

async function operator<Do extends OperatorRequest["do"]>(request: Extract<OperatorRequest, { do: Do }>) {
  return (await server.app.operator.answer(request, url)) as OperatorReply<Do>
}

async function newCode(days = 7): Promise<Uint8Array> {
  return parseInvite((await operator({ do: "invite", days })).code).code
}

const start = (code?: Uint8Array, username = "eve", remoteAddress = "192.0.2.9") =>
  server.app.inject({
    method: "POST",
    url: paths.registerStart,
    headers: { [protocolHeader]: protocolVersion },
    payload: { username, registrationRequest: "AAAA", ...(code && { code: Buffer.from(code).toString("base64url") }) },
    remoteAddress,
  })

/** @returns the code of a refusal, or "done" */
async function finish(username: string, options: RegisterOptions): Promise<string> {
  const { body } = await server.client.registration(await newAuthor(username), password, options)
  const response = await server.client.send("POST", paths.registerFinish, body)
  return response.statusCode === 200 ? "done" : response.json().code
}

/** @returns the code of a refusal, or "done" */
async function recover(username: string, seed: Uint8Array): Promise<string> {
  const { client, store } = server
  const { nonce } = await client.call(recoverStart.reply, "POST", paths.recoverStart, { username })
  const { sign } = await newSigner(seed)
  const signature = await sign(signedBytes("recovery", encodeRecovery(store.practice, username, nonce)))
  const body = recoverFinish.body.encode({ username, nonce, signature, carrier: "bearer" })
  const response = await client.send("POST", paths.recoverFinish, body)
  return response.statusCode === 200 ? "done" : response.json().code
}

describe("a practice that takes whoever is invited", () => {
  beforeEach(async () => {
    server = await openTestServer({ registration: "invited" })
  })

  test("says so, and an invitation carries what the page needs, the code in the fragment alone", async () => {
    expect((await server.client.call(practice.reply, "GET", paths.practice)).registration).toBe("invited")
    const made = await operator({ do: "invite", days: 7 })
    expect(made.expires).toBe(server.clock.time + 7 * dayMs)
    expect(made.link).toBe(`${url}/register#${made.code}`)
    expect(new URL(made.link).search).toBe("")
    expect(parseInvite(made.code)).toMatchObject({ origin: made.origin, logKey: server.signer.publicKey })
    expect(parseInvite(made.code).code).toHaveLength(16)
  })

  test("lets one in with a code, once, and whoever sends the same again is answered", async () => {
    const code = await newCode()
    const { body } = await server.client.registration(await newAuthor("ada"), password, { code })
    const first = await server.client.call(registerFinish.reply, "POST", paths.registerFinish, body)
    const again = await server.client.call(registerFinish.reply, "POST", paths.registerFinish, body)
    expect(again.identity.leaf).toEqual(first.identity.leaf)
    expect((await start(code)).json().code).toBe("NOT_ALLOWED_INVITATION")
    expect((await operator({ do: "list" })).invites).toEqual([])
  })

  test("a stranger without a code gets no evaluation, and is not told which usernames are taken", async () => {
    expect(await finish("ada", { code: await newCode() })).toBe("done")
    for (const code of [undefined, randomToken(16)])
      for (const username of ["ada", "eve"]) {
        const answer = await start(code, username)
        expect([answer.statusCode, answer.json().code]).toEqual([403, "NOT_ALLOWED_INVITATION"])
        expect(answer.body).not.toContain("registrationResponse")
      }
    for (const code of ["", "AAAA", "A".repeat(4096)])
      expect(
        (await server.client.send("POST", paths.registerStart, { username: "eve", registrationRequest: "AAAA", code }))
          .statusCode,
      ).toBeGreaterThanOrEqual(400)
  })

  test("a code that has expired is none, even between start and end", async () => {
    const code = await newCode(1)
    server.clock.time += dayMs - 1000
    const { body } = await server.client.registration(await newAuthor("ada"), password, { code })
    server.clock.time += 1000
    expect((await server.client.send("POST", paths.registerFinish, body)).json().code).toBe("NOT_ALLOWED_INVITATION")
    expect((await start(code)).json().code).toBe("NOT_ALLOWED_INVITATION")
    expect(await server.store.usernameTaken("ada")).toBe(false)
    expect((await operator({ do: "list" })).invites).toEqual([])
  })

  test("a registration that fails does not use its code up", async () => {
    expect(await finish("ada", { code: await newCode() })).toBe("done")
    const code = await newCode()
    expect((await start(code, "ada")).json().code).toBe("CONFLICT_USERNAME")
    expect(await finish("bea", { code, identity: { seq: 1 } })).toBe("BAD_INPUT_STATEMENT")
    const first = await server.client.registration(await newAuthor("cy.d"), password, { code })
    const second = await server.client.registration(await newAuthor("cy.d"), password, { code: await newCode() })
    expect((await server.client.send("POST", paths.registerFinish, second.body)).statusCode).toBe(200)
    // The username is taken meanwhile: the code is still good.
    expect((await server.client.send("POST", paths.registerFinish, first.body)).json().code).toBe("CONFLICT_USERNAME")
    expect(await finish("dora", { code })).toBe("done")
  })

  test("of two who use one code at once, one gets in", async () => {
    const code = await newCode()
    const both = await Promise.all(
      ["ada", "bea"].map(async (username) => server.client.registration(await newAuthor(username), password, { code })),
    )
    const answers = await Promise.all(both.map(({ body }) => server.client.send("POST", paths.registerFinish, body)))
    expect(answers.map((answer) => answer.statusCode).sort()).toEqual([200, 403])
    expect((await operator({ do: "list" })).accounts).toHaveLength(1)
  })

  test("who tries codes is stopped by address, and keeps nobody else out", async () => {
    const { failures } = guessLimits.address
    for (let i = 0; i < failures; i++) expect((await start(randomToken(16), "ada")).statusCode).toBe(403)
    const code = await newCode()
    expect((await start(code, "ada")).statusCode).toBe(429)
    expect((await start(code, "ada", "198.51.100.7")).statusCode).toBe(400)
    server.clock.time += guessLimits.windowMs
    expect((await start(code, "ada")).statusCode).toBe(400)
  })

  test("what is stored of a code is its hash, and what is logged nothing", async () => {
    const made = await operator({ do: "invite", days: 7 })
    const { code } = parseInvite(made.code)
    await start(code)
    const text = Buffer.from(code).toString("base64url")
    expect(server.lines.join("")).not.toContain(text)
    expect(await server.store.isInvited(hashOfCode(code))).toBe(true)
    expect(await server.store.isInvited(text)).toBe(false)
  })

  test("behind a proxy the address has to be named", async () => {
    await expect(server.app.operator.answer({ do: "invite", days: 7 }, null)).rejects.toThrow("--url")
    const made = await server.app.operator.answer({ do: "invite", days: 7, url: "https://a.example" }, null)
    expect(made).toMatchObject({ link: expect.stringMatching(/^https:\/\/a\.example\/register#/) })
  })
})

describe("a practice that takes nobody", () => {
  test("says so, and neither gives codes nor takes them", async () => {
    server = await openTestServer({ registration: "closed" })
    expect((await server.client.call(practice.reply, "GET", paths.practice)).registration).toBe("closed")
    await expect(operator({ do: "invite", days: 7 })).rejects.toThrow("--registration invited")
    await server.store.invite(hashOfCode(new Uint8Array(16)), server.clock.time + dayMs)
    for (const code of [undefined, new Uint8Array(16)]) {
      const answer = await start(code)
      expect([answer.statusCode, answer.json().code]).toEqual([403, "NOT_ALLOWED_REGISTRATION"])
    }
  })
})

describe("a practice's own id", () => {
  test("is no physician's and no record's: both would share its acts", async () => {
    server = await openTestServer()
    const own = server.store.practice as unknown as ReturnType<typeof newId<"record">>
    const eve = { ...(await newAuthor("eve")), physician: own as never }
    await expect(server.client.register(eve, password)).rejects.toThrow("CONFLICT_EXISTS")
    const { authors, sessionOf } = await signUp(server.client, "ada")
    const answer = await server.client.append(sessionOf(authors[0]!), await draftEntry(authors[0]!, own, null))
    expect(answer.json().code).toBe("CONFLICT_EXISTS")
  })
})

/** Sends a request's head and the beginning of its body. @returns what sends the rest, and says what came of it */
async function onItsWay(method: string, path: string, { headers }: SignedIn, body: string) {
  const { port } = server.app.server.address() as AddressInfo
  const socket = connect(port, "127.0.0.1")
  const answer = text(socket)
  const head = {
    host: `127.0.0.1:${port}`,
    connection: "close",
    "content-type": body.startsWith("{") ? "application/json" : "application/octet-stream",
    "content-length": body.length,
    [protocolHeader]: protocolVersion,
    ...headers,
  }
  const lines = Object.entries(head).map(([name, value]) => `${name}: ${value}\r\n`)
  socket.write(`${method} ${path} HTTP/1.1\r\n${lines.join("")}\r\n${body.slice(0, 1)}`)
  await once(socket, "connect")
  return async (): Promise<string> => {
    socket.write(body.slice(1))
    const { code = "stored" } = JSON.parse((await answer).split("\r\n\r\n")[1]!)
    return code
  }
}

describe("somebody who is suspended", () => {
  const record = newId<"record">()

  beforeEach(async () => {
    server = await openTestServer()
  })

  test("can do nothing more with any session, on any route, from that moment on", async () => {
    const { authors, sessionOf } = await signUp(server.client, "ada")
    const ada = authors[0]!
    const cookie = await server.client.login("ada", password, "cookie")
    expect(await operator({ do: "suspend", username: "ada" })).toEqual({ changed: true })
    expect(await operator({ do: "suspend", username: "ada" })).toEqual({ changed: false })
    const fill: Record<string, string> = {
      ":record": record,
      ":seq": "0",
      ":segment": newId(),
      ":username": "ada",
      ":physician": ada.physician,
      ":session": newId(),
    }
    let asked = 0
    for (const { headers } of [sessionOf(ada), cookie])
      for (const pattern of Object.values(paths)) {
        if (withoutSession.has(pattern)) continue
        for (const method of ["GET", "POST", "PUT", "DELETE"] as const) {
          const path = pattern.replace(/:\w+/g, (name) => fill[name] ?? expect.fail(name))
          if (!server.app.hasRoute({ method, url: pattern })) continue
          const answer = await server.client.send(method, path, undefined, headers)
          expect([answer.statusCode, answer.json().code], `${method} ${path}`).toEqual([403, "NOT_ALLOWED_SUSPENDED"])
          asked++
        }
      }
    expect(asked).toBeGreaterThan(40)
  })

  test("stores nothing with a request that is on its way, on any route that takes a body", async () => {
    const { authors, sessionOf } = await signUp(server.client, "ada", "bea", "cyd")
    const [ada, bea] = authors as [Author, Author, Author]
    await server.app.listen({ port: 0, host: "127.0.0.1", listenTextResolver: () => "listening" })
    const entries = await Promise.all(authors.map((author) => draftEntry(author, newId(), null)))
    const appending = entries.map((entry, i) =>
      onItsWay("POST", entriesPath(entry.statement.record), sessionOf(authors[i]!), JSON.stringify(appendBody(entry))),
    )
    const fill = { ":record": record, ":segment": newId() } as const
    const others = Object.values(paths).flatMap((pattern) =>
      (["POST", "PUT"] as const)
        .filter((method) => !withoutSession.has(pattern) && server.app.hasRoute({ method, url: pattern }))
        .map((method) => {
          const path = pattern.replace(/:\w+/g, (name) => fill[name as keyof typeof fill])
          return onItsWay(method, path, sessionOf(ada), pattern === paths.segment ? "not JSON" : "{}")
        }),
    )
    expect(others.length).toBeGreaterThan(8)
    const all = await Promise.all([...appending, ...others])
    // Each has been let in by now: its session was found.
    await new Promise((resolve) => setTimeout(resolve, 300))
    expect(await operator({ do: "suspend", username: "ada" })).toEqual({ changed: true })
    await server.client.send("DELETE", paths.session, undefined, sessionOf(bea).headers)
    const [byAda, byBea, byCyd, ...rest] = await Promise.all(all.map((finish) => finish()))
    expect([byAda, byBea, byCyd]).toEqual(["NOT_ALLOWED_SUSPENDED", "NOT_ALLOWED_SESSION", "stored"])
    expect(new Set(rest)).toEqual(new Set(["NOT_ALLOWED_SUSPENDED"]))
    const heads = await Promise.all(entries.map(({ statement }) => server.store.chainHead(statement.record)))
    expect(heads.map((head) => head !== null)).toEqual([false, false, true])
  })

  test("is told so after the password, and not before", async () => {
    const recoverySeed = randomToken(32)
    await server.client.register(await newAuthor("ada"), password, { recoverySeed })
    await operator({ do: "suspend", username: "ada" })
    await expect(server.client.login("ada", password)).rejects.toThrow("NOT_ALLOWED_SUSPENDED")
    const { response, clientLoginState } = await server.client.startLogin("ada", "another password")
    expect(response.statusCode).toBe(200)
    expect(response.body).not.toContain("SUSPENDED")
    expect(server.client.finishLogin("ada", "another password", clientLoginState, response.json().loginResponse)).toBe(
      null,
    )
    const wrong = { login: response.json().login, finishLoginRequest: "AAAA", carrier: "bearer" }
    expect((await server.client.send("POST", paths.loginFinish, wrong)).json().code).toBe("NOT_ALLOWED_SIGN_IN")
    expect(await recover("ada", randomToken(32))).toBe("NOT_ALLOWED_RECOVERY")
    expect(await recover("ada", recoverySeed)).toBe("NOT_ALLOWED_SUSPENDED")
  })

  test("signs in again once that is over; sessions from before stay over, and nothing was deleted", async () => {
    const { authors, sessionOf, headersOf } = await signUp(server.client, "ada")
    const ada = authors[0]!
    expect((await server.client.append(sessionOf(ada), await draftEntry(ada, record, null))).statusCode).toBe(200)
    await operator({ do: "suspend", username: "ada" })
    server.clock.time += 60_000
    expect(await operator({ do: "resume", username: "ada" })).toEqual({ changed: true })
    expect(await operator({ do: "resume", username: "ada" })).toEqual({ changed: false })
    const old = await server.client.send("GET", paths.session, undefined, headersOf(ada))
    expect(old.json().code).toBe("NOT_ALLOWED_SESSION")
    const { headers } = await server.client.login("ada", password)
    const sessions = await server.client.call(readSessions.reply, "GET", paths.sessions, undefined, headers)
    expect(sessions.sessions).toHaveLength(1)
    const entries = await server.client.send("GET", `${entriesPath(record)}?from=0&since=0`, undefined, headers)
    expect(entries.json().entries).toHaveLength(1)
    expect((await server.client.send("DELETE", otherSessionPath(newId()), undefined, headers)).statusCode).toBe(403)
    expect((await server.client.send("DELETE", segmentPath(newId()), undefined, headers)).statusCode).toBeLessThan(500)
  })

  test("shows as such to colleagues and stays a member; the log names the practice as who did it", async () => {
    const { authors, sessionOf, headersOf } = await signUp(server.client, "ada", "bea")
    const [ada, bea] = authors as [(typeof authors)[0], (typeof authors)[0]]
    const opened = await draftEntry(ada, record, null)
    await server.client.append(sessionOf(ada), opened)
    const seen = { size: server.store.treeHead().size, root: server.store.treeHead().root }
    const shared = await draftMembers(ada, opened, [memberOf(ada, "owner"), memberOf(bea, "writer")], seen)
    expect((await server.client.append(sessionOf(ada), shared)).statusCode).toBe(200)
    const look = () =>
      server.client.call(readIdentity.reply, "GET", `${usernamePath("bea")}?since=0`, undefined, headersOf(ada))
    const members = () =>
      server.client.call(
        readAccepted.reply,
        "GET",
        paths.accepted.replace(":record", record),
        undefined,
        headersOf(ada),
      )
    expect((await look()).suspended).toBe(false)
    expect((await members()).suspended).toEqual([])
    await operator({ do: "suspend", username: "bea" })
    expect((await look()).suspended).toBe(true)
    expect((await members()).suspended).toEqual([bea.physician])
    await operator({ do: "resume", username: "bea" })
    const { headers } = await server.client.login("bea", password)
    const query = `?before=${Number.MAX_SAFE_INTEGER}&limit=50&pinned=0`
    const { leaves } = await server.client.call(readActivity.reply, "GET", paths.activity + query, undefined, headers)
    const acts = leaves.filter(({ type }) => type === "admin")
    expect(acts.map(({ actor }) => actor)).toEqual([server.store.practice, server.store.practice])
    const list = await operator({ do: "list" })
    expect(list.accounts).toEqual([
      { username: "ada", created: server.clock.time, suspended: null, lastSignIn: null },
      { username: "bea", created: server.clock.time, suspended: null, lastSignIn: server.clock.time },
    ])
  })

  test("nobody of that name is nobody", async () => {
    for (const act of ["suspend", "resume"] as const)
      await expect(operator({ do: act, username: "nobody" })).rejects.toThrow(
        expect.objectContaining({ code: "NOT_ALLOWED" }),
      )
  })
})
