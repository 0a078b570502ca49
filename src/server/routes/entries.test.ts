import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest"
import { sha256 } from "#sha256"
import { encodeBase64url } from "../../encoding/base64.ts"
import { newId, type RecordId } from "../../encoding/ids.ts"
import { keyToken } from "../../encoding/token-form.fixture.ts"
import type { EntryStatement } from "../../proof/entry.ts"
import { emptyRoot } from "../../proof/merkle.ts"
import { actsPath, bodyPath, entriesPath, paths } from "../../protocol/paths.ts"
import { appendEntry, readChanges, readEntries } from "../../protocol/records.ts"
import {
  type Author,
  appendBody,
  type Drafted,
  draftEntry,
  newAuthor,
  randomToken,
  type SignedIn,
} from "../client.fixture.ts"
import { openTestServer, type TestServer } from "../server.fixture.ts"

let server: TestServer
let ada: Author
let bob: Author
let session: SignedIn
let stranger: SignedIn
let record: RecordId
let opened: Drafted

beforeAll(async () => {
  server = await openTestServer()
  ada = await newAuthor("ada")
  bob = await newAuthor("bob")
  session = await server.client.register(ada, "correct horse battery staple")
  stranger = await server.client.register(bob, "correct horse battery staple")
})
afterAll(() => server.close())
beforeEach(async () => {
  record = newId<"record">()
  opened = await draftEntry(ada, record, null)
  expect((await server.client.append(session, opened)).statusCode).toBe(200)
})

function seen() {
  const { size, root } = server.store.treeHead()
  return { size, root }
}

async function codeOf(entry: Drafted, as = session, change: object = {}): Promise<string> {
  const body = { ...(appendBody(entry) as object), ...change }
  const response = await server.client.send("POST", entriesPath(entry.statement.record), body, as.headers)
  return response.statusCode === 200 ? "ok" : response.json().code
}

describe("append", () => {
  test("the same again is told again, even by another session of the same author", async () => {
    const next = await draftEntry(ada, record, opened, seen())
    const first = appendEntry.reply.decode((await server.client.append(session, next)).json())
    const again = await server.client.login("ada", "correct horse battery staple")
    const second = appendEntry.reply.decode((await server.client.append(again, next, 3)).json())
    expect(second.leaf).toEqual(first.leaf)
    expect(second.log.checkpoint).toBe(server.store.treeHead().note)
  })

  test("of two on one head, one conflicts", async () => {
    const drafts = await Promise.all([draftEntry(ada, record, opened, seen()), draftEntry(ada, record, opened, seen())])
    const codes = await Promise.all(drafts.map((draft) => codeOf(draft)))
    expect(codes.sort()).toEqual(["CONFLICT_HEAD", "ok"])
  })

  test("a head that was passed conflicts, and so does opening a record of mine again", async () => {
    const next = await draftEntry(ada, record, opened, seen())
    expect(await codeOf(next)).toBe("ok")
    expect(await codeOf(await draftEntry(ada, record, opened, seen()))).toBe("CONFLICT_HEAD")
    expect(await codeOf(await draftEntry(ada, record, null, seen()))).toBe("CONFLICT_HEAD")
    expect(await codeOf(opened)).toBe("CONFLICT_HEAD")
  })

  test("another's record looks like none", async () => {
    const absent = newId<"record">()
    const answers = []
    for (const id of [record, absent]) {
      const chain = { ...opened, statement: { ...opened.statement, record: id } }
      const entry = await draftEntry(bob, id, chain, seen())
      answers.push(await server.client.send("POST", entriesPath(id), appendBody(entry), stranger.headers))
      answers.push(await server.client.send("GET", `${entriesPath(id)}?from=0&since=0`, undefined, stranger.headers))
      answers.push(await server.client.send("POST", actsPath(id), { act: "read" }, stranger.headers))
    }
    expect(await codeOf(await draftEntry(bob, record, null, seen()), stranger)).toBe("NOT_ALLOWED")
    for (const answer of answers) expect([answer.statusCode, answer.body]).toEqual([403, answers[0]!.body])
  })

  test("nobody writes in another's name", async () => {
    const next = await draftEntry(ada, record, opened, seen())
    expect(await codeOf(next, stranger)).toBe("NOT_ALLOWED")
    const forged = await draftEntry(bob, record, opened, seen(), { author: ada.physician })
    expect(await codeOf(forged)).toBe("BAD_INPUT_STATEMENT")
    const fresh = newId<"record">()
    expect(await codeOf(await draftEntry(ada, fresh, null), stranger)).toBe("NOT_ALLOWED")
    const member = [{ physician: bob.physician, fingerprint: ada.fingerprint, role: "owner" as const }]
    const stolen = await draftEntry(bob, fresh, null, seen(), { members: member })
    expect(await codeOf(stolen, stranger)).toBe("BAD_INPUT_STATEMENT")
  })

  test.each<[string, () => Partial<EntryStatement>]>([
    ["another record", () => ({ record: newId<"record">() })],
    ["an epoch ahead", () => ({ epoch: 1 })],
    ["no body", () => ({ body: undefined })],
    ["members in a write", () => ({ members: opened.statement.members })],
    ["members that lists none", () => ({ kind: "members", body: undefined })],
    ["members and a body", () => ({ kind: "members", members: opened.statement.members })],
    ["an attachment", () => ({ attachments: [{ id: newId(), size: 1, total: 1, hash: randomToken(32) }] })],
    ["a tree that the log has not reached", () => ({ seen: { size: 1_000_000, root: randomToken(32) } })],
    ["a tree without the leaf before", () => ({ seen: { size: 0, root: emptyRoot } })],
    ["a root that the log never had", () => ({ seen: { size: seen().size, root: randomToken(32) } })],
    ["another body's hash", () => ({ body: { hash: randomToken(32), size: 300 } })],
    ["another summary's size", () => ({ summary: { ...opened.statement.summary!, size: 301 } })],
  ])("an entry with %s is refused", async (_, change) => {
    const entry = await draftEntry(ada, record, opened, seen(), change())
    const response = await server.client.send("POST", entriesPath(record), appendBody(entry), session.headers)
    expect([response.statusCode, response.json().code]).toEqual([400, "BAD_INPUT_STATEMENT"])
    expect((await server.store.chainHead(record))?.seq).toBe(0)
  })

  test("a spoilt signature, missing tokens, a self-grant out of place are refused", async () => {
    const next = await draftEntry(ada, record, opened, seen())
    const grant = Buffer.from(keyToken()).toString("base64url")
    const signature = Buffer.from(randomToken(64)).toString("base64url")
    for (const change of [{ signature }, { body: undefined }, { summary: undefined }, { selfGrant: grant }])
      expect(await codeOf(next, session, change)).toBe("BAD_INPUT_STATEMENT")
    const another = await draftEntry(ada, newId<"record">(), null, seen())
    expect(await codeOf(another, session, { selfGrant: undefined })).toBe("BAD_INPUT_STATEMENT")
    expect(await codeOf(next, session, { statement: "AAAA" })).toBe("BAD_INPUT_STATEMENT")
    expect(await codeOf(next)).toBe("ok")
  })

  test("contents and keys that are no sealed tokens are refused, whoever signed for them", async () => {
    const junk = randomToken(3)
    const said = { hash: sha256(junk), size: junk.length }
    const text = encodeBase64url(junk)
    const fresh = newId<"record">()
    for (const part of ["body", "summary"])
      expect(
        await codeOf(await draftEntry(ada, fresh, null, seen(), { [part]: said }), session, { [part]: text }),
      ).toBe("BAD_INPUT_FORMAT")
    const entry = await draftEntry(ada, fresh, null, seen())
    expect(await codeOf(entry, session, { selfGrant: text })).toBe("BAD_INPUT_FORMAT")
    expect(await codeOf(entry)).toBe("ok")
  })

  test("bodies may be megabytes; above the limit they are refused", async () => {
    const large = await draftEntry(ada, record, opened, seen(), {}, 18 * 1024 * 1024)
    expect(await codeOf(large)).toBe("ok")
    const read = await server.client.send("GET", `${entriesPath(record)}?from=1&since=0`, undefined, session.headers)
    expect(readEntries.reply.decode(read.json()).entries[0]?.body).toBeUndefined()
    const body = await server.client.send("GET", bodyPath(record, 1), undefined, session.headers)
    expect(new Uint8Array(body.rawPayload)).toEqual(large.body)
    const missing = await server.client.send("GET", bodyPath(record, 2), undefined, session.headers)
    expect([missing.statusCode, missing.json().code]).toEqual([403, "NOT_ALLOWED"])
    const tooLarge = { ...(appendBody(opened) as object), body: "A".repeat(28 * 1024 * 1024) }
    const refused = await server.client.send("POST", entriesPath(record), tooLarge, session.headers)
    expect([refused.statusCode, refused.json().code]).toEqual([413, "BAD_INPUT_SIZE"])
  })
})

test("bodies stay away where they are not wanted", async () => {
  const read = async (query: string) => {
    const url = `${entriesPath(record)}?from=0&since=0${query}`
    return (await server.client.call(readEntries.reply, "GET", url, undefined, session.headers)).entries
  }
  const [whole] = await read("")
  expect(whole?.body).toEqual(opened.body)
  const { body: _, ...rest } = whole!
  expect(await read("&bodies=0")).toEqual([rest])
})

test("changes show my entries to me and none of them to others", async () => {
  const since = seen().size - 1
  const url = `${paths.changes}?since=${since}&limit=10&pinned=${since}`
  const mine = await server.client.call(readChanges.reply, "GET", url, undefined, session.headers)
  expect(mine.entries.map((entry) => entry.record)).toEqual([record])
  expect(mine.entries[0]?.selfGrant).toHaveLength(105)
  const theirs = await server.client.call(readChanges.reply, "GET", url, undefined, stranger.headers)
  expect([theirs.entries, theirs.next, theirs.more]).toEqual([[], seen().size, false])
})

test("acts: one read a session, each export", async () => {
  const { size } = seen()
  for (const act of ["read", "read", "export", "export"])
    expect((await server.client.send("POST", actsPath(record), { act }, session.headers)).statusCode).toBe(204)
  expect(seen().size).toBe(size + 3)
  const other = await server.client.login("ada", "correct horse battery staple")
  await server.client.send("POST", actsPath(record), { act: "read" }, other.headers)
  expect(seen().size).toBe(size + 5)
})
