import { client as opaqueClient } from "@serenity-kit/opaque"
import fc from "fast-check"
import { afterAll, beforeAll, beforeEach, describe, expect, test, vi } from "vitest"
import { sha256 } from "#sha256"
import { keyToken } from "../../encoding/token-form.fixture.ts"
import { encodeIdentity } from "../../proof/identity.ts"
import { encodeRecovery } from "../../proof/recovery.ts"
import { signedBytes } from "../../proof/signature.ts"
import { type Signed, statementHash } from "../../proof/statement.ts"
import { recoverFinish, recoverStart, unlocks } from "../../protocol/accounts.ts"
import { paths } from "../../protocol/paths.ts"
import { type Author, newAuthor, newSigner, randomToken, type SignedIn } from "../client.fixture.ts"
import { guessLimits } from "../guess-limit.ts"
import { openTestServer, type TestServer } from "../server.fixture.ts"

/** Each evaluation of the OPRF tells what one password becomes. Whoever gets them without limit guesses at full speed. */

const counted = vi.hoisted(() => ({ evaluation: (_username: string): void => {} }))
// The library itself, unchanged: no route gets an evaluation that is not counted here.
vi.mock("@serenity-kit/opaque", async (original) => {
  const library = await original<typeof import("@serenity-kit/opaque")>()
  const counting =
    <Asked extends { readonly userIdentifier: string }, Answer>(evaluate: (asked: Asked) => Answer) =>
    (asked: Asked): Answer => {
      const answer = evaluate(asked)
      counted.evaluation(asked.userIdentifier)
      return answer
    }
  const { startLogin, createRegistrationResponse } = library.server
  const server = {
    ...library.server,
    startLogin: counting(startLogin),
    createRegistrationResponse: counting(createRegistrationResponse),
  }
  return { ...library, server }
})

const password = "correct horse battery staple"
const { windowMs, username: limit } = guessLimits
const routes = [paths.loginStart, paths.registerStart, paths.unlocksStart] as const
const recoverySeed = randomToken(32)
let server: TestServer
let ada: Author
let identity: Signed
let evaluated: { readonly username: string; readonly at: number }[] = []

beforeAll(async () => {
  server = await openTestServer()
  counted.evaluation = (username) => evaluated.push({ username, at: server.clock.time })
  ada = await newAuthor("ada")
  identity = (await server.client.register(ada, password, { recoverySeed })).account.identity[0]!
})
afterAll(() => server.close())
beforeEach(() => {
  server.clock.time += 2 * windowMs
  evaluated = []
})

/** A guess at one of the three addresses. @param session that somebody has got hold of */
function guess(path: (typeof routes)[number], username: string, session: SignedIn) {
  const { startLoginRequest } = opaqueClient.startLogin({ password: "a guess" })
  const { registrationRequest } = opaqueClient.startRegistration({ password: "a guess" })
  const body = {
    [paths.loginStart]: { username, startLoginRequest },
    [paths.registerStart]: { username, registrationRequest },
    [paths.unlocksStart]: { registrationRequest },
  }[path]
  return server.client.send("POST", path, body, path === paths.unlocksStart ? session.headers : {})
}

/** The physician's own, who knows the password: it is no guess. */
async function signIn(): Promise<SignedIn> {
  const before = evaluated.length
  const session = await server.client.login("ada", password)
  evaluated.splice(before)
  return session
}

/** The most that were evaluated for one username within any window. */
function mostIn(username: string): number {
  const times = evaluated.filter((one) => one.username === username).map(({ at }) => at)
  return Math.max(0, ...times.map((from) => times.filter((at) => at >= from && at < from + windowMs).length))
}

test("three addresses evaluate, and no other", async () => {
  const { startLoginRequest } = opaqueClient.startLogin({ password: "a guess" })
  const { registrationRequest } = opaqueClient.startRegistration({ password: "a guess" })
  const bodies = [
    {},
    { username: "eve" },
    { username: "eve", startLoginRequest },
    { username: "eve", registrationRequest },
    { registrationRequest },
  ]
  const found = new Set<string>()
  for (const pattern of Object.values(paths)) {
    const path = pattern.replace(/:\w+/g, ada.physician).replace("*", "0/000")
    for (const method of ["GET", "POST", "PUT", "DELETE"]) {
      if (pattern === paths.events) continue
      const { headers } = await signIn()
      for (const body of method === "POST" || method === "PUT" ? bodies : [undefined]) {
        for (const given of [{}, headers]) {
          evaluated = []
          await server.client.send(method, path, body, given)
          if (evaluated.length > 0) found.add(`${method} ${pattern}`)
        }
      }
    }
  }
  expect([...found].sort()).toEqual(routes.map((path) => `POST ${path}`).sort())
})

describe("of one username no more are evaluated than the limit", () => {
  test.each(routes)("by %s alone", async (path) => {
    const username = path === paths.registerStart ? "somebody-new" : "ada"
    const session = await signIn()
    const statuses: number[] = []
    for (let i = 0; i < 200; i++) {
      statuses.push((await guess(path, username, session)).statusCode)
      server.clock.time += 1000
    }
    expect(statuses[0]).toBe(200)
    expect(statuses).toContain(429)
    expect(mostIn(username)).toBeLessThanOrEqual(limit.failuresAndOpen)
  })

  test("by all of them together, by what is begun and left, and by what is sent at once", async () => {
    const session = await signIn()
    for (let round = 0; round < 4; round++) {
      await Promise.all(Array.from({ length: 90 }, (_, i) => guess(routes[i % 3]!, "ada", session)))
      server.clock.time += 20_000
    }
    expect(mostIn("ada")).toBe(limit.failuresAndOpen)
    expect((await guess(paths.loginStart, "ada", session)).statusCode).toBe(429)
  })

  test("whatever the order", async () => {
    const step = fc.oneof(
      fc.record({ guesses: fc.integer({ min: 1, max: 30 }), path: fc.constantFrom(...routes) }),
      fc.record({ seconds: fc.integer({ min: 1, max: 400 }) }),
      fc.constant("the physician signs in" as const),
      fc.constant("all that is open is given up" as const),
    )
    const order = fc.asyncProperty(fc.array(step, { minLength: 5, maxLength: 40 }), async (steps) => {
      server.clock.time += 2 * windowMs
      evaluated = []
      let session = await signIn()
      let open: string[] = []
      for (const one of steps) {
        if (one === "the physician signs in") session = await signIn().catch(() => session)
        else if (one === "all that is open is given up") {
          for (const login of open) await server.client.send("POST", paths.loginAbandon, { login })
          open = []
        } else if ("seconds" in one) server.clock.time += one.seconds * 1000
        else
          for (let i = 0; i < one.guesses; i++) {
            const given = await guess(one.path, "ada", session)
            if (given.statusCode === 200 && one.path === paths.loginStart) open.push(given.json().login)
          }
      }
      return mostIn("ada") <= limit.failuresAndOpen
    })
    await fc.assert(order, { numRuns: 25 })
  })
})

describe("who has proved themself", () => {
  let seq = 0

  /** Sets another password, which the physician's own key signs. */
  async function setPassword(session: SignedIn, again = false): Promise<number> {
    const registrationRecord = await server.client.registerAgain(session, "ada", password)
    seq++
    const token = keyToken()
    const seals = [
      { method: "password", generation: seq, hash: sha256(token) },
      ...session.account.unlocks
        .filter(({ method }) => method === "recovery")
        .map(({ method, generation, token: sealed }) => ({ method, generation, hash: sha256(sealed) })),
    ]
    const { physician, username, signKey, sealKey } = ada
    const prev = statementHash(identity.statement)
    const next = {
      v: 1,
      suite: "F1",
      physician,
      seq,
      prev,
      username,
      signKey,
      sealKey,
      unlocks: seals,
      time: 1,
    } as const
    identity = await ada.sign("identity", encodeIdentity(next))
    const body = unlocks.body.encode({
      identity,
      password: { registrationRecord, generation: seq, token },
      since: 0,
    })
    const { statusCode } = await server.client.send("POST", paths.unlocks, body, session.headers)
    if (again) await server.client.send("POST", paths.unlocks, body, session.headers)
    return statusCode
  }

  test("uses nothing up by a change that is finished", async () => {
    for (let i = 0; i < 9; i++) expect(await setPassword(await signIn())).toBe(200)
    for (let i = 0; i < 9; i++) await giveUp()
    expect((await guess(paths.loginStart, "ada", await signIn())).statusCode).toBe(200)
    server.clock.time += 24 * 3_600_000
  })

  test("gets back in by the words, and sets a password, after ten that were wrong", async () => {
    for (let i = 0; i < 10; i++) await giveUp()
    const session = await recover()
    expect((await guess(paths.loginStart, "ada", session)).statusCode).toBe(429)
    expect(await setPassword(session)).toBe(200)
    server.clock.time += 24 * 3_600_000
  })

  test("does not undo what was evaluated besides by sending a change twice", async () => {
    const session = await signIn()
    const open = Array.from({ length: 8 }, () => guess(paths.unlocksStart, "ada", session))
    await Promise.all(open)
    expect(await setPassword(session, true)).toBe(200)
    server.clock.time += guessLimits.attemptMs
    for (let i = 0; i < 2; i++) await giveUp()
    expect((await guess(paths.loginStart, "ada", session)).statusCode).toBe(429)
  })

  async function giveUp(): Promise<void> {
    const { response } = await server.client.startLogin("ada", "another password")
    expect(response.statusCode).toBe(200)
    await server.client.send("POST", paths.loginAbandon, { login: response.json().login })
  }

  async function recover(): Promise<SignedIn> {
    const username = "ada"
    const { nonce } = await server.client.call(recoverStart.reply, "POST", paths.recoverStart, { username })
    const { sign } = await newSigner(recoverySeed)
    const signature = await sign(signedBytes("recovery", encodeRecovery(server.store.practice, username, nonce)))
    const body = recoverFinish.body.encode({ username, nonce, signature, carrier: "bearer" })
    const account = await server.client.call(recoverFinish.reply, "POST", paths.recoverFinish, body)
    return { account, headers: { authorization: `Bearer ${account.session.bearer}` } }
  }
})

test("that a username is taken is told without an evaluation, and costs its physician nothing", async () => {
  const session = await signIn()
  for (let i = 0; i < 10; i++) expect((await guess(paths.registerStart, "ada", session)).statusCode).toBe(409)
  expect(evaluated).toEqual([])
  await signIn()
})
