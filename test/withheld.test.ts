import { afterEach, describe, expect, it } from "vitest"
import { changePassword } from "../src/client/account.ts"
import { createPatient } from "../src/client/edits.ts"
import { acceptInvitations } from "../src/client/invitations.ts"
import { leave, share, unshare } from "../src/client/sharing.ts"
import { type Workspace, workspaceOf } from "../src/client/workspace.ts"
import { changesFor } from "../src/clinical/form.ts"
import { parseUtf8, utf8 } from "../src/encoding/bytes.ts"
import type { RecordId } from "../src/encoding/ids.ts"
import { leafTag } from "../src/proof/leaf.ts"
import { brady, edit, give, many, meet, none, physicians, refused, suspicions } from "./colleagues.ts"
import { withhold } from "./hold.ts"
import { type Between, openPractice } from "./practice.ts"

/** What a server keeps back for good, with the help of what else the client does: pack, bind, let go, open. */
const practice = await openPractice()
const noAnswer = { status: 503, body: utf8(JSON.stringify({ code: "UNAVAILABLE", message: "" })) }
const rollback = refused("TAMPERED_ROLLBACK")

interface Hiding {
  /** Of this record */
  record: RecordId | null
  /** what stands in the log from this leaf on. */
  from: number
  /** Whether its chain ends before that, too: with a true number of entries, or none. */
  chain: "honest" | "cut" | "not theirs"
  /** Questions that get no answer. */
  silent: RegExp | null
}

const openly: Hiding = { record: null, from: Number.POSITIVE_INFINITY, chain: "honest", silent: null }
let hiding: Hiding = { ...openly }
afterEach(() => {
  hiding = { ...openly }
})

const lying: Between = async (request, send) => {
  const { record, from, chain, silent } = hiding
  if (silent?.test(request.path) && request.method === "GET") return noAnswer
  const isChain = request.method === "GET" && request.path.startsWith(`/api/records/${record}/entries`)
  if (isChain && chain === "not theirs")
    return { status: 403, body: utf8(JSON.stringify({ code: "NOT_ALLOWED", message: "" })) }
  const answer = await send(request)
  if (!request.path.startsWith("/api/changes") || record === null) return answer
  const reply = JSON.parse(parseUtf8(answer.body))
  const isHidden = (one: { record: RecordId; leaf: { index: number } }) =>
    one.record === record && one.leaf.index >= from
  reply.entries = reply.entries.filter((one: never) => !isHidden(one))
  return { ...answer, body: utf8(JSON.stringify(reply)) }
}

const from = (work: Workspace) => work.session.pins.tree.size

describe("an entry that is withheld", () => {
  it.each([null, /^\/api\/physicians\//])(
    "is not forgotten where the roster is packed before the look is done (no answer: %s)",
    async (silent) => {
      const tag = silent === null ? "p" : "q"
      const [bea] = (await physicians(practice, `bea-${tag}`)) as [Workspace]
      await practice.register(`ada-${tag}`)
      const ada = await practice.open(`ada-${tag}`, "ada", lying)
      await meet(bea, ada)
      const { id } = await createPatient(bea, brady)
      const { id: other } = await createPatient(bea, brady)
      await give(bea, ada, id, "writer")
      await give(bea, ada, other, "reader")
      expect(await suspicions(ada)).toEqual(none)
      await ada.roster.fold(true)

      hiding = { ...openly, record: id, from: from(ada), silent }
      await changePassword(bea.session, "correct horse battery staple", "another password of bea's")
      await edit(bea, id, "What Ada has to know")
      // A packed record is left: the next pull packs the roster anew.
      await leave(ada, other)
      await ada.roster.sync(true)
      await ada.roster.fold()
      await ada.roster.looked().catch(() => {})
      await ada.session.remember().catch(() => {})

      hiding.silent = null
      const again = await practice.open(`ada-${tag}`, "ada", lying)
      await again.roster.looked()
      expect([...again.roster.refused]).toEqual([[id, rollback]])
    },
  )

  it("is said although the server does not answer what else is asked of it", async () => {
    const [bea] = (await physicians(practice, "bea-s")) as [Workspace]
    await practice.register("ada-s")
    const ada = await practice.open("ada-s", "ada", lying)
    await meet(bea, ada)
    const { id } = await createPatient(bea, brady)
    await give(bea, ada, id, "writer")
    expect(await suspicions(ada)).toEqual(none)
    const other = await practice.open("ada-s", "another device of ada's")

    hiding = { ...openly, record: id, from: from(ada), silent: /^\/api\/keyring/ }
    await other.session.updateKeyring((keyring) => keyring)
    await edit(bea, id, "What Ada has to know")
    await ada.roster.sync(true)
    await expect(ada.roster.looked()).rejects.toEqual(refused("UNAVAILABLE"))
    expect([...ada.roster.refused]).toEqual([[id, rollback]])
  })

  it("is found behind one that was shown late, before the record is shown or written", async () => {
    const [bea, cyd] = (await physicians(practice, "bea-l", "cyd-l")) as [Workspace, Workspace]
    await practice.register("ada-l")
    let inFeed = Number.POSITIVE_INFINITY
    /** The chain as it was when it ended with what is shown late. */
    let early: object | null = null
    const ada = await practice.open("ada-l", "ada", (request, send) => {
      if (request.path.startsWith("/api/changes")) return withhold(inFeed)(request, send)
      return withhold(inFeed + 1)(request, async (asked) => {
        const answer = await send(asked)
        if (early === null || !/\/entries\?from=0/.test(asked.path)) return answer
        return { ...answer, body: utf8(JSON.stringify({ ...JSON.parse(parseUtf8(answer.body)), ...early })) }
      })
    })
    await meet(bea, ada)
    await meet(bea, cyd)
    const { id } = await createPatient(bea, brady)
    await give(bea, cyd, id, "reader")
    await give(bea, ada, id, "writer")
    expect(await suspicions(ada)).toEqual(none)
    inFeed = ada.roster.rows.get(id)!.seq
    await edit(bea, id, "Shown late")
    const watching: Between = async (request, send) => {
      const answer = await send(request)
      if (!/\/entries\?from=0/.test(request.path)) return answer
      const { entries, selfGrants } = JSON.parse(parseUtf8(answer.body))
      early = { entries, selfGrants }
      return answer
    }
    await (await practice.open("ada-l", "another", watching)).records.open(id)
    expect(early).not.toBeNull()
    await unshare(bea, id, cyd.session.physician)
    await ada.roster.sync()
    await ada.roster.looked()
    expect([...ada.roster.refused]).toEqual([[id, rollback]])
    await expect(ada.records.open(id)).rejects.toEqual(rollback)
    expect([...ada.roster.refused]).toEqual([[id, rollback]])
  })
})

/** Two ids that somebody chose: the tags of entry 3 of the one and of entry 0 of the other begin alike, in 48 bits, which is a search of
 * two minutes. */
describe("ids that a colleague has chosen", () => {
  const first = "EREREV7tXu0AAAAAAHjqhA" as RecordId
  const second = "IiIiIl7tXu0AAAAAADBmRA" as RecordId
  const begins = (tag: Uint8Array) => Buffer.from(tag.subarray(0, 6)).toString("hex")

  it("hide no entry, and no removal of the one who chose them", async () => {
    expect(begins(leafTag(first, "entry", 3))).toBe(begins(leafTag(second, "entry", 0)))
    const [mal, bea] = (await physicians(practice, "mal", "bea")) as [Workspace, Workspace]
    await practice.register("ada")
    const sent: string[] = []
    const ada = await practice.open("ada", "ada", (request, send) => {
      if (request.method === "POST" && request.path.startsWith(`/api/records/${first}`)) sent.push(request.path)
      return lying(request, send)
    })
    await meet(mal, bea)
    await meet(mal, ada)
    await meet(bea, ada)
    const changes = () => changesFor(null, brady, () => crypto.randomUUID(), "2026-11-23")
    await mal.records.create({ by: "Mal", changes: changes() }, false, first)
    await give(mal, bea, first, "owner")
    await give(mal, ada, first, "writer")
    await mal.records.create({ by: "Mal", changes: changes() }, false, second)
    await give(mal, ada, second, "reader")
    expect(await suspicions(ada)).toEqual(none)

    hiding = { ...openly, record: first, from: from(ada) }
    await bea.roster.sync()
    await unshare(bea, first, mal.session.physician)
    await ada.roster.sync()
    await ada.roster.looked()
    expect([...ada.roster.refused]).toEqual([[first, rollback]])
    hiding.chain = "not theirs"
    await expect(edit(ada, first, "Not for Mal")).rejects.toBeInstanceOf(Error)
    expect(sent).toEqual([])
  })
})

describe("a keyring", () => {
  it("is the newest, however far back a server begins", async () => {
    const work = workspaceOf(await practice.register("far"))
    await work.roster.load()
    await work.roster.sync()
    const kept = new Map<number, unknown>()
    const keep = async () => {
      const answer = await work.session.around.transport.download("/api/keyring", 1 << 22)
      kept.set(work.session.keyringNumber, JSON.parse(parseUtf8(answer)))
    }
    for (let i = 0; i < 66; i++) {
      await work.session.updateKeyring((keyring) => keyring)
      await keep()
    }
    const { id } = await createPatient(work, brady)
    await work.roster.bind()
    const newest = work.session.keyringNumber

    hiding = { ...openly, record: id, from: 0 }
    const older: Between = async (request, send) => {
      const answer = await lying(request, send)
      if (request.path.startsWith("/api/keyring"))
        return { ...answer, body: utf8(JSON.stringify(kept.get(newest - 1))) }
      if (!request.path.startsWith("/api/login/finish")) return answer
      const reply = { ...JSON.parse(parseUtf8(answer.body)), keyring: kept.get(newest - 65) }
      return { ...answer, body: utf8(JSON.stringify(reply)) }
    }
    const opening = practice.open("far", "anew", older).then((fresh) => fresh.roster.looked())
    await expect(opening).rejects.toEqual(rollback)
  })
})

describe("a record that another device has bound", () => {
  it("is refused by one that is not shown it, and is not bound over", async () => {
    await practice.register("over")
    const open = await practice.open("over", "open all day", lying)
    const other = await practice.open("over", "other")
    const { id } = await createPatient(other, brady)
    await other.roster.bind()
    const { bound } = other.session.keyring

    hiding = { ...openly, record: id, from: 0 }
    await open.roster.sync(true)
    await open.roster.looked()
    await createPatient(open, brady)
    await open.roster.bind()
    expect([...open.roster.refused]).toEqual([[id, rollback]])
    expect(open.session.keyring.bound).toEqual(bound)
    await open.roster.fold(true)
    expect(open.session.keyring.bound).toEqual(bound)

    hiding = { ...openly }
    const { roster } = await practice.open("over", "honest")
    expect([roster.rows.size, roster.refused.size]).toEqual([2, 0])
    const again = await practice.open("over", "open all day")
    await again.roster.bind()
    expect(again.session.keyring.bound.count).toBe(2)
  })

  it("is held against what is packed, too, which two devices may do at once", async () => {
    await practice.register("packs")
    const [one, two] = [await practice.open("packs", "one"), await practice.open("packs", "two")]
    await createPatient(one, brady)
    await two.roster.sync()
    await createPatient(two, brady)
    await Promise.all([one.roster.fold(true), two.roster.fold(true)])
    await createPatient(one, brady)
    await one.roster.bind()
    for (const work of [one, two]) {
      expect(await suspicions(work)).toEqual(none)
      expect(work.roster.rows.size).toBe(3)
    }
    const { roster, session } = await practice.open("packs", "fresh")
    expect([roster.rows.size, roster.refused.size, session.keyring.bound.count]).toEqual([3, 0, 3])
  })
})

describe("a record that a device has seen and that another packed the roster without", () => {
  async function prepared(tag: string) {
    await practice.register(tag)
    const first = await practice.open(tag, "first")
    const { id } = await createPatient(first, brady)
    // Closed abruptly: nothing is bound.
    await first.session.pins.save()
    hiding = { ...openly, record: id, from: 0 }
    const second = await practice.open(tag, "second", lying)
    await createPatient(second, brady)
    await second.roster.fold(true)
    expect(second.roster.rows.has(id)).toBe(false)
    return { first, second, id }
  }

  it("is there again where its chain is", async () => {
    const { id } = await prepared("there")
    const { roster } = await practice.open("there", "first", lying)
    expect([roster.rows.has(id), roster.refused.size]).toEqual([true, 0])
  })

  it("is refused where it is not", async () => {
    const { id } = await prepared("gone")
    hiding.chain = "not theirs"
    const { roster } = await practice.open("gone", "first", lying)
    expect([...roster.refused]).toEqual([[id, rollback]])
    hiding.silent = /\/entries/
    await expect(practice.open("gone", "first", lying)).rejects.toEqual(refused("UNAVAILABLE"))
    hiding = { ...openly }
    expect((await practice.open("gone", "first")).roster.rows.has(id)).toBe(true)
  })

  it("is let go of where its chain says that it was left, or that its time is over", async () => {
    const [bea] = (await physicians(practice, "bea-left")) as [Workspace]
    await practice.register("ada-left")
    const first = await practice.open("ada-left", "first")
    await meet(bea, first)
    const [left, until] = [(await createPatient(bea, brady)).id, (await createPatient(bea, brady)).id]
    await give(bea, first, left, "reader")
    await share(bea, [until], "ada-left", "reader", practice.now() + 60_000, many)
    await acceptInvitations(first, [until], many)
    await first.session.pins.save()
    practice.pass(120_000)
    const second = await practice.open("ada-left", "second")
    await leave(second, left)
    await second.roster.fold(true)
    const again = await practice.open("ada-left", "first")
    expect(await suspicions(again)).toEqual(none)
    expect([again.roster.rows.size, again.session.pins.heads.size]).toEqual([0, 0])
  })
})
