import { describe, expect, it } from "vitest"
import { sha256 } from "#sha256"
import { compare, utf8 } from "../encoding/bytes.ts"
import { idBytes, idFromBytes, type RecordId } from "../encoding/ids.ts"
import type { ErrorCode } from "../errors.ts"
import { type ChainHead, checkToken, extendChain, type FindKeys, type Link } from "./chain.ts"
import { type EntryStatement, encodeEntry, type Member, type Role } from "./entry.ts"
import { type TestPhysician, testPhysician } from "./physician.fixture.ts"
import type { Signed } from "./statement.ts"

const [ada, ben, cyd, dee] = [testPhysician(1), testPhysician(2), testPhysician(3), testPhysician(4)]
const everybody = [ada, ben, cyd, dee]
const record = idFromBytes<"record">(new Uint8Array(16).fill(9)) as RecordId
const hash = (text: string) => sha256(utf8(text))
const ref = { hash: hash("token"), size: 329 }
const attachment = { id: idFromBytes<"attachment">(new Uint8Array(16)), size: 1, total: 1, hash: hash("a") }
const findKeys: FindKeys = (id) => everybody.find((one) => one.id === id) ?? null

const member = (who: TestPhysician, role: Role, more: Partial<Member> = {}): Member => ({
  physician: who.id,
  fingerprint: who.fingerprint,
  role,
  ...more,
})
const list = (...members: Member[]) => members.sort((a, b) => compare(idBytes(a.physician), idBytes(b.physician)))
const grants = (...to: TestPhysician[]) => to.map((who) => ({ recipient: who.id, hash: hash("grant") }))

/** The first entry, by Ada. */
function open(change: Partial<EntryStatement> = {}): EntryStatement {
  return {
    v: 1,
    suite: "F1",
    record,
    seq: 0,
    epoch: 0,
    kind: "open",
    author: ada.id,
    time: 1_795_425_240_000,
    seen: { size: 4, root: hash("4") },
    body: ref,
    summary: ref,
    members: [member(ada, "owner")],
    keyCommit: hash("key 0"),
    ...change,
  }
}

const openLeaf = 5
/** What follows a head, by Ada, at ten leaves further on. */
function next(head: ChainHead, change: Partial<EntryStatement> = {}): EntryStatement {
  return {
    v: 1,
    suite: "F1",
    record,
    seq: head.seq + 1,
    prev: head.hash,
    epoch: head.epoch,
    kind: "write",
    author: ada.id,
    time: 1_795_425_240_000,
    seen: { size: head.leaf + 1, root: hash(`${head.leaf + 1}`) },
    ...(change.kind === "members" ? {} : { body: ref, summary: ref }),
    ...change,
  }
}

const sign = (entry: EntryStatement): Signed => {
  const author = everybody.find((one) => one.id === entry.author) ?? ada
  return author.sign("entry", encodeEntry(entry))
}
const begin = (change: Partial<EntryStatement> = {}) =>
  extendChain(null, record, sign(open(change)), openLeaf, findKeys)
const extend = (head: ChainHead, change: Partial<EntryStatement> = {}): Promise<Link> =>
  extendChain(head, record, sign(next(head, change)), head.leaf + 10, findKeys)
const without = <T extends object>(value: T, ...names: (keyof T)[]): T =>
  Object.fromEntries(Object.entries(value).filter(([name]) => !names.includes(name as keyof T))) as T

/** Everybody's list: Ada and Ben own, Cyd writes, Dee reads. */
const shared = list(member(ada, "owner"), member(ben, "owner"), member(cyd, "writer"), member(dee, "reader"))
async function sharedHead(): Promise<ChainHead> {
  const { head } = await begin()
  return (await extend(head, { kind: "members", members: shared, grants: grants(ben, cyd, dee) })).head
}
/** A rise of the epoch with this list. */
const raise = (head: ChainHead, members: readonly Member[], by = ada): Partial<EntryStatement> => ({
  kind: "members",
  author: by.id,
  epoch: head.epoch + 1,
  members: [...members],
  keyCommit: hash("key 1"),
  summary: ref,
  ...(members.length > 1
    ? {
        grants: members
          .filter((one) => one.physician !== by.id)
          .map((one) => ({ recipient: one.physician, hash: hash("grant") })),
      }
    : {}),
})

async function refuses(work: Promise<unknown>, code: ErrorCode = "TAMPERED_CHAIN"): Promise<void> {
  await expect(work).rejects.toMatchObject({ code })
}

describe("a chain that keeps the rules", () => {
  it("carries members, commitments, epoch and head from entry to entry", async () => {
    const first = await begin()
    expect(first.head).toMatchObject({ seq: 0, epoch: 0, leaf: openLeaf, mustRaise: false })
    expect(first.head.members).toEqual([member(ada, "owner")])
    const head = await sharedHead()
    const written = await extend(head, { author: cyd.id })
    expect(written.head).toMatchObject({ seq: 2, epoch: 0, members: shared })
    const raised = await extend(written.head, raise(written.head, shared))
    expect(raised.head.epoch).toBe(1)
    expect([...raised.head.commits]).toEqual([
      [0, hash("key 0")],
      [1, hash("key 1")],
    ])
    const { head: last } = await extend(raised.head, { author: ben.id })
    expect(last).toMatchObject({ seq: 4, epoch: 1 })
    expect([...last.seen.keys()].sort()).toEqual([ada.id, ben.id, cyd.id].sort())
  })

  it("takes every change of the list that its author may make", async () => {
    const head = await sharedHead()
    await extend(head, raise(head, shared.slice(0, 1))) // everybody else is removed
    await extend(head, raise(head, shared, cyd)) // a writer raises the epoch for the same list
    const demoted = list(member(ada, "owner"), member(ben, "reader"), member(cyd, "owner"), member(dee, "reader"))
    await extend(head, { kind: "members", members: demoted })
    await extend(head, {
      kind: "members",
      author: ben.id,
      members: list(...shared.with(3, member(dee, "reader", { until: 9 }))),
    })
  })

  it("lets anybody leave but the last owner, and is closed until the epoch has risen", async () => {
    const head = await sharedHead()
    for (const who of [ben, cyd, dee]) {
      const rest = shared.filter((one) => one.physician !== who.id)
      const { head: left } = await extend(head, { kind: "members", author: who.id, members: rest })
      expect(left).toMatchObject({ mustRaise: true, epoch: 0, members: rest })
      await refuses(extend(left))
      await refuses(extend(left, { kind: "members", members: rest.slice(0, 2) }))
      const raised = await extend(left, raise(left, rest))
      expect(raised.head.mustRaise).toBe(false)
      await extend(raised.head)
    }
  })

  it("lets a second one leave before the epoch has risen", async () => {
    const head = await sharedHead()
    const leave = async (from: ChainHead, who: TestPhysician) =>
      (
        await extend(from, {
          kind: "members",
          author: who.id,
          members: from.members.filter((one) => one.physician !== who.id),
        })
      ).head
    const left = await leave(await leave(head, cyd), dee)
    expect(left).toMatchObject({ mustRaise: true, members: shared.slice(0, 2) })
    await extend(left, raise(left, shared.slice(0, 2), ben))
  })
})

describe("place", () => {
  it.each<[string, Partial<EntryStatement>]>([
    ["another record", { record: idFromBytes<"record">(new Uint8Array(16)) as RecordId }],
    ["the seq before", { seq: 0 }],
    ["a gap in seq", { seq: 2 }],
    ["another prev", { prev: hash("other") }],
    ["a second open", { kind: "open", members: [member(ada, "owner")], keyCommit: hash("key 0") }],
  ])("refuses %s", async (_, change) => {
    const { head } = await begin()
    await refuses(extend(head, change))
  })

  it("refuses a second open that else looks like a change of members", async () => {
    const { head } = await begin()
    const again = next(head, { kind: "open", members: [member(ada, "owner")] })
    await refuses(extendChain(head, record, sign(without(again, "body", "summary")), 20, findKeys))
  })

  it("refuses no prev, a prev on the first, and a first that is not seq 0", async () => {
    const { head } = await begin()
    await refuses(extendChain(head, record, sign(without(next(head), "prev")), 20, findKeys))
    await refuses(begin({ prev: hash("x") }))
    await refuses(begin({ seq: 1 }))
  })

  it("refuses what is no statement", async () => {
    await refuses(extendChain(null, record, ada.sign("entry", utf8("no CBOR")), 5, findKeys), "BAD_INPUT_STATEMENT")
  })
})

describe("open", () => {
  it.each<[string, Partial<EntryStatement>]>([
    ["an epoch above 0", { epoch: 1 }],
    ["another kind", { kind: "write" }],
    ["somebody else as owner", { members: [member(ben, "owner")] }],
    ["its author as writer", { members: [member(ada, "writer")] }],
    ["an owner for a time", { members: [member(ada, "owner", { until: 9 })] }],
    ["a second member", { members: [member(ada, "owner"), member(ben, "reader")] }],
    ["grants", { grants: grants(ben) }],
    ["attachments", { attachments: [attachment] }],
  ])("refuses %s", async (_, change) => {
    await refuses(begin(change))
  })

  it.each(["members", "keyCommit", "body", "summary"] as const)("refuses no %s", async (name) => {
    await refuses(extendChain(null, record, sign(without(open(), name)), openLeaf, findKeys))
  })
})

describe("write", () => {
  it("refuses a reader, a stranger, and one who was removed", async () => {
    const head = await sharedHead()
    await refuses(extend(head, { author: dee.id }))
    await refuses(extend((await begin()).head, { author: ben.id }))
    const { head: removed } = await extend(head, raise(head, shared.slice(0, 2)))
    await refuses(extend(removed, { author: cyd.id }))
  })

  it.each<[string, Partial<EntryStatement>]>([
    ["an epoch that rises", { epoch: 1 }],
    ["an epoch that rises, with a key", { epoch: 1, keyCommit: hash("key 1") }],
    ["a key", { keyCommit: hash("key 1") }],
    ["members", { members: [member(ada, "owner")] }],
    ["grants", { grants: grants(ben) }],
  ])("refuses %s", async (_, change) => {
    await refuses(extend((await begin()).head, change))
  })

  it.each(["body", "summary"] as const)("refuses no %s", async (name) => {
    const { head } = await begin()
    await refuses(extendChain(head, record, sign(without(next(head), name)), 20, findKeys))
  })

  it("refuses an epoch that lags", async () => {
    const head = await sharedHead()
    const { head: raised } = await extend(head, raise(head, shared))
    await refuses(extend(raised, { epoch: 0 }))
  })
})

describe("members", () => {
  const alone = shared.slice(0, 1)
  it.each<[string, (head: ChainHead) => Partial<EntryStatement>]>([
    ["a removal without a rise of the epoch", () => ({ kind: "members", members: shared.slice(0, 3) })],
    [
      "a changed key without a rise",
      () => ({
        kind: "members",
        members: shared.with(1, { ...shared[1]!, fingerprint: hash("new") }),
        grants: grants(ben),
      }),
    ],
    ["an epoch that skips", (head) => ({ ...raise(head, shared), epoch: 2 })],
    ["an epoch that skips, without a key", () => ({ kind: "members", members: shared, epoch: 2 })],
    ["a rise without a key", (head) => without(raise(head, shared), "keyCommit")],
    ["a rise without a summary", (head) => without(raise(head, shared), "summary")],
    ["a rise without grants", (head) => without(raise(head, shared), "grants")],
    ["a rise that leaves one member without a grant", (head) => ({ ...raise(head, shared), grants: grants(ben, cyd) })],
    ["a rise with a grant to a stranger", (head) => ({ ...raise(head, shared.slice(0, 2)), grants: grants(cyd) })],
    ["a grant twice", (head) => ({ ...raise(head, shared), grants: grants(ben, cyd, dee, dee) })],
    ["a key without a rise", () => ({ kind: "members", members: shared, keyCommit: hash("key 1") })],
    ["a summary without a rise", () => ({ kind: "members", members: shared, summary: ref })],
    ["grants to nobody new", () => ({ kind: "members", members: shared, grants: grants(ben) })],
    ["a list without an owner", (head) => raise(head, list(member(ada, "writer"), member(ben, "writer")))],
    ["a list out of order", (head) => ({ ...raise(head, shared), members: [...shared].reverse() })],
    ["a member twice", (head) => ({ ...raise(head, [...alone, shared[1]!, shared[1]!]), grants: grants(ben) })],
    ["a body", () => ({ kind: "members", members: shared, body: ref })],
    [
      "attachments",
      () => ({
        kind: "members",
        members: shared,
        attachments: [attachment],
      }),
    ],
    ["no list", () => ({ kind: "members" })],
    ["a writer who changes the list", (head) => raise(head, shared.slice(0, 3), cyd)],
    ["a writer who changes nothing and raises nothing", () => ({ kind: "members", author: cyd.id, members: shared })],
    ["a writer who gives a role", (head) => raise(head, shared.with(2, member(cyd, "owner")), cyd)],
    ["a reader who raises the epoch", (head) => raise(head, shared, dee)],
    ["a reader who removes somebody else", () => ({ kind: "members", author: dee.id, members: shared.slice(1) })],
  ])("refuses %s", async (_, change) => {
    const head = await sharedHead()
    await refuses(extend(head, change(head)))
  })

  it("refuses a new member without a grant", async () => {
    const { head } = await begin()
    await refuses(extend(head, { kind: "members", members: list(member(ada, "owner"), member(ben, "reader")) }))
  })

  it.each<[string, Partial<EntryStatement>]>([
    ["a key", { keyCommit: hash("key 1") }],
    ["a summary", { summary: ref }],
    ["grants", { grants: grants(ada) }],
  ])("refuses one who leaves with %s", async (_, change) => {
    const head = await sharedHead()
    const members = shared.filter((one) => one.physician !== ben.id)
    await refuses(extend(head, { kind: "members", author: ben.id, members, ...change }))
  })

  it("refuses the last owner who leaves", async () => {
    const { head } = await begin()
    const two = list(member(ada, "owner"), member(cyd, "writer"))
    const { head: both } = await extend(head, { kind: "members", members: two, grants: grants(cyd) })
    await refuses(extend(both, { kind: "members", members: two.slice(1) }))
  })
})

describe("signatures and keys", () => {
  it("refuses another's signature, another label's, and any changed byte", async () => {
    const { head } = await begin()
    const good = sign(next(head))
    const statement = encodeEntry(next(head))
    const work = (signed: Signed) => extendChain(head, record, signed, head.leaf + 10, findKeys)
    await work(good)
    await refuses(work({ statement, signature: ben.sign("entry", statement).signature }), "TAMPERED_SIGNATURE")
    await refuses(work(ada.sign("identity", statement)), "TAMPERED_SIGNATURE")
    await refuses(work({ statement, signature: new Uint8Array(64) }), "TAMPERED_SIGNATURE")
    await refuses(work({ statement, signature: good.signature.subarray(1) }), "TAMPERED_SIGNATURE")
    const later = encodeEntry(next(head, { time: next(head).time + 1 }))
    await refuses(work({ statement: later, signature: good.signature }), "TAMPERED_SIGNATURE")
  })

  it("takes no keys but those whose fingerprint the member list names, and none where there are none", async () => {
    const { head } = await begin()
    const statement = encodeEntry(next(head))
    const offered = (keys: TestPhysician | null) =>
      extendChain(head, record, (keys ?? ada).sign("entry", statement), head.leaf + 10, () => keys)
    await refuses(offered(ben), "TAMPERED_IDENTITY")
    await refuses(offered(null), "TAMPERED_IDENTITY")
    await offered(ada)
  })

  it("takes an author's key from the list in force before the entry", async () => {
    const head = await sharedHead()
    const newBen = testPhysician(200)
    const moved = list(...shared.with(1, { physician: ben.id, fingerprint: newBen.fingerprint, role: "owner" }))
    await refuses(
      extendChain(head, record, sign(next(head, raise(head, moved, ben))), head.leaf + 10, () => newBen),
      "TAMPERED_IDENTITY",
    )
  })
})

describe("seen", () => {
  it("refuses a tree that lacks the leaf of prev, or holds the entry's own", async () => {
    const { head } = await begin()
    await refuses(extend(head, { seen: { size: head.leaf, root: hash("x") } }))
    await refuses(extend(head, { seen: { size: head.leaf + 11, root: hash("x") } }))
    await refuses(begin({ seen: { size: openLeaf + 1, root: hash("x") } }))
    await extend(head, { seen: { size: head.leaf + 1, root: hash("x") } })
    await extend(head, { seen: { size: head.leaf + 10, root: hash("x") } })
  })

  it("refuses a leaf that does not come after the one before", async () => {
    const { head } = await begin()
    for (const leaf of [0, head.leaf]) await refuses(extendChain(head, record, sign(next(head)), leaf, findKeys))
  })

  it("refuses one that falls for one author, or is another tree of the same size", async () => {
    const { head } = await begin()
    const { head: second } = await extend(head, { seen: { size: 14, root: hash("14") } })
    const crowded = { ...second, leaf: 8 }
    await refuses(extend(crowded, { seen: { size: 13, root: hash("13") } }), "TAMPERED_FORK")
    await refuses(extend(crowded, { seen: { size: 14, root: hash("other") } }), "TAMPERED_FORK")
    await extend(crowded, { seen: { size: 14, root: hash("14") } })
  })
})

describe("tokens", () => {
  it("are the ones that the statement names, by size and hash, or absent where it names none", () => {
    const token = utf8("token")
    const named = { hash: sha256(token), size: token.length }
    checkToken(named, token)
    checkToken(undefined, undefined)
    const tampered = expect.objectContaining({ code: "TAMPERED_TOKEN" })
    expect(() => checkToken(named, undefined)).toThrow(tampered)
    expect(() => checkToken(undefined, token)).toThrow(tampered)
    expect(() => checkToken({ ...named, size: 6 }, token)).toThrow(tampered)
    expect(() => checkToken(named, utf8("tokeN"))).toThrow(tampered)
  })
})
