import { afterAll, beforeAll, expect, test } from "vitest"
import { newId } from "../encoding/ids.ts"
import { openNote } from "../proof/checkpoint.ts"
import { leafData } from "../proof/leaf.ts"
import { leafHash, verifyInclusion } from "../proof/merkle.ts"
import { entriesPath, paths } from "../protocol/paths.ts"
import { appendEntry, readChanges, readEntries } from "../protocol/records.ts"
import { appendBody, draftEntry, newAuthor } from "./client.fixture.ts"
import { openTestServer, type TestServer } from "./server.fixture.ts"

let server: TestServer
beforeAll(async () => {
  server = await openTestServer()
})
afterAll(() => server.close())

test("a physician registers, signs in, opens a record, writes, and reads it back", async () => {
  const { client, signer, store } = server
  const author = await newAuthor("ada")
  await client.register(author, "correct horse battery")
  const session = await client.login("ada", "correct horse battery")
  expect(session.account.physician).toBe(author.physician)

  const record = newId<"record">()
  const opened = await draftEntry(author, record, null)
  const receipt = await client.call(appendEntry.reply, "POST", entriesPath(record), appendBody(opened), session.headers)
  const head = await openNote(receipt.log.checkpoint, `healthcrypt/${store.practice}`, signer.publicKey)
  const leaf = leafData({
    subject: record,
    stream: "entry",
    type: "entry",
    number: 0,
    actor: author.physician,
    statementHash: opened.hash,
    time: receipt.leaf.time,
    salt: receipt.leaf.salt,
  })
  expect(verifyInclusion(leafHash(leaf), receipt.leaf.index, head.size, receipt.inclusion, head.root)).toBe(true)

  const next = await draftEntry(author, record, opened, { size: head.size, root: head.root })
  expect((await client.append(session, next)).statusCode).toBe(200)
  const read = await client.call(
    readEntries.reply,
    "GET",
    `${entriesPath(record)}?from=0&since=0`,
    undefined,
    session.headers,
  )
  expect(read.entries.map((entry) => entry.statement)).toEqual([opened.signed.statement, next.signed.statement])
  const changes = await client.call(
    readChanges.reply,
    "GET",
    `${paths.changes}?since=0&limit=100&pinned=${head.size}`,
    undefined,
    session.headers,
  )
  expect(changes.entries).toHaveLength(2)
})
