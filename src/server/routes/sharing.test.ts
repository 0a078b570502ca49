import { DatabaseSync } from "node:sqlite"
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest"
import { sha256 } from "#sha256"
import { newId, type RecordId } from "../../encoding/ids.ts"
import { keyToken, paddedToken } from "../../encoding/token-form.fixture.ts"
import { type Member, parseEntry } from "../../proof/entry.ts"
import { verifyStretch } from "../../proof/stretch.ts"
import { actsPath, entriesPath, paths, recordSelfGrantsPath } from "../../protocol/paths.ts"
import { putSelfGrants, readChanges, readEntries, readInvitations, readSelfGrants } from "../../protocol/records.ts"
import {
  type Author,
  appendBody,
  asSent,
  type Drafted,
  draftEntry,
  draftMembers,
  memberOf,
  newAuthor,
  randomToken,
  selfGrantsBody,
  signItems,
  signUp,
} from "../client.fixture.ts"
import { openTestServer, type TestServer } from "../server.fixture.ts"

let server: TestServer
let ada: Author
let bob: Author
let cyd: Author
let headersOf: (author: Author) => Record<string, string>
let record: RecordId
let head: Drafted

beforeAll(async () => {
  server = await openTestServer()
  const signed = await signUp(server.client, "ada", "bob", "cyd")
  ;[ada, bob, cyd] = signed.authors as [Author, Author, Author]
  headersOf = signed.headersOf
})
afterAll(() => server.close())
beforeEach(async () => {
  record = newId<"record">()
  head = await draftEntry(ada, record, null)
  await must(ada, head)
})

function seen() {
  const { size, root } = server.store.treeHead()
  return { size, root }
}

async function codeOf(as: Author, entry: Drafted, change: object = {}): Promise<string> {
  const body = { ...appendBody(entry), ...change }
  const response = await server.client.send("POST", entriesPath(entry.statement.record), body, headersOf(as))
  return response.statusCode === 200 ? "ok" : response.json().code
}

/** Appends, and makes it the head. */
async function must(as: Author, entry: Drafted): Promise<void> {
  expect(await codeOf(as, entry)).toBe("ok")
  head = entry
}

const write = async (as: Author) => must(as, await draftEntry(as, record, head, seen()))
const change = async (as: Author, list: Member[], options: Parameters<typeof draftMembers>[4] = {}) =>
  must(as, await draftMembers(as, head, list, seen(), options))
const without = (author: Author) => head.members.filter((member) => member.physician !== author.physician)
const withMember = (member: Member) => [...head.members.filter((one) => one.physician !== member.physician), member]

/** @returns whether the self-grants were stored */
async function accept(as: Author, epochs: number[], of = record): Promise<boolean> {
  const body = await selfGrantsBody(as, of, epochs)
  await server.client.call(putSelfGrants.reply, "POST", paths.selfGrants, body, headersOf(as))
  const file = new DatabaseSync(server.file, { readOnly: true })
  const row = file.prepare("select 1 from self_grant where record = ? and token = ?")
  return putSelfGrants.body.decode(body).tokens.every((token) => row.get(of, token) !== undefined)
}

async function changes(as: Author, since = 0) {
  const url = `${paths.changes}?since=${since}&limit=1000&pinned=0`
  const answer = await server.client.call(readChanges.reply, "GET", url, undefined, headersOf(as))
  verifyStretch({ from: since, to: answer.next, ...answer.leaves }, seen())
  const entries = answer.entries.filter((entry) => entry.record === record)
  return { ...answer, entries, accepted: answer.accepted.filter((one) => one.record === record) }
}

async function invitations(as: Author, query = "since=0&limit=1000") {
  const url = `${paths.invitations}?${query}`
  return server.client.call(readInvitations.reply, "GET", url, undefined, headersOf(as))
}

const invited = async (as: Author) => (await invitations(as)).invitations.some((one) => one.record === record)

async function entries(as: Author, query = "") {
  const url = `${entriesPath(record)}?from=0&since=0${query}`
  const response = await server.client.send("GET", url, undefined, headersOf(as))
  return response.statusCode === 200 ? readEntries.reply.decode(response.json()) : response.json().code
}

describe("self-grants", () => {
  const tokensOf = async (epoch: number) => {
    const path = `${recordSelfGrantsPath(record)}?epoch=${epoch}`
    return (await server.client.call(readSelfGrants.reply, "GET", path, undefined, headersOf(ada))).tokens
  }
  const leavesOf = () => {
    const file = new DatabaseSync(server.file, { readOnly: true })
    return Number(file.prepare("select leaves from usage where physician = ?").get(ada.physician)!.leaves)
  }

  test("that were replaced are kept as far as the newest ten of each epoch, and each replacement counts as a leaf", async () => {
    await change(ada, [...head.members], { raise: true })
    const before = leavesOf()
    const all = await tokensOf(1)
    expect(all).toHaveLength(1)
    for (let i = 0; i < 14; i++) {
      server.clock.time += 1
      const body = await selfGrantsBody(ada, record, [1], new Map([[1, sha256(all[0]!)]]))
      await server.client.call(putSelfGrants.reply, "POST", paths.selfGrants, body, headersOf(ada))
      all.unshift(...putSelfGrants.body.decode(body).tokens)
      // The very same again replaces nothing.
      await server.client.call(putSelfGrants.reply, "POST", paths.selfGrants, body, headersOf(ada))
    }
    expect(await tokensOf(1)).toEqual(all.slice(0, 11))
    expect(await tokensOf(0)).toHaveLength(1)
    expect(leavesOf()).toBe(before + 14)
    const file = new DatabaseSync(server.file, { readOnly: true })
    const rows = file.prepare("select count(*) as rows from replaced_self_grant where record = ?").get(record)
    expect(rows).toEqual({ rows: 10 })
  })

  test("that are no sealed keys are refused, whoever signed for them", async () => {
    const [before] = await tokensOf(0)
    for (const token of [randomToken(3), paddedToken(32)]) {
      const item = { subject: record, number: 0, prev: sha256(before!), hash: sha256(token) }
      const body = asSent({ signed: await signItems(ada, "self-grants", [item]), tokens: [token] })
      const refused = await server.client.send("POST", paths.selfGrants, body, headersOf(ada))
      expect([refused.statusCode, refused.json().code]).toEqual([400, "BAD_INPUT_FORMAT"])
    }
    expect(await tokensOf(0)).toEqual([before])
  })

  test("come with the entries of their own epochs", async () => {
    for (let i = 0; i < 3; i++) await change(ada, [...head.members], { raise: true })
    await write(ada)
    const epochsFrom = async (from: number) => {
      const url = `${entriesPath(record)}?from=${from}&since=0`
      const answer = await server.client.call(readEntries.reply, "GET", url, undefined, headersOf(ada))
      return answer.selfGrants.map(({ epoch }) => epoch)
    }
    expect(await Promise.all([0, 2, 3, 4, 5].map(epochsFrom))).toEqual([[0, 1, 2, 3], [2, 3], [3], [3], []])
  })
})

describe("an invitation", () => {
  test("is shown to whom it names, with the grant, and is no part of their feed", async () => {
    await change(ada, withMember(memberOf(bob, "writer")))
    await write(ada)
    const inviting = (await entries(bob)).entries[1]
    expect(inviting.grant).toHaveLength(1180)
    expect((await entries(ada)).entries.map((entry: { grant?: unknown }) => entry.grant)).toEqual(
      Array(3).fill(undefined),
    )
    const { invitations: list } = await invitations(bob)
    expect(list.find((one) => one.record === record)).toEqual({
      record,
      statement: inviting.statement,
      signature: inviting.signature,
      leaf: inviting.leaf,
      role: "writer",
      grant: inviting.grant,
    })
    expect(await invited(cyd)).toBe(false)
    expect((await changes(bob)).entries).toEqual([])
    expect((await changes(ada)).entries).toHaveLength(3)
  })

  test("comes page by page, in the log's order", async () => {
    const opened: Drafted[] = []
    for (let i = 0; i < 5; i++) {
      opened.unshift(await draftEntry(cyd, newId<"record">(), null))
      await must(cyd, opened[0]!)
    }
    const since = seen().size
    for (const one of opened) {
      head = one
      await change(cyd, withMember(memberOf(bob, "reader")))
    }
    const found = []
    for (let from = since, more = true; more; ) {
      const page = await invitations(bob, `since=${from}&limit=2&from=${cyd.physician}`)
      expect(page.invitations.length).toBeLessThanOrEqual(2)
      found.push(...page.invitations)
      ;({ next: from, more } = page)
    }
    expect(found.map((one) => one.record)).toEqual(opened.map((one) => one.statement.record))
    expect((await invitations(bob, `since=${seen().size}&limit=9&from=${cyd.physician}`)).invitations).toEqual([])
    expect((await invitations(bob, "since=0&limit=0")).more).toBe(true)
  })

  test("is accepted by self-grants of every epoch, which the log says", async () => {
    await change(ada, withMember(memberOf(bob, "reader")))
    await change(ada, [...head.members], { raise: true })
    const before = seen().size
    expect(await accept(bob, [0])).toBe(true)
    expect([await invited(bob), seen().size]).toEqual([true, before])
    const { accepted: none, entries: nothing } = await changes(bob)
    expect([none, nothing]).toEqual([[], []])
    expect(await accept(bob, [1])).toBe(true)
    expect([await invited(bob), seen().size]).toEqual([false, before + 1])
    const feed = await changes(bob)
    expect(feed.accepted).toMatchObject([{ record, number: 0, leaf: { index: before } }])
    expect(feed.entries.map(({ selfGrant, grant }) => [selfGrant?.length, grant])).toEqual([
      [105, undefined],
      [undefined, undefined],
      [105, undefined],
    ])
    expect((await entries(bob)).selfGrants.map((one: { epoch: number }) => one.epoch)).toEqual([0, 1])
    // Sealing to myself again is no second acceptance, and takes nothing's place.
    expect(await accept(bob, [0, 1])).toBe(false)
    expect(seen().size).toBe(before + 1)
    expect((await changes(ada)).accepted).toEqual([])
  })

  test("cannot be accepted by strangers, nor for an epoch to come", async () => {
    await change(ada, withMember(memberOf(bob, "reader")))
    const { size } = seen()
    expect(await accept(cyd, [0])).toBe(false)
    expect(await accept(bob, [0], newId<"record">())).toBe(false)
    const body = await selfGrantsBody(bob, record, [1])
    const response = await server.client.send("POST", paths.selfGrants, body, headersOf(bob))
    expect([response.statusCode, response.json().code]).toEqual([400, "BAD_INPUT_FORMAT"])
    expect([seen().size, await invited(bob)]).toEqual([size, true])
  })

  test("is declined by leaving, which nobody's feed but the members' shows", async () => {
    await change(ada, withMember(memberOf(bob, "reader")))
    await change(bob, without(bob), { leave: true })
    expect(await invited(bob)).toBe(false)
    expect((await changes(bob)).entries).toEqual([])
    expect(await entries(bob)).toBe("NOT_ALLOWED")
    expect(await accept(bob, [0])).toBe(false)
    expect((await changes(ada)).entries).toHaveLength(3)
    // The key has to change now before anybody writes.
    expect(await codeOf(ada, await draftEntry(ada, record, head, seen()))).toBe("BAD_INPUT_STATEMENT")
    await change(ada, [...head.members], { raise: true })
    await write(ada)
    await change(ada, withMember(memberOf(bob, "reader")))
    expect(await invited(bob)).toBe(true)
  })
})

describe("whoever was removed", () => {
  beforeEach(async () => {
    await change(ada, withMember(memberOf(bob, "writer")))
    await accept(bob, [0])
    await write(bob)
    await change(ada, without(bob), { raise: true })
    await write(ada)
  })

  test("sees that, and nothing after it", async () => {
    expect((await changes(bob)).entries).toHaveLength(4)
    expect(await entries(bob)).toBe("NOT_ALLOWED")
    // How they verify that it has ended: the chain up to there, and no body.
    const chain = (await entries(bob, "&bodies=0")).entries
    expect(chain).toHaveLength(4)
    expect(chain.every((entry: { body?: Uint8Array }) => entry.body === undefined)).toBe(true)
    expect(await codeOf(bob, await draftEntry(bob, record, head, seen()))).toBe("NOT_ALLOWED")
    const act = await server.client.send("POST", actsPath(record), { act: "read" }, headersOf(bob))
    expect(act.json().code).toBe("NOT_ALLOWED")
    expect(await invited(bob)).toBe(false)
    expect(await accept(bob, [1])).toBe(false)
  })

  test("sees no more when invited again, and everything after accepting again", async () => {
    await change(ada, withMember(memberOf(bob, "reader")))
    await write(ada)
    expect([await invited(bob), (await changes(bob)).entries.length]).toEqual([true, 4])
    // Each time that they accepted is told, for whoever rebuilds what was theirs when.
    expect((await changes(bob)).accepted).toHaveLength(1)
    await change(bob, without(bob), { leave: true })
    expect([await invited(bob), (await changes(bob)).entries.length]).toEqual([false, 4])
    await change(ada, withMember(memberOf(bob, "reader")), { raise: true })
    const leaf = seen().size
    expect(await accept(bob, [1, 2])).toBe(true)
    const feed = await changes(bob)
    expect([feed.accepted.length, feed.entries.length]).toEqual([2, 9])
    expect(feed.accepted[1]).toMatchObject({ record, number: 1, leaf: { index: leaf } })
  })
})

test("a new epoch's grant comes with the feed until it is sealed as one's own", async () => {
  await change(ada, withMember(memberOf(bob, "writer")))
  await accept(bob, [0])
  await change(ada, withMember(memberOf(cyd, "reader")))
  await change(ada, without(cyd), { raise: true })
  const raised = (await changes(bob)).entries.at(-1)!
  expect([raised.grant?.length, raised.selfGrant]).toEqual([1180, undefined])
  await accept(bob, [1])
  const mine = (await changes(bob)).entries.at(-1)!
  expect([mine.grant, mine.selfGrant?.length]).toEqual([undefined, 105])
  const own = (await changes(ada)).entries.at(-1)!
  expect([own.grant, own.selfGrant?.length]).toEqual([undefined, 105])
})

describe("what a role does not allow is refused", () => {
  beforeEach(async () => {
    await change(ada, withMember(memberOf(bob, "writer")))
    await accept(bob, [0])
    await change(ada, withMember(memberOf(cyd, "reader")))
    await accept(cyd, [0])
  })

  test("a reader neither writes nor shares nor makes keys, and may leave", async () => {
    expect(await codeOf(cyd, await draftEntry(cyd, record, head, seen()))).toBe("NOT_ALLOWED_ROLE")
    const more = await draftMembers(cyd, head, withMember(memberOf(cyd, "owner")), seen())
    expect(await codeOf(cyd, more)).toBe("NOT_ALLOWED_ROLE")
    const raised = await draftMembers(cyd, head, head.members, seen(), { raise: true })
    expect(await codeOf(cyd, raised)).toBe("NOT_ALLOWED_ROLE")
    await change(cyd, without(cyd), { leave: true })
    expect(await entries(cyd)).toBe("NOT_ALLOWED")
    // The same again, because the first answer was lost.
    expect(await codeOf(cyd, head)).toBe("ok")
  })

  test("a writer writes and makes a key for the same list, and shares with nobody", async () => {
    await write(bob)
    const fewer = await draftMembers(bob, head, without(cyd), seen(), { raise: true })
    expect(await codeOf(bob, fewer)).toBe("NOT_ALLOWED_ROLE")
    const raised = await draftMembers(bob, head, withMember(memberOf(bob, "owner")), seen(), { raise: true })
    expect(await codeOf(bob, raised)).toBe("NOT_ALLOWED_ROLE")
    await change(bob, [...head.members], { raise: true })
    await write(bob)
  })

  test("the last owner neither leaves nor gives it up", async () => {
    const leaving = await draftMembers(ada, head, without(ada), seen(), { leave: true })
    expect(await codeOf(ada, leaving)).toBe("NOT_ALLOWED_LAST_OWNER")
    const lowered = await draftMembers(ada, head, withMember(memberOf(ada, "writer")), seen())
    expect(await codeOf(ada, lowered)).toBe("NOT_ALLOWED_LAST_OWNER")
    await change(ada, withMember(memberOf(bob, "owner")))
    await change(ada, without(ada), { leave: true })
    await change(bob, [...head.members], { raise: true })
    await write(bob)
    expect((await changes(ada)).entries).toHaveLength(5)
    expect((await changes(bob)).entries).toHaveLength(7)
  })

  test("of two owners who change the list at once one conflicts", async () => {
    await change(ada, withMember(memberOf(bob, "owner")))
    const [one, two] = await Promise.all([
      draftMembers(ada, head, without(cyd), seen(), { raise: true }),
      draftMembers(bob, head, withMember(memberOf(cyd, "writer")), seen()),
    ])
    const codes = await Promise.all([codeOf(ada, one), codeOf(bob, two)])
    expect(codes.toSorted()).toEqual(["CONFLICT_HEAD", "ok"])
    const { grants } = codes[0] === "ok" ? one : two
    const rows = (await entries(cyd)) as "NOT_ALLOWED" | { entries: unknown[] }
    expect(rows === "NOT_ALLOWED").toBe(grants.length > 0)
  })
})

describe("a list of members is refused", () => {
  const grantOf = (entry: Drafted) => appendBody(entry).grants as { recipient: string; grant: string }[]
  const text = (bytes: Uint8Array) => Buffer.from(bytes).toString("base64url")

  test("unless it comes with the very grants that it lists", async () => {
    const entry = await draftMembers(ada, head, withMember(memberOf(bob, "reader")), seen())
    const [grant] = grantOf(entry)
    const other = { recipient: cyd.physician, grant: grant!.grant }
    for (const grants of [
      undefined,
      [],
      [grant, other],
      [grant, grant],
      [other],
      [{ ...grant, grant: text(randomToken(1180)) }],
      [{ ...grant, grant: text(randomToken(1135)) }],
    ])
      expect(await codeOf(ada, entry, { grants })).toBe("BAD_INPUT_STATEMENT")
    const huge = await codeOf(ada, entry, { grants: [{ ...grant, grant: text(randomToken(65_537)) }] })
    expect(huge).toBe("BAD_INPUT_FORMAT")
    const short = await draftMembers(ada, head, withMember(memberOf(bob, "reader")), seen(), {
      change: { grants: [{ recipient: bob.physician, hash: sha256(randomToken(0)) }] },
    })
    expect(await codeOf(ada, short, { grants: [{ ...grant, grant: "" }] })).toBe("BAD_INPUT_STATEMENT")
    const none = await draftMembers(ada, head, withMember(memberOf(bob, "reader")), seen(), {
      change: { grants: undefined },
    })
    expect(await codeOf(ada, { ...none, grants: [] })).toBe("BAD_INPUT_STATEMENT")
    expect(await codeOf(ada, await draftEntry(ada, record, head, seen()), { grants: [grant] })).toBe(
      "BAD_INPUT_STATEMENT",
    )
    expect(await codeOf(ada, entry)).toBe("ok")
  })

  test("unless the author's own key comes with a new epoch, and with nothing else", async () => {
    const entry = await draftMembers(ada, head, withMember(memberOf(bob, "reader")), seen())
    expect(await codeOf(ada, entry, { selfGrant: text(keyToken()) })).toBe("BAD_INPUT_STATEMENT")
    await must(ada, entry)
    const raised = await draftMembers(ada, head, without(bob), seen(), { raise: true })
    expect(await codeOf(ada, raised, { selfGrant: undefined })).toBe("BAD_INPUT_STATEMENT")
    expect(await codeOf(ada, raised, { summary: undefined })).toBe("BAD_INPUT_STATEMENT")
    expect(await codeOf(ada, raised)).toBe("ok")
  })

  test("unless whoever is new is a physician here, under their newest keys", async () => {
    const nobody = await newAuthor("nobody")
    const foreign = { ...memberOf(bob, "reader"), fingerprint: nobody.fingerprint }
    for (const member of [memberOf(nobody, "reader"), foreign])
      expect(await codeOf(ada, await draftMembers(ada, head, withMember(member), seen()))).toBe("BAD_INPUT_STATEMENT")
    await change(ada, withMember(memberOf(bob, "reader")))
    const swapped = await draftMembers(ada, head, withMember(foreign), seen(), { raise: true })
    expect(await codeOf(ada, swapped)).toBe("BAD_INPUT_STATEMENT")
  })

  test("when it removes without a new key, or is nobody's to write", async () => {
    await change(ada, withMember(memberOf(bob, "reader")))
    const kept = await draftMembers(ada, head, without(bob), seen(), { leave: true })
    expect(await codeOf(ada, kept)).toBe("BAD_INPUT_STATEMENT")
    const stranger = await draftMembers(cyd, head, withMember(memberOf(cyd, "owner")), seen())
    expect(await codeOf(cyd, stranger)).toBe("NOT_ALLOWED")
    const posing = await draftMembers(ada, head, withMember(memberOf(cyd, "reader")), seen())
    expect(await codeOf(bob, posing)).toBe("NOT_ALLOWED")
    expect(await codeOf(cyd, posing)).toBe("NOT_ALLOWED")
  })
})

test("who was invited and did not accept sees how that was taken back, and nothing after it", async () => {
  await change(ada, withMember(memberOf(bob, "reader")))
  for (const role of ["reader", "writer", "owner"] as const) {
    await change(ada, withMember(memberOf(cyd, role)))
    await write(ada)
  }
  await change(ada, without(bob), { raise: true })
  const taken = head.statement.seq
  await write(ada)
  for (const role of ["reader", "writer"] as const) {
    await change(ada, withMember(memberOf(cyd, role)))
    const { entries: shown } = (await entries(bob, "&bodies=0")) as {
      entries: { statement: Uint8Array; grant?: Uint8Array }[]
    }
    expect(shown.map(({ statement }) => parseEntry(statement).seq).at(-1)).toBe(taken)
    // Nobody is given a key any more that they had not taken.
    expect(shown.filter(({ grant }) => grant !== undefined)).toEqual([])
    expect(await entries(bob)).toBe("NOT_ALLOWED")
  }
  expect((await changes(bob)).entries).toEqual([])
})

test("until its date a membership counts, and not a moment longer", async () => {
  const until = server.clock.time + 60_000
  await change(ada, withMember(memberOf(bob, "writer", until)))
  await accept(bob, [0])
  await change(ada, withMember(memberOf(cyd, "reader", until)))
  await write(bob)
  expect([(await changes(bob)).entries.length, await invited(cyd)]).toEqual([4, true])
  server.clock.time = until + 1
  await write(ada)
  // What they were shown before stays in the feed and in the chain; nothing that came after does.
  const late = await changes(bob)
  expect([late.entries.length, late.accepted.length]).toEqual([4, 1])
  for (const one of [bob, cyd]) {
    const { entries: shown } = await entries(one, "&bodies=0")
    expect(shown).toHaveLength(4)
    expect(shown.filter((entry: { grant?: Uint8Array }) => entry.grant !== undefined)).toEqual([])
    expect(await entries(one)).toBe("NOT_ALLOWED")
  }
  expect([await invited(cyd), await accept(cyd, [0])]).toEqual([false, false])
  expect(await codeOf(bob, await draftEntry(bob, record, head, seen()))).toBe("NOT_ALLOWED")
  const act = await server.client.send("POST", actsPath(record), { act: "read" }, headersOf(bob))
  expect(act.json().code).toBe("NOT_ALLOWED")
  await change(ada, withMember(memberOf(bob, "writer")))
  expect((await changes(bob)).entries).toHaveLength(6)
  await write(bob)
})
