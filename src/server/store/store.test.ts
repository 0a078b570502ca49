import { DatabaseSync } from "node:sqlite"
import { afterEach, beforeEach, describe, expect, test } from "vitest"
import { sha256 } from "#sha256"
import { newId, type PhysicianId, type SegmentId } from "../../encoding/ids.ts"
import { extendChain } from "../../proof/chain.ts"
import type { TreeHead } from "../../proof/checkpoint.ts"
import { verifyConsistency } from "../../proof/merkle.ts"
import { verifyStretch } from "../../proof/stretch.ts"
import { type Author, draftMembers, memberOf, newAuthor, randomToken, signToken } from "../client.fixture.ts"
import { logSigner } from "../log.ts"
import { databases, type TestStore } from "../server.fixture.ts"
import { openSqlite } from "./connection.ts"
import { migrate, sqliteTypes } from "./migrations.ts"
import { openStore } from "./sqlite.ts"
import { append, draft, enrol, headOf, includes, newSession, openLog, provesAll, register } from "./store.fixture.ts"

describe.each(databases)("store on $name", ({ open }) => {
  let at: TestStore
  let ada: Author
  beforeEach(async () => {
    at = await open()
    ada = await enrol(at, "ada")
  })
  afterEach(() => at.close())

  test("a receipt proves the leaf under a checkpoint that the log signed", async () => {
    const { entry, receipt } = await append(at, ada, newId<"record">(), null)
    const head = await headOf(at, receipt)
    expect(receipt.leaf.index).toBe(2)
    expect(includes(head, receipt, ada, entry)).toBe(true)
  })

  test("of two on the same head one wins, whichever batch they come in", async () => {
    const record = newId<"record">()
    const first = await append(at, ada, record, null)
    const before = await at.store.chainHead(record)
    const seen = await headOf(at, first.receipt)
    const next = () => draft(at, ada, record, first, seen)
    const [one, two, late] = await Promise.all([next(), next(), next()])
    const results = await Promise.allSettled([one, two].map((entry) => at.store.append({ ...entry, before })))
    expect(results.map((result) => result.status).sort()).toEqual(["fulfilled", "rejected"])
    await expect(at.store.append({ ...late, before })).rejects.toMatchObject({ code: "CONFLICT_HEAD" })
    await expect(at.store.append({ ...late, before: null })).rejects.toMatchObject({ code: "CONFLICT_HEAD" })
    const stretch = { record, from: 0, bodies: true, since: 0, now: 0 }
    expect((await at.store.readEntries(ada.physician, stretch)).entries).toHaveLength(2)
  })

  test("a refused work leaves nothing behind, and its neighbours in the batch are whole", async () => {
    const record = newId<"record">()
    const opened = await draft(at, ada, record, null)
    const other = await draft(at, ada, newId<"record">(), null)
    const stranger = await draft(at, ada, record, null)
    const [first, again, next, repeated] = await Promise.allSettled([
      at.store.append(opened),
      at.store.append(stranger),
      at.store.append(other),
      at.store.append(opened),
    ])
    expect(again).toMatchObject({ status: "rejected", reason: { code: "CONFLICT_HEAD" } })
    if (first.status !== "fulfilled" || next.status !== "fulfilled") throw new Error("refused")
    expect(repeated).toMatchObject({ status: "fulfilled", value: { leaf: first.value.leaf } })
    expect([first.value.leaf.index, next.value.leaf.index]).toEqual([2, 3])
    const head = await headOf(at, next.value)
    expect(head.size).toBe(4)
    expect(includes(head, first.value, ada, opened)).toBe(true)
    expect(includes(head, next.value, ada, other)).toBe(true)
  })

  test("whatever was answered is in the file, for any other connection", async () => {
    const outside = new DatabaseSync(at.file, { readOnly: true })
    const count = outside.prepare("select count(*) as n from entry where record = ?")
    const records = Array.from({ length: 40 }, () => newId<"record">())
    await Promise.all(
      records.map(async (record) => {
        await append(at, ada, record, null)
        expect(count.get(record)).toEqual({ n: 1 })
      }),
    )
    outside.close()
  })

  test("acts are numbered one after the other, in one batch as in many", async () => {
    const sessions = Array.from({ length: 5 }, () => newSession(ada, at.clock.time))
    await Promise.all(sessions.map((session) => at.store.startSession(session, "sign-in")))
    await at.store.startSession(newSession(ada, at.clock.time), "recover")
    const file = new DatabaseSync(at.file, { readOnly: true })
    const rows = file.prepare("select number, type from leaf where stream = 'act' order by idx").all()
    file.close()
    expect(rows.map((row) => row.number)).toEqual([0, 1, 2, 3, 4, 5])
    expect(rows.map((row) => row.type)).toEqual([...Array(5).fill("sign-in"), "recover"])
  })

  test("a restart goes on where the log stood", async () => {
    const heads: TreeHead[] = [{ ...at.store.treeHead() }]
    let chain = await append(at, ada, newId<"record">(), null)
    for (let i = 0; i < 12; i++) {
      heads.push(at.store.treeHead())
      if (i % 3 === 0) await at.reopen()
      chain = await append(at, ada, chain.entry.entry.record, chain, at.store.treeHead())
      const head = at.store.treeHead()
      for (const old of heads) {
        const { consistency } = await at.store.logState(old.size)
        expect(verifyConsistency(old.size, old.root, head.size, head.root, consistency)).toBe(true)
      }
    }
    expect(at.store.practice).toBe((await at.reopen()).practice)
  })

  test("a batch that cannot be committed is refused whole, and the log is as before", async () => {
    const before = at.store.treeHead()
    await at.store.close()
    let failing = false
    const signCheckpoint = (checkpoint: Parameters<typeof at.signer.sign>[0]) => {
      if (failing) throw new Error("no")
      return at.signer.sign(checkpoint)
    }
    const store = await openStore({ file: at.file, signCheckpoint, now: () => at.clock.time })
    const entries = await Promise.all([1, 2, 3].map(() => draft({ ...at, store }, ada, newId<"record">(), null)))
    failing = true
    const results = await Promise.allSettled(entries.map((entry) => store.append(entry)))
    for (const result of results) expect(result).toMatchObject({ status: "rejected", reason: { code: "UNAVAILABLE" } })
    expect(store.treeHead()).toEqual(before)
    failing = false
    const receipts = await Promise.all(entries.map((entry) => store.append(entry)))
    expect(receipts.map((receipt) => receipt.leaf.index)).toEqual([2, 3, 4])
    await store.close()
    await expect(store.append(entries[0]!)).rejects.toMatchObject({ code: "UNAVAILABLE" })
    await at.reopen().catch(() => {})
  })

  test("migrating again changes nothing", async () => {
    const schema = "select sql from sqlite_master where sql is not null order by name"
    const read = () => {
      const file = new DatabaseSync(at.file, { readOnly: true })
      const rows = file.prepare(schema).all()
      file.close()
      return rows
    }
    const before = read()
    const db = openSqlite(at.file, "write")
    await migrate(db, sqliteTypes)
    await db.destroy()
    expect(read()).toEqual(before)
  })

  test("a log that was changed, or another key, is refused at the start", async () => {
    await append(at, ada, newId<"record">(), null)
    await at.store.close()
    const options = { file: at.file, signCheckpoint: at.signer.sign, now: () => 0 }
    const other = logSigner(new Uint8Array(32).fill(8))
    await expect(openStore({ ...options, signCheckpoint: other.sign })).rejects.toMatchObject({ code: "TAMPERED_LOG" })
    const file = new DatabaseSync(at.file)
    file.exec("update node set hash = zeroblob(32) where level = 1")
    await expect(openStore(options)).rejects.toMatchObject({ code: "TAMPERED_LOG" })
    file.exec("delete from node where level = 1")
    file.close()
    await expect(openStore(options)).rejects.toMatchObject({ code: "TAMPERED_LOG" })
  })

  test("a username and an id are given once, even to two at the same time", async () => {
    const eve = await newAuthor("eve")
    const results = await Promise.allSettled([
      register(at, eve),
      register(at, { ...(await newAuthor("eve")), username: "eve" }),
      register(at, { ...eve, username: "eve2" }),
    ])
    const codes = results.map((result) => (result.status === "rejected" ? result.reason.code : "ok"))
    // Whichever comes first: the first has its username in common with the second, and its id with the third.
    const lost = codes[0] === "ok" ? ["CONFLICT_USERNAME", "CONFLICT_EXISTS"] : ["ok", "ok"]
    expect(["ok", "CONFLICT_USERNAME", "CONFLICT_EXISTS"]).toContain(codes[0])
    expect(codes.slice(1)).toEqual(lost)
  })

  test("keyring: the next number is taken, the same again is told again, anything else conflicts", async () => {
    const prev = sha256((await at.store.keyring(ada.physician)).token)
    const next = async (number: number, on: Uint8Array) => ({
      ...(await signToken(ada, "keyring", randomToken(500), { number, prev: on })),
      physician: ada.physician,
      number,
      prev: on,
      stays: new Set<SegmentId>(),
      since: 0,
    })
    const keyring = await next(1, prev)
    const receipt = await at.store.putKeyring(keyring)
    const again = await at.store.putKeyring(keyring)
    expect(again.leaf).toEqual(receipt.leaf)
    const conflict = { code: "CONFLICT_KEYRING" }
    for (const number of [1, 3])
      await expect(at.store.putKeyring(await next(number, sha256(keyring.token)))).rejects.toMatchObject(conflict)
    // The next number on top of another one than is there.
    await expect(at.store.putKeyring(await next(2, prev))).rejects.toMatchObject(conflict)
    const { token, signed } = keyring
    expect(await at.store.keyring(ada.physician)).toEqual({ number: 1, token, signed, leaf: receipt.leaf })
    const { keyrings, profiles } = await at.store.formerAccount(ada.physician)
    expect([keyrings.map(({ number }) => number), profiles]).toEqual([[0], []])
    expect(sha256(keyrings[0]!.token)).toEqual(prev)
  })

  test("of former keyrings the ten newest stay, and one a day for a month", async () => {
    const put = async (number: number) => {
      const prev = sha256((await at.store.keyring(ada.physician)).token)
      const signed = await signToken(ada, "keyring", randomToken(500), { number, prev })
      const stays = new Set<SegmentId>()
      await at.store.putKeyring({ ...signed, physician: ada.physician, number, prev, stays, since: 0 })
    }
    let number = 0
    const numbers = async () => (await at.store.formerAccount(ada.physician)).keyrings.map((one) => one.number)
    for (let day = 0; day < 40; day++) {
      for (let i = 0; i < 3; i++) await put(++number)
      at.clock.time += 24 * 3_600_000
    }
    const kept = await numbers()
    expect(kept.slice(0, 10)).toEqual(Array.from({ length: 10 }, (_, i) => number - 1 - i))
    // Ten are of the last four days, the others the last of each of the 26 days before.
    expect(kept).toHaveLength(10 + 26)
    expect(kept.slice(10).every((one) => (one + 1) % 3 === 0)).toBe(true)
  })

  test("segments: immutable, and only the owner's", async () => {
    const bob = await enrol(at, "bob")
    const made = async (created: SegmentId, bytes = 5000) => {
      const signed = await signToken(ada, "segments", randomToken(bytes), { subject: created })
      return { id: created, ...signed }
    }
    const segment = await made(newId<"segment">())
    await at.store.putSegment(ada.physician, segment)
    await at.store.putSegment(ada.physician, segment)
    await expect(at.store.putSegment(ada.physician, await made(segment.id, 9))).rejects.toMatchObject({
      code: "CONFLICT_EXISTS",
    })
    await expect(at.store.putSegment(bob.physician, segment)).rejects.toMatchObject({ code: "CONFLICT_EXISTS" })
    const segments = (physician: PhysicianId) => Array.fromAsync(at.store.segments(physician))
    const { id, token } = segment
    expect(await segments(ada.physician)).toEqual([{ id, token }])
    expect(await segments(bob.physician)).toEqual([])
  })

  test("segments: those that a keyring no longer lists go with it, those that none has listed yet stay an hour", async () => {
    const [first, second, stray] = [newId<"segment">(), newId<"segment">(), newId<"segment">()]
    for (const id of [first, second, stray])
      await at.store.putSegment(ada.physician, {
        id,
        ...(await signToken(ada, "segments", randomToken(500), { subject: id })),
      })
    let number = 0
    const save = async (...ids: SegmentId[]) => {
      const prev = sha256((await at.store.keyring(ada.physician)).token)
      const stays = ids.toSorted((a, b) => Buffer.from(a, "base64url").compare(Buffer.from(b, "base64url")))
      const items = stays.map((subject) => ({ subject, number: 0, hash: new Uint8Array(32) }))
      number++
      const signed = await signToken(ada, "keyring", randomToken(500), { number, prev, stays: items })
      await at.store.putKeyring({ ...signed, physician: ada.physician, number, prev, stays: new Set(ids), since: 0 })
    }
    const left = async () => new Set((await Array.fromAsync(at.store.segments(ada.physician))).map(({ id }) => id))
    await save(first)
    expect(await left()).toEqual(new Set([first, second, stray]))
    await save(second)
    expect(await left()).toEqual(new Set([second, stray]))
    at.clock.time += 3_600_000
    await save(second)
    expect(await left()).toEqual(new Set([second]))
  })

  test("entries come in stretches of about 8 MiB, each with the proof of its leaves", async () => {
    const record = newId<"record">()
    let chain = await append(at, ada, record, null, undefined, 240_000)
    for (let i = 0; i < 39; i++) chain = await append(at, ada, record, chain, at.store.treeHead(), 240_000)
    const readEntries = (from: number, since = 0) =>
      at.store.readEntries(ada.physician, { record, from, bodies: true, since, now: 0 })
    const first = await readEntries(0)
    expect([first.entries.length, first.more]).toEqual([34, true])
    expect(provesAll(record, first, await openLog(at, first.log))).toBe(true)
    expect(first.selfGrants).toHaveLength(1)
    const last = await readEntries(39)
    expect([last.entries.length, last.more]).toEqual([1, false])
    const head = at.store.treeHead()
    expect(last.entries[0]!.leaf).toEqual(chain.receipt.leaf)
    expect(provesAll(record, last, head)).toBe(true)
    const none = await readEntries(40, head.size)
    expect([none.entries.length, none.more, none.inclusion]).toEqual([0, false, []])
  })

  test("changes: mine alone, in the log's order, page by page, beside all leaves", async () => {
    const bob = await enrol(at, "bob")
    const chains = []
    for (let i = 0; i < 6; i++) chains.push(await append(at, ada, newId<"record">(), null))
    await append(at, bob, newId<"record">(), null)
    const written = await append(at, ada, chains[0]!.entry.entry.record, chains[0]!, at.store.treeHead())
    const pages = []
    for (let since = 0, more = true; more; ) {
      const page = await at.store.readChanges(ada.physician, since, 3, 0)
      pages.push(page)
      ;({ next: since, more } = page)
    }
    const entries = pages.flatMap((page) => page.entries)
    expect(entries.map((entry) => entry.leaf.index)).toEqual([
      ...chains.map(({ receipt }) => receipt.leaf.index),
      written.receipt.leaf.index,
    ])
    expect(entries.map((entry) => entry.selfGrant !== undefined)).toEqual([...Array(6).fill(true), false])
    const head = at.store.treeHead()
    expect(pages.flatMap((page) => page.accepted)).toEqual([])
    let from = 0
    for (const { leaves, next } of pages) {
      verifyStretch({ from, to: next, ...leaves }, head)
      from = next
    }
    expect(pages.at(-1)!.next).toBe(head.size)
    const nothing = await at.store.readChanges(ada.physician, Number.MAX_SAFE_INTEGER, 0, head.size)
    expect([nothing.entries, nothing.next, nothing.more]).toEqual([[], head.size, false])
    expect(nothing.leaves).toEqual({ data: new Uint8Array(0), left: [], right: [] })
  })

  test("a list of members is stored with its grants, or not at all", async () => {
    const bob = await enrol(at, "bob")
    const { entry } = await append(at, ada, newId<"record">(), null)
    const { record } = entry.entry
    const before = (await at.store.chainHead(record))!
    const { size, root } = at.store.treeHead()
    const list = [memberOf(ada, "owner"), memberOf(bob, "reader")]
    const drafted = await draftMembers(ada, entry.drafted, list, { size, root })
    const link = await extendChain(before, record, drafted.signed, size, () => ada)
    const tokens = { body: undefined, summary: undefined, selfGrant: undefined, since: 0 }
    const given = { ...link, ...tokens, before, signed: drafted.signed, grants: drafted.grants }
    // The second of two grants to one physician does not fit in: by then entry, head and members are written.
    const twice = { ...given, grants: [...drafted.grants, ...drafted.grants] }
    await expect(at.store.append(twice)).rejects.toMatchObject({ code: "UNAVAILABLE" })
    expect([at.store.treeHead().size, (await at.store.chainHead(record))?.seq]).toEqual([size, 0])
    expect(
      (await at.store.invitations(bob.physician, { since: 0, limit: 10, from: [], without: [] })).invitations,
    ).toEqual([])
    await at.store.append(given)
    expect(
      (await at.store.invitations(bob.physician, { since: 0, limit: 10, from: [], without: [] })).invitations,
    ).toMatchObject([{ grant: drafted.grants[0]!.grant }])
  })

  test("sessions: found by hash, locked, ended, purged", async () => {
    const session = { ...newSession(ada, at.clock.time), half: randomToken(32) }
    const other = newSession(ada, at.clock.time)
    await at.store.startSession(session, "sign-in")
    await at.store.startSession(other, "sign-in")
    expect(await at.store.findSession(session.tokenHash)).toMatchObject({ id: session.id, half: session.half })
    await at.store.dropHalf(session.id)
    expect((await at.store.findSession(session.tokenHash))?.half).toBe(null)
    await at.store.touchSession(other.id, at.clock.time + 1000)
    await at.store.purgeSessions(at.clock.time, at.clock.time)
    expect(await at.store.findSession(session.tokenHash)).toBe(null)
    await at.store.purgeSessions(other.expires, 0)
    expect(await at.store.findSession(other.tokenHash)).toBe(null)
  })

  test("a record's read is one act a session, an export is always one", async () => {
    const { entry } = await append(at, ada, newId<"record">(), null)
    const session = newSession(ada, at.clock.time)
    await at.store.startSession(session, "sign-in")
    const { size } = at.store.treeHead()
    const { record } = entry.entry
    for (const act of ["read", "read", "export", "export"] as const)
      await at.store.recordAct(ada.physician, session.id, record, act)
    expect(at.store.treeHead().size).toBe(size + 3)
    await at.store.endSession(session.id)
  })
})
