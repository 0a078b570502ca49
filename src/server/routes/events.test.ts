import { afterEach, beforeEach, expect, test } from "vitest"
import { newId } from "../../encoding/ids.ts"
import { paths } from "../../protocol/paths.ts"
import {
  type Author,
  type Drafted,
  draftEntry,
  draftMembers,
  memberOf,
  type SignedIn,
  selfGrantsBody,
  signUp,
} from "../client.fixture.ts"
import { openTestServer, type TestServer } from "../server.fixture.ts"
import { idleMs } from "../sessions.ts"

let server: TestServer
let url: string
let ada: Author
let bob: Author
let sessionOf: (author: Author) => SignedIn
let headersOf: (author: Author) => SignedIn["headers"]

beforeEach(async () => {
  server = await openTestServer({ commentMs: 100 })
  url = await server.app.listen({ port: 0, host: "127.0.0.1", listenTextResolver: () => "listening" })
  const signed = await signUp(server.client, "ada", "bob")
  ;[ada, bob] = signed.authors as [Author, Author]
  sessionOf = signed.sessionOf
  headersOf = signed.headersOf
})
afterEach(() => server.close())

interface Listening {
  readonly response: Response
  /** What came so far. */
  text(): string
  /** How many events came so far. */
  events(): number
  readonly ended: Promise<void>
}

async function listen(as: Author): Promise<Listening> {
  const response = await fetch(url + paths.events, { headers: headersOf(as) })
  let text = ""
  const read = async () => {
    for await (const chunk of response.body!.pipeThrough(new TextDecoderStream())) text += chunk
  }
  const events = () => text.split("event: changes\ndata: \n\n").length - 1
  return { response, text: () => text, events, ended: read() }
}

function seen() {
  const { size, root } = server.store.treeHead()
  return { size, root }
}

/** Long enough for any machine: nothing is learnt from how long it takes. */
const soon = { timeout: 20_000 }
const wait = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms))

async function append(as: Author, entry: Drafted): Promise<Drafted> {
  expect((await server.client.append(sessionOf(as), entry)).statusCode).toBe(200)
  return entry
}

test("members are told that something changed, and nothing of what", async () => {
  const [mine, theirs] = [await listen(ada), await listen(bob)]
  expect(mine.response.headers.get("content-type")).toBe("text/event-stream")
  expect(mine.response.headers.get("cache-control")).toBe("no-store")
  await Promise.all(Array.from({ length: 5 }, async () => append(ada, await draftEntry(ada, newId<"record">(), null))))
  await expect.poll(mine.events, soon).toBeGreaterThan(0)
  // What came together was told together, as far as this machine did it together: watchers.test.ts.
  await wait(500)
  const told = mine.events()
  expect(told).toBeLessThanOrEqual(5)
  const opened = await append(ada, await draftEntry(ada, newId<"record">(), null))
  await expect.poll(mine.events, soon).toBe(told + 1)
  expect(theirs.events()).toBe(0)
  const list = [memberOf(ada, "owner"), memberOf(bob, "reader")]
  const shared = await append(ada, await draftMembers(ada, opened, list, seen()))
  await expect.poll(() => [mine.events(), theirs.events()], soon).toEqual([told + 2, 1])
  const body = await selfGrantsBody(bob, opened.statement.record, [0])
  await server.client.send("POST", paths.selfGrants, body, headersOf(bob))
  await expect.poll(() => [mine.events(), theirs.events()], soon).toEqual([told + 3, 2])
  const alone = [memberOf(ada, "owner")]
  await append(ada, await draftMembers(ada, shared, alone, seen(), { raise: true }))
  await expect.poll(() => [mine.events(), theirs.events()], soon).toEqual([told + 4, 3])
  expect(theirs.text().replaceAll("event: changes\ndata: \n\n", "").replaceAll(":\n\n", "")).toBe("")
})

test("listening needs a session, keeps none alive, and ends with it", async () => {
  expect((await fetch(url + paths.events)).status).toBe(401)
  const listening = await listen(ada)
  server.clock.time += idleMs - 1
  await expect.poll(listening.text, soon).toMatch(/^(:\n\n){2,}$/)
  server.clock.time += 1
  await listening.ended
  expect((await fetch(url + paths.events, { headers: headersOf(ada) })).status).toBe(401)
  const other = await listen(bob)
  await server.client.send("DELETE", paths.session, undefined, headersOf(bob))
  await other.ended
})

test("of more than sixteen streams the oldest ends", async () => {
  const first = await listen(ada)
  const others: Listening[] = []
  for (let i = 0; i < 16; i++) others.push(await listen(ada))
  await first.ended
  await append(ada, await draftEntry(ada, newId<"record">(), null))
  await expect.poll(() => others.map((one) => one.events()), soon).toEqual(Array(16).fill(1))
})

test("closing the server does not wait for whoever listens", async () => {
  const listening = await listen(ada)
  await server.app.close()
  await listening.ended
})

test("whoever went away is forgotten", async () => {
  const abort = new AbortController()
  await fetch(url + paths.events, { headers: headersOf(ada), signal: abort.signal })
  abort.abort()
  await wait(50)
  await append(ada, await draftEntry(ada, newId<"record">(), null))
  const listening = await listen(ada)
  await append(ada, await draftEntry(ada, newId<"record">(), null))
  await expect.poll(listening.events, soon).toBe(1)
})
