import { afterAll, beforeAll, describe, expect, test } from "vitest"
import { sha256 } from "#sha256"
import { newId } from "../../encoding/ids.ts"
import { leafData } from "../../proof/leaf.ts"
import { leafHash, verifyConsistency, verifyInclusion } from "../../proof/merkle.ts"
import { verifyStretch } from "../../proof/stretch.ts"
import { readIdentity } from "../../protocol/accounts.ts"
import { entriesPath, paths, physicianPath, usernamePath } from "../../protocol/paths.ts"
import { readLeaves, readPrefixes } from "../../protocol/records.ts"
import { type Author, appendBody, draftEntry, signUp } from "../client.fixture.ts"
import { openTestServer, type TestServer } from "../server.fixture.ts"

let server: TestServer
let ada: Author
let bob: Author
let cyd: Author
let headersOf: (author: Author) => Record<string, string>

beforeAll(async () => {
  server = await openTestServer()
  const signed = await signUp(server.client, "ada", "bob", "cyd")
  ;[ada, bob, cyd] = signed.authors as [Author, Author, Author]
  headersOf = signed.headersOf
})
afterAll(() => server.close())

function seen() {
  const { size, root } = server.store.treeHead()
  return { size, root }
}

describe("who a colleague is", () => {
  const look = (url: string, as = ada) => server.client.send("GET", `${url}?since=0`, undefined, headersOf(as))

  test("is told by username and by id, with the proof that the log has it", async () => {
    for (const url of [usernamePath("bob"), physicianPath(bob.physician)]) {
      const { identity, leaf, inclusion } = readIdentity.reply.decode((await look(url)).json())
      const data = leafData({
        subject: bob.physician,
        stream: "identity",
        type: "identity",
        number: identity.length - 1,
        actor: bob.physician,
        statementHash: sha256(identity.at(-1)!.statement),
        ...leaf,
      })
      const { size, root } = seen()
      expect(verifyInclusion(leafHash(data), leaf.index, size, inclusion, root)).toBe(true)
    }
  })

  test("is not told to whoever is not signed in, nor of anybody unknown", async () => {
    const unsigned = await server.client.send("GET", `${usernamePath("bob")}?since=0`)
    expect(unsigned.json().code).toBe("NOT_ALLOWED_SESSION")
    for (const url of [usernamePath("nobody"), physicianPath(newId<"physician">())]) {
      const response = await look(url)
      expect([response.statusCode, response.json().code]).toEqual([403, "NOT_ALLOWED"])
    }
    expect((await look(usernamePath("No-Such"))).json().code).toBe("BAD_INPUT_FORMAT")
  })

  test("cannot be guessed through by the dozen", async () => {
    server.clock.time += 60_000
    for (let i = 0; i < 60; i++) expect((await look(usernamePath(`guess-${i}`), cyd)).statusCode).toBe(403)
    const refused = await look(usernamePath("bob"), cyd)
    expect([refused.statusCode, refused.json().code]).toEqual([429, "UNAVAILABLE_LIMIT"])
    expect(refused.headers["retry-after"]).toBe("60")
    expect((await look(usernamePath("bob"))).statusCode).toBe(200)
    server.clock.time += 60_000
    expect((await look(usernamePath("bob"), cyd)).statusCode).toBe(200)
  })
})

test("earlier trees are proved prefixes of a later one", async () => {
  const heads = [seen()]
  for (let i = 0; i < 9; i++) {
    const entry = await draftEntry(ada, newId<"record">(), null)
    const path = entriesPath(entry.statement.record)
    expect((await server.client.send("POST", path, appendBody(entry), headersOf(ada))).statusCode).toBe(200)
    heads.push(seen())
  }
  const to = heads.at(-2)!
  const sizes = heads.slice(0, -1).map((one) => one.size)
  const ask = (body: object) => server.client.send("POST", paths.prefixes, body, headersOf(ada))
  const { proofs } = readPrefixes.reply.decode((await ask({ to: to.size, sizes: [0, ...sizes] })).json())
  expect(proofs[0]).toEqual([])
  sizes.forEach((size, i) => {
    expect(verifyConsistency(size, heads[i]!.root, to.size, to.root, proofs[i + 1]!)).toBe(true)
  })
  for (const body of [
    { to: to.size, sizes: [to.size + 1] },
    { to: seen().size + 1, sizes: [1] },
    { to: to.size, sizes: [] },
  ])
    expect((await ask(body)).json().code).toBe("BAD_INPUT_FORMAT")
  expect((await server.client.send("POST", paths.prefixes, { to: 1, sizes: [1] })).statusCode).toBe(401)
})

test("a stretch of leaves is given with what makes up the rest of the tree", async () => {
  const { size, root } = seen()
  const ask = (query: string) =>
    server.client.send("GET", `${paths.leaves}?${query}&pinned=0`, undefined, headersOf(ada))
  for (const [from, to] of [
    [0, size],
    [1, 3],
    [2, size + 100],
  ] as const) {
    const { leaves, next } = readLeaves.reply.decode((await ask(`from=${from}&to=${to}`)).json())
    expect(next).toBe(Math.min(to, size))
    expect(() => verifyStretch({ from, to: next, ...leaves }, { size, root })).not.toThrow()
  }
  for (const [from, to] of [
    [size, size + 1],
    [size + 9, size + 10],
    [3, 2],
  ] as const) {
    const { leaves, next } = readLeaves.reply.decode((await ask(`from=${from}&to=${to}`)).json())
    expect([leaves.data.length, leaves.left, leaves.right, next]).toEqual([0, [], [], from])
  }
  expect((await ask("from=-1&to=2")).json().code).toBe("BAD_INPUT_FORMAT")
  expect((await server.client.send("GET", `${paths.leaves}?from=0&to=1&pinned=0`)).statusCode).toBe(401)
})
