import { DatabaseSync } from "node:sqlite"
import { describe, expect, test } from "vitest"
import { type Id, newId, type PhysicianId, type RecordId } from "../../encoding/ids.ts"
import { paths, recordActivityPath } from "../../protocol/paths.ts"
import { auditDatabase } from "../audit/audit.ts"
import { type Author, draftEntry, newAuthor, signUp } from "../client.fixture.ts"
import { databases, openTestServer } from "../server.fixture.ts"
import { draft, enrol, newSession, physicianOf } from "./store.fixture.ts"

const password = "correct horse battery staple"

/** The same 16 bytes, as what somebody takes them for. */
const asRecord = (physician: PhysicianId) => physician as Id as RecordId
const asPhysician = (record: RecordId) => record as Id as PhysicianId

describe("an id is a record's or a physician's, never both's", () => {
  test("a record cannot be opened under a physician's id, and nobody registers under a record's", async () => {
    const server = await openTestServer()
    const { client, store } = server
    const { authors, sessionOf, headersOf } = await signUp(client, "ada", "eve")
    const [ada, eve] = authors as [Author, Author]
    const { size } = store.treeHead()

    const opened = await client.append(sessionOf(eve), await draftEntry(eve, asRecord(ada.physician), null))
    expect([opened.statusCode, opened.json().code]).toEqual([409, "CONFLICT_EXISTS"])
    const url = `${recordActivityPath(asRecord(ada.physician))}?before=99&limit=9&pinned=0`
    expect((await client.send("GET", url, undefined, headersOf(eve))).statusCode).toBe(403)

    const record = newId<"record">()
    expect((await client.append(sessionOf(ada), await draftEntry(ada, record, null))).statusCode).toBe(200)
    const mallory = { ...(await newAuthor("mallory")), physician: asPhysician(record) }
    const { body } = await client.registration(mallory, password)
    const registered = await client.send("POST", paths.registerFinish, body)
    expect([registered.statusCode, registered.json().code]).toEqual([409, "CONFLICT_EXISTS"])

    expect(store.treeHead().size).toBe(size + 1)
    await client.login("ada", password)
    expect((await auditDatabase(server.file, server.signer.publicKey)).findings).toEqual([])
    await server.close()
  })

  test.each(databases)("of two that come together the first has it, on $name", async ({ open }) => {
    const at = await open()
    const ada = await enrol(at, "ada")
    const codes = async (...works: Promise<unknown>[]) =>
      (await Promise.allSettled(works)).map((one) => (one.status === "rejected" ? one.reason.code : "ok"))

    const bob = await newAuthor("bob")
    const record = await draft(at, ada, asRecord(bob.physician), null)
    const enrolBob = await physicianOf(bob)
    const registered = at.store.register(enrolBob, newSession(bob, at.clock.time))
    expect(await codes(registered, at.store.append(record))).toEqual(["ok", "CONFLICT_EXISTS"])
    expect(await at.store.chainHead(asRecord(bob.physician))).toBe(null)

    const cyd = await newAuthor("cyd")
    const first = await draft(at, ada, asRecord(cyd.physician), null)
    const enrolCyd = await physicianOf(cyd)
    const second = () => at.store.register(enrolCyd, newSession(cyd, at.clock.time))
    expect(await codes(at.store.append(first), second())).toEqual(["ok", "CONFLICT_EXISTS"])
    expect(await at.store.findPhysician("cyd")).toBe(null)
    await at.close()
  })

  test.each(databases)("activity shows nothing that is said of the other kind alone, on $name", async ({ open }) => {
    const at = await open()
    const ada = await enrol(at, "ada")
    await at.store.startSession(newSession(ada, at.clock.time), "sign-in")
    const types = async () => (await at.store.accountActivity(ada.physician, 99, 9, 0)).leaves.map(({ type }) => type)
    expect(await types()).toEqual(["sign-in", "keyring", "identity"])
    const file = new DatabaseSync(at.file)
    file.exec("update leaf set type = 'read' where type = 'sign-in'")
    file.close()
    expect(await types()).toEqual(["keyring", "identity"])
    await at.close()
  })
})
