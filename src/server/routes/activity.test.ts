import { afterAll, beforeAll, describe, expect, test } from "vitest"
import { type Id, newId, type RecordId } from "../../encoding/ids.ts"
import { type LeafType, leafData } from "../../proof/leaf.ts"
import { leafHash, verifyInclusion } from "../../proof/merkle.ts"
import { readSessions } from "../../protocol/accounts.ts"
import { actsPath, otherSessionPath, paths, recordActivityPath } from "../../protocol/paths.ts"
import { readActivity } from "../../protocol/records.ts"
import {
  type Author,
  type Drafted,
  draftEntry,
  draftMembers,
  memberOf,
  newAuthor,
  type SignedIn,
  selfGrantsBody,
} from "../client.fixture.ts"
import { openTestServer, type TestServer } from "../server.fixture.ts"
import { idleMs } from "../sessions.ts"

const password = "correct horse battery staple"
let server: TestServer
let ada: Author
let bob: Author
let mine: SignedIn
let theirs: SignedIn

beforeAll(async () => {
  server = await openTestServer()
  ada = await newAuthor("ada")
  bob = await newAuthor("bob")
  mine = await server.client.register(ada, password)
  theirs = await server.client.register(bob, password)
})
afterAll(() => server.close())

function seen() {
  const { size, root } = server.store.treeHead()
  return { size, root }
}

async function activity(url: string, session: SignedIn, before = seen().size, limit = 200) {
  const query = `?before=${before}&limit=${limit}&pinned=0`
  const response = await server.client.send("GET", url + query, undefined, session.headers)
  return response.statusCode === 200 ? readActivity.reply.decode(response.json()) : response.json().code
}

type Leaf = Awaited<ReturnType<typeof readActivity.reply.decode>>["leaves"][number]

function expectProved(subject: Id, leaves: readonly Leaf[]): void {
  const { size, root } = seen()
  for (const { inclusion, index, ...leaf } of leaves) {
    const data = leafData({ ...leaf, type: leaf.type as LeafType, subject })
    expect(verifyInclusion(leafHash(data), index, size, inclusion, root)).toBe(true)
  }
}

describe("a record's activity", () => {
  let record: RecordId
  let head: Drafted
  const said = [] as string[]

  beforeAll(async () => {
    record = newId<"record">()
    const append = async (session: SignedIn, entry: Drafted) => {
      expect((await server.client.append(session, entry)).statusCode).toBe(200)
      head = entry
    }
    await append(mine, await draftEntry(ada, record, null))
    const list = [memberOf(ada, "owner"), memberOf(bob, "writer")]
    await append(mine, await draftMembers(ada, head!, list, seen()))
    await server.client.send("POST", paths.selfGrants, await selfGrantsBody(bob, record, [0]), theirs.headers)
    await server.client.send("POST", actsPath(record), { act: "read" }, theirs.headers)
    await append(theirs, await draftEntry(bob, record, head!, seen()))
    await server.client.send("POST", actsPath(record), { act: "export" }, mine.headers)
    said.push("export ada 2", "entry bob 2", "read bob 1", "accept bob 0", "entry ada 1", "entry ada 0")
  })

  const spoken = (leaves: readonly Leaf[]) =>
    leaves.map((leaf) => `${leaf.type} ${leaf.actor === ada.physician ? "ada" : "bob"} ${leaf.number}`)

  test("is told to its members, newest first, each leaf proved", async () => {
    const { leaves, more } = await activity(recordActivityPath(record), theirs)
    expect([spoken(leaves), more]).toEqual([said, false])
    expectProved(record, leaves)
  })

  test("comes page by page", async () => {
    const found: Leaf[] = []
    for (let before = Number.MAX_SAFE_INTEGER, more = true; more; ) {
      const page = await activity(recordActivityPath(record), mine, before, 2)
      expect(page.leaves.length).toBeLessThanOrEqual(2)
      found.push(...page.leaves)
      before = page.leaves.at(-1).index
      more = page.more
    }
    expect(spoken(found)).toEqual(said)
    expect((await activity(recordActivityPath(record), mine, 0)).leaves).toEqual([])
  })

  test("is nobody else's", async () => {
    const stranger = await server.client.register(await newAuthor("eve"), password)
    for (const id of [record, newId<"record">()])
      expect(await activity(recordActivityPath(id), stranger)).toBe("NOT_ALLOWED")
    const alone = await draftMembers(ada, head, [memberOf(ada, "owner")], seen(), { raise: true })
    expect((await server.client.append(mine, alone)).statusCode).toBe(200)
    expect(await activity(recordActivityPath(record), theirs)).toBe("NOT_ALLOWED")
  })
})

describe("an account's", () => {
  test("activity is the caller's own, 200 leaves at most", async () => {
    for (let i = 0; i < 3; i++) await server.client.login("ada", password)
    const { leaves } = await activity(paths.activity, mine)
    expect(leaves.map((leaf: Leaf) => leaf.type)).toEqual(["sign-in", "sign-in", "sign-in", "keyring", "identity"])
    expectProved(ada.physician, leaves)
    const session = {
      id: newId<"session">(),
      physician: bob.physician,
      pageHash: null,
      half: null,
      carrier: "bearer" as const,
    }
    for (let i = 0; i < 250; i++)
      await server.store.startSession(
        { ...session, id: newId<"session">(), tokenHash: `hash ${i}`, created: 0, expires: 1 },
        "sign-in",
      )
    const page = await activity(paths.activity, theirs, seen().size, 1000)
    expect([page.leaves.length, page.more]).toEqual([200, true])
    const rest = await activity(paths.activity, theirs, page.leaves.at(-1).index, 1000)
    expect([rest.leaves.length, rest.more]).toEqual([52, false])
  })

  test("sessions are listed, newest first, and end at a word, which the log says", async () => {
    server.clock.time += idleMs
    const browser = await server.client.login("ada", password, "cookie")
    server.clock.time += 1000
    const program = await server.client.login("ada", password)
    const other = await server.client.login("bob", password)
    server.clock.time += 5000
    const list = async (session: SignedIn) =>
      (await server.client.call(readSessions.reply, "GET", paths.sessions, undefined, session.headers)).sessions
    const { time } = server.clock
    const [one, two] = [program, browser].map(({ account }) => account.session)
    expect(await list(program)).toEqual([
      { id: one!.id, carrier: "bearer", created: time - 5000, touched: time, expires: one!.expires, current: true },
      {
        id: two!.id,
        carrier: "cookie",
        created: time - 6000,
        touched: time - 6000,
        expires: two!.expires,
        current: false,
      },
    ])
    const end = (id: typeof one, session: SignedIn) =>
      server.client.send("DELETE", otherSessionPath(id!.id), undefined, session.headers)
    const denied = await end(two, other)
    expect([denied.statusCode, denied.json().code]).toEqual([403, "NOT_ALLOWED"])
    expect((await end(two, program)).statusCode).toBe(204)
    expect((await end(two, program)).statusCode).toBe(403)
    expect((await list(program)).map((session) => session.id)).toEqual([one!.id])
    expect((await server.client.send("GET", paths.session, undefined, browser.headers)).statusCode).toBe(401)
    expect((await activity(paths.activity, program)).leaves[0]).toMatchObject({
      type: "end-session",
      actor: ada.physician,
    })
    const last = await server.client.login("ada", password, "cookie")
    const ended = await end(last.account.session, last)
    expect([ended.statusCode, String(ended.headers["set-cookie"])]).toEqual([
      204,
      expect.stringMatching(/^healthcrypt-.{22}=;/),
    ])
  })
})
