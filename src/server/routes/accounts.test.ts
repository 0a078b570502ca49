import { afterEach, beforeEach, describe, expect, test } from "vitest"
import { sha256 } from "#sha256"
import { keyToken, paddedToken } from "../../encoding/token-form.fixture.ts"
import { encodeIdentity, type IdentityStatement, verifyIdentityChain } from "../../proof/identity.ts"
import { encodeRecovery } from "../../proof/recovery.ts"
import { asSealKey } from "../../proof/seal-key.fixture.ts"
import { signedBytes } from "../../proof/signature.ts"
import { statementHash } from "../../proof/statement.ts"
import {
  loginStart,
  practice,
  recoverFinish,
  recoverStart,
  registerFinish,
  type UnlockSeal,
  unlocks,
} from "../../protocol/accounts.ts"
import { paths } from "../../protocol/paths.ts"
import {
  type Author,
  asSent,
  newAuthor,
  newSigner,
  type PasswordChange,
  randomToken,
  type SignedIn,
  signToken,
} from "../client.fixture.ts"
import { openTestServer, type TestServer } from "../server.fixture.ts"

const password = "correct horse battery staple"
let server: TestServer
let ada: Author
let recoverySeed: Uint8Array

beforeEach(async () => {
  server = await openTestServer()
  ada = await newAuthor("ada")
  recoverySeed = randomToken(32)
  await server.client.register(ada, password, { recoverySeed })
})
afterEach(() => server.close())

describe("registration", () => {
  test("gives a session on an account with two leaves and receipts", async () => {
    const eve = await newAuthor("eve")
    const { body, plain, identity } = await server.client.registration(eve, password)
    const reply = await server.client.call(registerFinish.reply, "POST", paths.registerFinish, body)
    expect(reply.identity.leaf.index).toBe(2)
    expect(reply.keyring.leaf.index).toBe(3)
    expect(reply.account).toMatchObject({ physician: eve.physician, username: "eve" })
    expect(reply.account.keyring).toEqual({ number: 0, ...plain.keyring, leaf: reply.keyring.leaf })
    expect(reply.account.profile).toEqual({ number: 0, ...plain.profile })
    expect(reply.account.unlocks.map((unlock) => unlock.method)).toEqual(["password", "recovery"])
    expect((await verifyIdentityChain(reply.account.identity)).unlocks).toEqual(identity.unlocks)
    expect(reply.account.session.bearer).toHaveLength(43)
    expect(reply.account.session.half).toBe(undefined)
  })

  test("a taken username is told at the start and at the end", async () => {
    const [first, second] = [await newAuthor("ada2"), await newAuthor("ada2")]
    const both = [await server.client.registration(first, password), await server.client.registration(second, password)]
    const started = await server.client.send("POST", paths.registerStart, {
      username: "ada",
      registrationRequest: "AAAA",
    })
    expect([started.statusCode, started.json().code]).toEqual([409, "CONFLICT_USERNAME"])
    const finished = []
    for (const { body } of both) finished.push(await server.client.send("POST", paths.registerFinish, body))
    expect(finished.map((response) => response.statusCode)).toEqual([200, 409])
    expect(finished[1]!.json().code).toBe("CONFLICT_USERNAME")
  })

  test("that is sent again, because its answer was lost, is answered again and stored once", async () => {
    const { body } = await server.client.registration(await newAuthor("eve"), password)
    const first = await server.client.call(registerFinish.reply, "POST", paths.registerFinish, body)
    const again = await server.client.call(registerFinish.reply, "POST", paths.registerFinish, body)
    expect(again.identity.leaf).toEqual(first.identity.leaf)
    expect(again.account.session.id).not.toBe(first.account.session.id)
    expect(server.store.treeHead().size).toBe(first.keyring.leaf.index + 1)
  })

  test("that was never started is refused, and so are too many that are never finished", async () => {
    const { body, plain } = await server.client.registration(await newAuthor("eve"), password)
    const other = registerFinish.body.encode({ ...plain, registration: "A".repeat(43) })
    expect((await server.client.send("POST", paths.registerFinish, other)).statusCode).toBe(503)
    const start = () =>
      server.client.send("POST", paths.registerStart, { username: "eve", registrationRequest: "AAAA" })
    let limited = 0
    for (let i = 0; i < 60; i++) if ((await start()).statusCode === 429) limited++
    expect(limited).toBeGreaterThan(15)
    expect((await server.client.send("POST", paths.registerFinish, body)).statusCode).toBe(200)
  })

  test.each<[string, Partial<IdentityStatement>]>([
    ["another username", { username: "mallory" }],
    ["a later seq", { seq: 1 }],
    ["an unlock less", { unlocks: [{ method: "password", generation: 0, hash: randomToken(32) }] }],
    ["another public key than the one that signed", { signKey: randomToken(32) }],
  ])("an identity with %s is refused", async (_, identity) => {
    const { body } = await server.client.registration(await newAuthor("eve"), password, { identity })
    const response = await server.client.send("POST", paths.registerFinish, body)
    expect([response.statusCode, response.json().code]).toEqual([400, "BAD_INPUT_STATEMENT"])
    expect(await server.store.usernameTaken("eve")).toBe(false)
  })

  test.each<[string, (plain: Registration) => Partial<Registration>]>([
    ["a seal that the identity does not list", ({ unlocks }) => ({ unlocks: swap(unlocks, { token: keyToken() }) })],
    ["a generation that is not the first", ({ unlocks }) => ({ unlocks: swap(unlocks, { generation: 1 }) })],
    ["the same method twice", ({ unlocks }) => ({ unlocks: [unlocks[0]!, unlocks[0]!] })],
    ["a recovery key of small order", () => ({ recoveryKey: new Uint8Array(32) })],
    ["a keyring that nobody signed for", ({ keyring }) => ({ keyring: { ...keyring, token: paddedToken(1000) } })],
    ["a profile under a keyring's statement", ({ profile, keyring }) => ({ profile: { ...profile, ...keyring } })],
    [
      "a signature of nobody's",
      ({ keyring: { token, signed } }) => ({ keyring: { token, signed: { ...signed, signature: randomToken(64) } } }),
    ],
  ])("%s is refused", async (_, change) => {
    const { plain } = await server.client.registration(await newAuthor("eve"), password)
    const body = registerFinish.body.encode({ ...plain, ...change(plain) })
    const response = await server.client.send("POST", paths.registerFinish, body)
    expect([response.statusCode, response.json().code]).toEqual([400, "BAD_INPUT_STATEMENT"])
  })

  test("with what is no sealed token is refused, whoever signed for it", async () => {
    const junk = randomToken(3)
    const eve = await newAuthor("eve")
    const seals = ["password", "recovery"].map((method) => ({ method, generation: 0, token: junk }))
    for (const [sent, identity] of [
      [{ profile: await signToken(eve, "profile", junk) }, {}],
      [{ keyring: await signToken(eve, "keyring", junk) }, {}],
      [{ unlocks: seals }, { unlocks: seals.map(listed) }],
    ] as const) {
      const { plain } = await server.client.registration(eve, password, { identity })
      const response = await server.client.send("POST", paths.registerFinish, asSent({ ...plain, ...sent }))
      expect([response.statusCode, response.json().code]).toEqual([400, "BAD_INPUT_FORMAT"])
    }
    expect(await server.store.usernameTaken("eve")).toBe(false)
  })
})

describe("log-in", () => {
  test("is an act leaf each time", async () => {
    const { size } = server.store.treeHead()
    await server.client.login("ada", password)
    await server.client.login("ada", password)
    expect(server.store.treeHead().size).toBe(size + 2)
  })

  test("a wrong password fails at the client; what it would send fails at the server", async () => {
    const { response, clientLoginState } = await server.client.startLogin("ada", "another password")
    const { login, loginResponse } = loginStart.reply.parse(response.json())
    expect(server.client.finishLogin("ada", "another password", clientLoginState, loginResponse)).toBe(null)
    const right = await server.client.startLogin("ada", password)
    const proof = server.client.finishLogin(
      "ada",
      password,
      right.clientLoginState,
      right.response.json().loginResponse,
    )
    const crossed = { login, finishLoginRequest: proof, carrier: "bearer" }
    const refused = await server.client.send("POST", paths.loginFinish, crossed)
    expect([refused.statusCode, refused.json().code]).toEqual([401, "NOT_ALLOWED_SIGN_IN"])
  })

  test("an unknown username answers like a known one", async () => {
    const [known, unknown] = await Promise.all([
      server.client.startLogin("ada", "guess"),
      server.client.startLogin("nobody", "guess"),
    ])
    expect(unknown.response.statusCode).toBe(known.response.statusCode)
    const shapes = [known, unknown].map(({ response }) =>
      Object.entries(response.json()).map(([name, value]) => [name, String(value).length]),
    )
    expect(shapes[1]).toEqual(shapes[0])
    const headers = [known, unknown].map(({ response }) => Object.keys(response.headers).sort())
    expect(headers[1]).toEqual(headers[0])
    for (const { response } of [known, unknown]) {
      const { login } = response.json()
      const body = { login, finishLoginRequest: "A".repeat(86), carrier: "bearer" }
      const finished = await server.client.send("POST", paths.loginFinish, body)
      expect([finished.statusCode, finished.json().code]).toEqual([401, "NOT_ALLOWED_SIGN_IN"])
    }
  })

  test("the state of a log-in lives a minute, and once", async () => {
    const attempt = async (lateMs: number) => {
      const { response, clientLoginState } = await server.client.startLogin("ada", password)
      const { login, loginResponse } = loginStart.reply.parse(response.json())
      const proof = server.client.finishLogin("ada", password, clientLoginState, loginResponse)
      server.clock.time += lateMs
      const body = { login, finishLoginRequest: proof, carrier: "bearer" }
      const first = await server.client.send("POST", paths.loginFinish, body)
      return [first.statusCode, (await server.client.send("POST", paths.loginFinish, body)).statusCode]
    }
    expect(await attempt(59_000)).toEqual([200, 401])
    expect(await attempt(60_000)).toEqual([401, 401])
  })

  test("ten failures lock a username out for a while, and say for how long; others are not touched", async () => {
    for (let i = 0; i < 10; i++) {
      const { response } = await server.client.startLogin("ada", "guess")
      const { login } = response.json()
      expect((await server.client.send("POST", paths.loginAbandon, { login })).statusCode).toBe(204)
    }
    const { response } = await server.client.startLogin("ada", password)
    expect([response.statusCode, response.json().code]).toEqual([429, "UNAVAILABLE_LIMIT"])
    expect(response.headers["retry-after"]).toBe("900")
    await server.client.register(await newAuthor("bob"), password)
    await server.client.login("bob", password)
    server.clock.time += 15 * 60_000
    for (let i = 0; i < 30; i++) await server.client.login("ada", password)
  })

  test("behind a proxy the address is the one that the proxy saw", async () => {
    const proxied = await openTestServer({ trustProxy: true })
    const from = (address: string) => ({ "x-forwarded-for": `198.51.100.${Math.random()}, ${address}` })
    for (let i = 0; i < 100; i++) {
      const { response } = await proxied.client.startLogin(`user${i}`, "guess", from("192.0.2.1"))
      await proxied.client.send("POST", paths.loginAbandon, { login: response.json().login })
    }
    const statuses = await Promise.all(
      ["192.0.2.1", "192.0.2.2"].map((address) => proxied.client.startLogin("ada", "guess", from(address))),
    )
    expect(statuses.map(({ response }) => response.statusCode)).toEqual([429, 200])
    await proxied.close()
  })
})

describe("recovery", () => {
  async function recover(username: string, seed: Uint8Array, lateMs = 0) {
    const { client, store, clock } = server
    const { nonce } = await client.call(recoverStart.reply, "POST", paths.recoverStart, { username })
    const { sign } = await newSigner(seed)
    const signature = await sign(signedBytes("recovery", encodeRecovery(store.practice, username, nonce)))
    clock.time += lateMs
    const body = recoverFinish.body.encode({ username, nonce, signature, carrier: "bearer" })
    return { body, response: await client.send("POST", paths.recoverFinish, body) }
  }

  test("the words' signature gives a session that may replace what was lost", async () => {
    const { body, response } = await recover("ada", recoverySeed)
    expect(response.statusCode).toBe(200)
    const again = await server.client.send("POST", paths.recoverFinish, body)
    expect([again.statusCode, again.json().code]).toEqual([401, "NOT_ALLOWED_RECOVERY"])
    const account = recoverFinish.reply.decode(response.json())
    const session = { account, headers: { authorization: `Bearer ${account.session.bearer}` } }
    const change = await changePassword(session, "a wholly new password")
    expect(change.response.statusCode).toBe(200)
    await server.client.login("ada", "a wholly new password")
  })

  test("other words, an unknown username and an old nonce are refused alike", async () => {
    const refused = [
      await recover("ada", randomToken(32)),
      await recover("nobody", recoverySeed),
      await recover("ada", recoverySeed, 60_000),
    ]
    for (const { response } of refused) {
      expect(response.statusCode).toBe(401)
      expect(response.json()).toEqual(refused[0]!.response.json())
    }
  })

  test("guesses are counted apart from log-in", async () => {
    for (let i = 0; i < 10; i++) await recover("ada", randomToken(32))
    const limited = await server.client.send("POST", paths.recoverStart, { username: "ada" })
    expect([limited.statusCode, limited.json().code]).toEqual([429, "UNAVAILABLE_LIMIT"])
    await server.client.login("ada", password)
  })
})

describe("replacing ways to unlock", () => {
  test("a new password ends all other sessions, the old one is no use any more", async () => {
    const old = await server.client.login("ada", password)
    const session = await server.client.login("ada", password)
    const { response, token } = await changePassword(session, "a wholly new password")
    expect(response.statusCode).toBe(200)
    expect((await server.client.send("GET", paths.session, undefined, old.headers)).statusCode).toBe(401)
    expect((await server.client.send("GET", paths.session, undefined, session.headers)).statusCode).toBe(200)
    const { account } = await server.client.login("ada", "a wholly new password")
    expect(account.unlocks.find((unlock) => unlock.method === "password")).toMatchObject({ generation: 1, token })
    expect(account.identity).toHaveLength(2)
    await expect(server.client.login("ada", password)).rejects.toThrow("wrong password")
  })

  test("new words replace the recovery key, and leave other sessions alone", async () => {
    const other = await server.client.login("ada", password)
    const session = await server.client.login("ada", password)
    const token = keyToken()
    const { publicKey } = await newSigner()
    const identity = await nextIdentity(session, [{ method: "recovery", generation: 1, token }])
    const body = unlocks.body.encode({ identity, recovery: { recoveryKey: publicKey, generation: 1, token }, since: 0 })
    await server.client.call(unlocks.reply, "POST", paths.unlocks, body, session.headers)
    expect((await server.client.send("GET", paths.session, undefined, other.headers)).statusCode).toBe(200)
    expect((await server.store.findCredential("ada"))?.recoveryKey).toEqual(publicKey)
  })

  test("needs a proof of the last five minutes", async () => {
    const session = await server.client.login("ada", password)
    server.clock.time += 5 * 60_000 + 1
    const start = await server.client.send("POST", paths.unlocksStart, { registrationRequest: "AAAA" }, session.headers)
    expect([start.statusCode, start.json().code]).toEqual([401, "NOT_ALLOWED_PROOF"])
    const { response } = await changePassword(session, "a wholly new password", {
      registrationRecord: "AAAA",
    })
    expect(response.json().code).toBe("NOT_ALLOWED_PROOF")
  })

  test("two at once: one is the next identity, the other conflicts", async () => {
    const session = await server.client.login("ada", password)
    const changes = await Promise.all([
      changePassword(session, "a wholly new password"),
      changePassword(session, "another new password"),
    ])
    const codes = changes.map(({ response }) => (response.statusCode === 200 ? "ok" : response.json().code))
    expect(codes.sort()).toEqual(["CONFLICT_IDENTITY", "ok"])
  })

  test.each<[string, PasswordChange]>([
    ["a generation that is not the next", { generation: 2 }],
    ["a seal that is not listed", { token: keyToken() }],
    ["another signature", { spoil: true }],
  ])("%s is refused", async (_, change) => {
    const session = await server.client.login("ada", password)
    const { response } = await changePassword(session, "a wholly new password", change)
    expect([response.statusCode, response.json().code]).toEqual([400, "BAD_INPUT_STATEMENT"])
    await server.client.login("ada", password)
  })

  test("a seal that is no sealed key is refused, whoever signed for it", async () => {
    const session = await server.client.login("ada", password)
    const { response } = await changePassword(session, "a wholly new password", { listed: randomToken(3) })
    expect([response.statusCode, response.json().code]).toEqual([400, "BAD_INPUT_FORMAT"])
    await server.client.login("ada", password)
  })

  test("a new identity that changes nothing, or the keys, is refused", async () => {
    const session = await server.client.login("ada", password)
    const send = async (identity: Awaited<ReturnType<typeof nextIdentity>>) => {
      const body = unlocks.body.encode({ identity, since: 0 })
      return (await server.client.send("POST", paths.unlocks, body, session.headers)).json().code
    }
    expect(await send(await nextIdentity(session, []))).toBe("BAD_INPUT_STATEMENT")
    expect(await send(await nextIdentity(session, [], { sealKey: asSealKey(randomToken(1216)) }))).toBe(
      "BAD_INPUT_STATEMENT",
    )
  })
})

test("the practice names itself to everybody", async () => {
  const about = await server.client.call(practice.reply, "GET", paths.practice)
  expect(about).toMatchObject({ practice: server.store.practice, origin: `healthcrypt/${server.store.practice}` })
  expect(about.logKey).toEqual(server.signer.publicKey)
  expect(about.version).toMatch(/^\d+\.\d+\.\d+/)
  const note = await server.client.send("GET", paths.checkpoint)
  expect(note.headers["content-type"]).toMatch("text/plain")
  expect(note.body).toBe(server.store.treeHead().note)
})

type Registration = Awaited<ReturnType<TestServer["client"]["registration"]>>["plain"]

function swap([first, second]: readonly UnlockSeal[], change: Partial<UnlockSeal>): UnlockSeal[] {
  return [{ ...first!, ...change }, second!]
}

function listed({ method, generation, token }: UnlockSeal) {
  return { method, generation, hash: sha256(token) }
}

function identityOf(author: Author, rest: Pick<IdentityStatement, "unlocks"> & Partial<IdentityStatement>) {
  const { physician, username, signKey, sealKey } = author
  return { v: 1, suite: "F1", physician, seq: 0, username, signKey, sealKey, time: 1, ...rest } as const
}

async function nextIdentity(session: SignedIn, fresh: readonly UnlockSeal[], change: Partial<IdentityStatement> = {}) {
  const chain = session.account.identity
  const kept = session.account.unlocks.filter((seal) => !fresh.some((one) => one.method === seal.method))
  const statement = identityOf(ada, {
    seq: chain.length,
    prev: statementHash(chain.at(-1)!.statement),
    unlocks: [...kept, ...fresh].map(listed),
    ...change,
  })
  return ada.sign("identity", encodeIdentity(statement))
}

async function changePassword(session: SignedIn, next: string, change: PasswordChange = {}) {
  const { client } = server
  const registrationRecord = change.registrationRecord ?? (await client.registerAgain(session, "ada", next))
  const generation = change.generation ?? 1
  const token = change.listed ?? keyToken()
  const identity = await nextIdentity(session, [{ method: "password", generation, token }])
  if (change.spoil) identity.signature.reverse()
  const body = asSent({
    identity,
    password: { registrationRecord, generation, token: change.token ?? token },
    since: 0,
  })
  return { token, response: await client.send("POST", paths.unlocks, body, session.headers) }
}
