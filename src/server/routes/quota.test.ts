import { DatabaseSync } from "node:sqlite"
import { afterEach, describe, expect, test } from "vitest"
import { sha256 } from "#sha256"
import { newId, type RecordId } from "../../encoding/ids.ts"
import { paddedToken } from "../../encoding/token-form.fixture.ts"
import { putKeyring, putProfile, readSessions } from "../../protocol/accounts.ts"
import { actsPath, entriesPath, otherSessionPath, paths, segmentPath } from "../../protocol/paths.ts"
import { segmentBody } from "../../protocol/records.ts"
import {
  type Author,
  draftEntry,
  draftMembers,
  memberOf,
  newAuthor,
  randomToken,
  type SignedIn,
  selfGrantsBody,
  signToken,
  signUp,
} from "../client.fixture.ts"
import { hashOfCode } from "../operator.ts"
import { openTestServer, type TestServer } from "../server.fixture.ts"
import { leafBytes, type Quota, usualQuota } from "../store/quota.ts"

const password = "correct horse battery staple"
const hourMs = 3_600_000
let server: TestServer
let ada: Author
let bea: Author
let sessionOf: (author: Author) => SignedIn

afterEach(() => server.close())

async function open(quota: Partial<Quota> = {}): Promise<void> {
  server = await openTestServer({}, { ...usualQuota, ...quota })
  const signed = await signUp(server.client, "ada", "bea")
  ;[ada, bea] = signed.authors as [Author, Author]
  sessionOf = signed.sessionOf
}

interface Usage {
  readonly bytes: number
  readonly records: number
  readonly leaves: number
}

function usage(of: Author): Usage {
  const database = new DatabaseSync(server.file, { readOnly: true })
  const row = database.prepare("select bytes, records, leaves from usage where physician = ?").get(of.physician)
  database.close()
  return row as unknown as Usage
}

function seen() {
  const { size, root } = server.store.treeHead()
  return { size, root }
}

const write = async (as: Author, record: RecordId = newId()) =>
  server.client.append(sessionOf(as), await draftEntry(as, record, null, seen()))
const codeOf = (answer: { statusCode: number; json(): { code?: string } }) =>
  answer.statusCode < 300 ? "done" : answer.json().code

async function putSegment(bytes: number, id = newId<"segment">()) {
  const { token, signed } = await signToken(ada, "segments", paddedToken(bytes), { subject: id })
  return server.client.send("PUT", segmentPath(id), Buffer.from(segmentBody.encode(signed, token)), {
    ...sessionOf(ada).headers,
    "content-type": "application/octet-stream",
  })
}

describe("every route that writes", () => {
  /** How each is counted; null with the reason why not. */
  const writes: Readonly<Record<string, string>> = {
    "POST /api/register/start": "stores nothing",
    "POST /api/register/finish": "counted",
    "POST /api/login/start": "stores nothing",
    "POST /api/login/finish": "counted",
    "POST /api/login/abandon": "stores nothing",
    "POST /api/recover/start": "stores nothing",
    "POST /api/recover/finish": "counted",
    "DELETE /api/session": "takes away",
    "DELETE /api/session/half": "takes away",
    "POST /api/unlocks/start": "stores nothing",
    "POST /api/unlocks": "counted",
    "PUT /api/keyring": "counted",
    "PUT /api/segments/:segment": "counted",
    "PUT /api/profile": "counted",
    "POST /api/records/:record/entries": "counted",
    "POST /api/records/:record/acts": "counted",
    "POST /api/self-grants": "counted",
    "POST /api/log/prefixes": "stores nothing",
    "DELETE /api/sessions/:session": "counted",
  }

  test("is in the list above", async () => {
    await open()
    const found = Object.values(paths).flatMap((url) =>
      (["POST", "PUT", "PATCH", "DELETE"] as const)
        .filter((method) => server.app.hasRoute({ method, url }))
        .map((method) => `${method} ${url}`),
    )
    expect(found.filter((route) => !(route in writes))).toEqual([])
  })

  test("counts what it stores, and an entry its author, whoever owns the record", async () => {
    await open()
    const record = newId<"record">()
    const opened = await draftEntry(ada, record, null)
    const steps: [string, Author, () => Promise<{ statusCode: number; json(): { code?: string } }>][] = [
      ["open", ada, () => server.client.append(sessionOf(ada), opened)],
      ["act", ada, () => server.client.send("POST", actsPath(record), { act: "export" }, sessionOf(ada).headers)],
      ["segment", ada, () => putSegment(5000)],
    ]
    for (const [name, author, run] of steps) {
      const before = usage(author)
      expect(codeOf(await run()), name).toBe("done")
      const after = usage(author)
      expect(after.bytes, name).toBeGreaterThan(before.bytes)
      expect(after.records - before.records, name).toBe(name === "open" ? 1 : 0)
    }
    const shared = await draftMembers(ada, opened, [memberOf(ada, "owner"), memberOf(bea, "writer")], seen())
    await server.client.append(sessionOf(ada), shared)
    const [ofAda, ofBea] = [usage(ada), usage(bea)]
    const selfGrants = await selfGrantsBody(bea, record, [0])
    expect(codeOf(await server.client.send("POST", paths.selfGrants, selfGrants, sessionOf(bea).headers))).toBe("done")
    expect(usage(bea).leaves).toBe(ofBea.leaves + 1)
    const written = await draftEntry(bea, record, { ...shared, members: shared.members }, seen())
    expect(codeOf(await server.client.append(sessionOf(bea), written))).toBe("done")
    expect(usage(ada)).toEqual(ofAda)
    expect(usage(bea)).toEqual({
      bytes: expect.toSatisfy((bytes: number) => bytes > ofBea.bytes + written.body.length + 2 * leafBytes),
      records: 0,
      leaves: ofBea.leaves + 2,
    })
  })

  test("counts a keyring and a profile as a leaf each, however many came before", async () => {
    await open()
    const { headers } = sessionOf(ada)
    const store = async (what: "keyring" | "profile", number: number, prev: Uint8Array) => {
      const token = paddedToken(400)
      const { signed } = await signToken(ada, what, token, { number, prev })
      const body =
        what === "keyring"
          ? putKeyring.body.encode({ token, signed, since: 0 })
          : putProfile.body.encode({ token, signed })
      expect(codeOf(await server.client.send("PUT", paths[what], body, headers))).toBe("done")
      return sha256(token)
    }
    for (const what of ["keyring", "profile"] as const) {
      const before = usage(ada)
      let prev = sha256(sessionOf(ada).account[what].token)
      for (let number = 1; number <= 12; number++) prev = await store(what, number, prev)
      const { bytes, records, leaves } = usage(ada)
      expect({ bytes: bytes - before.bytes, records, leaves: leaves - before.leaves }, what).toEqual({
        bytes: 12 * leafBytes,
        records: 0,
        leaves: 12,
      })
    }
  })

  test("a refused write is not counted, and the same sent twice once", async () => {
    await open()
    const record = newId<"record">()
    const entry = await draftEntry(ada, record, null)
    await server.client.append(sessionOf(ada), entry)
    const before = usage(ada)
    expect(codeOf(await server.client.append(sessionOf(ada), entry))).toBe("done")
    expect(codeOf(await write(ada, record))).toBe("CONFLICT_HEAD")
    expect(usage(ada)).toEqual(before)
  })
})

describe("where anybody may sign up", () => {
  const limited = /^Error: 429 .*UNAVAILABLE_LIMIT/
  const signUpAs = async (username: string) =>
    server.client
      .register(await newAuthor(`ada-${username}`), password)
      .then(() => "made")
      .catch(String)

  test("no more do from one address within an hour than may, and ten times as many from all", async () => {
    server = await openTestServer({ signUps: 2 })
    expect(await signUpAs("a0")).toBe("made")
    // What was refused has made no account.
    expect(await signUpAs("a0")).toMatch(/CONFLICT_USERNAME/)
    expect(await signUpAs("a1")).toBe("made")
    expect(await signUpAs("a2")).toMatch(limited)
    expect(server.store.treeHead().size).toBe(4)
    for (let i = 1; i < 10; i++) {
      server.client.address = `2001:db8:0:${i}::1`
      expect(await signUpAs(`b${i}`)).toBe("made")
      server.client.address = `2001:db8:0:${i}::2`
      expect(await signUpAs(`c${i}`)).toBe("made")
      expect(await signUpAs(`d${i}`)).toMatch(limited)
    }
    server.client.address = "192.0.2.99"
    expect(await signUpAs("e")).toMatch(limited)
    server.clock.time += hourMs
    expect(await signUpAs("e")).toBe("made")
  })

  test("a hundred do where nothing else is said", { timeout: 60_000 }, async () => {
    server = await openTestServer()
    for (let i = 0; i < 100; i++) expect(await signUpAs(`a${i}`)).toBe("made")
    expect(await signUpAs("b")).toMatch(limited)
  })

  test("of many who ask at once no more get in than may", async () => {
    server = await openTestServer({ signUps: 2 })
    const all = await Promise.all(["ada", "bea", "cyd", "dan"].map((name) => newAuthor(name)))
    const begun = await Promise.all(all.map((author) => server.client.registration(author, password)))
    const answers = await Promise.all(begun.map(({ body }) => server.client.send("POST", paths.registerFinish, body)))
    expect(answers.map(({ statusCode }) => statusCode).sort()).toEqual([200, 200, 429, 429])
    expect(Number(answers.find(({ statusCode }) => statusCode === 429)!.headers["retry-after"])).toBe(3600)
    // Whose answer was lost sends the same again, and is answered.
    const first = answers.findIndex(({ statusCode }) => statusCode === 200)
    expect((await server.client.send("POST", paths.registerFinish, begun[first]!.body)).statusCode).toBe(200)
  })

  test("who is invited is not counted, and what came with an account is", async () => {
    server = await openTestServer({ signUps: 1, registration: "invited" })
    for (const name of ["ada", "bea", "cyd"]) {
      const code = randomToken(16)
      await server.store.invite(hashOfCode(code), server.clock.time + hourMs)
      ada = await newAuthor(name)
      await server.client.register(ada, password, { code })
      expect(usage(ada).bytes).toBeGreaterThan(2 * leafBytes + paddedToken(1000).length + paddedToken(200).length)
    }
  })
})

describe("over its quota an account", () => {
  test("of leaves writes nothing until the hour is over; it reads, signs in and ends sessions all the same", async () => {
    await open({ leaves: 6 })
    const record = newId<"record">()
    const answers = []
    for (let i = 0; i < 6; i++) answers.push(await write(ada, i === 0 ? record : newId()))
    expect(answers.map(codeOf)).toEqual([...Array(4).fill("done"), ...Array(2).fill("UNAVAILABLE_QUOTA_HOUR")])
    const refused = answers.at(-1)!
    const wait = Number(refused.headers["retry-after"])
    expect(refused.statusCode).toBe(429)
    expect(wait).toBeGreaterThan(0)
    expect(wait).toBeLessThanOrEqual(3600)
    // Somebody else's writing is their own.
    expect(codeOf(await write(bea))).toBe("done")

    const { size } = server.store.treeHead()
    const { headers } = await server.client.login("ada", password)
    expect(server.store.treeHead().size).toBe(size)
    const read = await server.client.send("GET", `${entriesPath(record)}?from=0&since=0`, undefined, headers)
    expect(read.json().entries).toHaveLength(1)
    expect(codeOf(await server.client.send("POST", actsPath(record), { act: "read" }, headers))).toBe("done")
    const { sessions } = await server.client.call(readSessions.reply, "GET", paths.sessions, undefined, headers)
    expect(sessions).toHaveLength(2)
    const other = sessions.find(({ current }) => !current)!
    expect(codeOf(await server.client.send("DELETE", otherSessionPath(other.id), undefined, headers))).toBe("done")
    expect(codeOf(await server.client.send("GET", paths.session, undefined, sessionOf(ada).headers))).toBe(
      "NOT_ALLOWED_SESSION",
    )

    server.clock.time += hourMs
    const again = await server.client.login("ada", password)
    const later = await server.client.append(again, await draftEntry(ada, newId(), null, seen()))
    expect(codeOf(later)).toBe("done")
  })

  test("of reads and exports writes all the same: whoever has stolen a session alone does not keep its physician from it", async () => {
    await open({ leaves: 6 })
    const record = newId<"record">()
    expect(codeOf(await write(ada, record))).toBe("done")
    const tell = async () =>
      codeOf(await server.client.send("POST", actsPath(record), { act: "export" }, sessionOf(ada).headers))
    const { size } = server.store.treeHead()
    // Nobody is kept from reading by what cannot be noted.
    for (let i = 0; i < 9; i++) expect(await tell()).toBe("done")
    expect(server.store.treeHead().size).toBe(size + 6)
    expect([codeOf(await write(ada)), codeOf(await write(ada))]).toEqual(["done", "done"])
    server.clock.time += hourMs
    const later = await server.client.login("ada", password)
    const before = server.store.treeHead().size
    await server.client.send("POST", actsPath(record), { act: "export" }, later.headers)
    expect(server.store.treeHead().size).toBe(before + 1)
  })

  test("of bytes or of records is told whom to ask", async () => {
    await open({ bytes: 20_000, records: 2 })
    expect([codeOf(await write(ada)), codeOf(await write(ada))]).toEqual(["done", "done"])
    const third = await write(ada)
    expect([third.statusCode, codeOf(third), third.headers["retry-after"]]).toEqual([
      429,
      "UNAVAILABLE_QUOTA",
      undefined,
    ])
    expect(codeOf(await putSegment(8_000))).toBe("done")
    expect(codeOf(await putSegment(10_000))).toBe("UNAVAILABLE_QUOTA")
    expect(codeOf(await write(bea))).toBe("done")
  })
})
