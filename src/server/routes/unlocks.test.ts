import { afterEach, beforeEach, expect, test } from "vitest"
import { sha256 } from "#sha256"
import { keyToken } from "../../encoding/token-form.fixture.ts"
import { encodeIdentity } from "../../proof/identity.ts"
import { type Signed, statementHash } from "../../proof/statement.ts"
import { unlocks } from "../../protocol/accounts.ts"
import { paths } from "../../protocol/paths.ts"
import { type Author, newAuthor, newSigner, type SignedIn } from "../client.fixture.ts"
import { openTestServer, type TestServer } from "../server.fixture.ts"

const password = "correct horse battery staple"
const dayMs = 24 * 3_600_000
let server: TestServer
let ada: Author
let session: SignedIn

beforeEach(async () => {
  server = await openTestServer()
  ada = await newAuthor("ada")
  session = await server.client.register(ada, password)
})
afterEach(() => server.close())

/** The request that replaces the words once more. */
async function newWords(before: Signed, seq: number): Promise<{ identity: Signed; body: unknown }> {
  const token = keyToken()
  const kept = session.account.unlocks.filter(({ method }) => method === "password")
  const { physician, username, signKey, sealKey } = ada
  const statement = encodeIdentity({
    v: 1,
    suite: "F1",
    physician,
    seq,
    prev: statementHash(before.statement),
    username,
    signKey,
    sealKey,
    unlocks: [...kept, { method: "recovery", generation: seq, token }].map(({ method, generation, token: sealed }) => ({
      method,
      generation,
      hash: sha256(sealed),
    })),
    time: 1,
  })
  const identity = await ada.sign("identity", statement)
  const recovery = { recoveryKey: (await newSigner()).publicKey, generation: seq, token }
  return { identity, body: unlocks.body.encode({ identity, recovery, since: 0 }) }
}

test("of 20 identities a day each is taken, and told again; then the next has to wait", async () => {
  const send = (body: unknown) => server.client.send("POST", paths.unlocks, body, session.headers)
  let newest = session.account.identity[0]!
  for (let seq = 1; seq < 20; seq++) {
    const { identity, body } = await newWords(newest, seq)
    expect((await send(body)).statusCode).toBe(200)
    if (seq === 19) expect((await send(body)).statusCode).toBe(200)
    newest = identity
  }
  const { body } = await newWords(newest, 20)
  const limited = await send(body)
  expect([limited.statusCode, limited.json().code]).toEqual([429, "UNAVAILABLE_LIMIT"])
  expect(Number(limited.headers["retry-after"])).toBe(dayMs / 1000)
  server.clock.time += dayMs - 1
  session = await server.client.login("ada", password)
  expect((await send(body)).statusCode).toBe(429)
  server.clock.time += 1
  expect((await send(body)).statusCode).toBe(200)
})
