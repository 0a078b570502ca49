import { afterAll, beforeAll, describe, expect, it } from "vitest"
import { type Act, append } from "../src/client/append.ts"
import { createPatient, savePatient } from "../src/client/edits.ts"
import { HomeList } from "../src/client/home.ts"
import { acceptInvitations, declineInvitations, listInvitations } from "../src/client/invitations.ts"
import { leave, share, unshare, viewSharing } from "../src/client/sharing.ts"
import type { HttpRequest } from "../src/client/transport.ts"
import type { Role } from "../src/client/views.ts"
import type { Workspace } from "../src/client/workspace.ts"
import { formOf } from "../src/clinical/form.ts"
import { encodeBase64url, parseBase64url } from "../src/encoding/base64.ts"
import { compare } from "../src/encoding/bytes.ts"
import { idBytes, type RecordId } from "../src/encoding/ids.ts"
import { AppError } from "../src/errors.ts"
import { type Member, parseEntry } from "../src/proof/entry.ts"
import { importRecipient, sealGrant } from "../src/vault/grants.ts"
import { commitTo, newSecretKey } from "../src/vault/keys.ts"
import { type Between, type Practice, startPractice } from "./practice.ts"

let practice: Practice
beforeAll(async () => {
  practice = await startPractice()
})
afterAll(() => practice.close())

const refused = (code: string) => expect.objectContaining({ code })
const many = { progress: () => {}, signal: { aborted: false } }
const brady = { firstName: "Brady", lastName: "Kuhlman", birthDate: "1961-07-09", diagnosis: "Hypertension" }

async function physicians(...usernames: string[]): Promise<Workspace[]> {
  for (const username of usernames) await practice.register(username)
  return Promise.all(usernames.map((username) => practice.open(username)))
}

/** Both compare their number. */
async function meet(a: Workspace, b: Workspace): Promise<void> {
  const { safetyNumber } = a.session.people.view(await a.session.people.find(b.session.username))
  await a.session.people.verify(b.session.username, safetyNumber, "digits")
  await b.session.people.verify(a.session.username, safetyNumber, "digits")
}

async function give(from: Workspace, to: Workspace, id: RecordId, role: Role): Promise<void> {
  expect(await share(from, [id], to.session.username, role, null, many)).toMatchObject({ done: 1, refused: [] })
  expect(await acceptInvitations(to, [id], many)).toMatchObject({ done: 1, refused: [] })
}

const home = (work: Workspace) =>
  new HomeList(work).page(
    { search: "", sort: "name", descending: false, archived: false, offset: 0, limit: 100 },
    true,
    "2026-11-23",
  )
const edit = async (work: Workspace, id: RecordId, text: string) => {
  const { head, chart } = await work.records.open(id)
  return savePatient(work, id, head.seq, { ...formOf(chart), diagnosis: text })
}

const sorted = (members: readonly Member[]) =>
  [...members].sort((a, b) => compare(idBytes(a.physician), idBytes(b.physician)))

/** Holds back what is asked for next: the request, or its answer. */
class Hold {
  #on: "request" | "answer" | null = null
  #release = () => {}
  #gate: Promise<void> = Promise.resolve()
  #reached = () => {}
  readonly #matches: (request: HttpRequest) => boolean

  constructor(matches: (request: HttpRequest) => boolean) {
    this.#matches = matches
  }

  readonly between: Between = async (request, send) => {
    const on = this.#matches(request) ? this.#on : null
    if (on === null) return send(request)
    this.#on = null
    if (on === "request") {
      this.#reached()
      await this.#gate
    }
    const answer = await send(request)
    if (on === "answer") {
      this.#reached()
      await this.#gate
    }
    return answer
  }

  /** @returns what settles once something is held. */
  next(on: "request" | "answer"): Promise<void> {
    this.#on = on
    this.#gate = new Promise((resolve) => {
      this.#release = resolve
    })
    return new Promise((resolve) => {
      this.#reached = resolve
    })
  }

  release(): void {
    this.#release()
  }
}

/** A server that shows no entry beyond number `last`, and proves that one to be in the log. */
function withhold(last: number): Between {
  const shown = ({ statement }: { statement: string }) => parseEntry(parseBase64url(statement)).seq <= last
  return async (request, send) => {
    const answer = await send(request)
    const [, path] = /^(\/api\/records\/[^/]+)\/entries/.exec(request.path) ?? []
    const reads = request.method === "GET" && (path !== undefined || request.path.startsWith("/api/changes"))
    if (!reads) return answer
    const reply = JSON.parse(new TextDecoder().decode(answer.body))
    reply.entries = reply.entries.filter(shown)
    if (path !== undefined) {
      const asked = { ...request, path: `${path}/activity?before=${2 ** 40}&limit=200&pinned=0` }
      const { leaves } = JSON.parse(new TextDecoder().decode((await send(asked)).body))
      const leaf = leaves.find(
        (one: { stream: string; number: number }) => one.stream === "entry" && one.number === last,
      )
      reply.inclusion = leaf.inclusion
    }
    return { ...answer, body: new TextEncoder().encode(JSON.stringify(reply)) }
  }
}

const noGrant = () => crypto.getRandomValues(new Uint8Array(1300))
const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms))

/** Everything this client holds against the server. */
async function suspicions({ roster, session }: Workspace): Promise<unknown> {
  await roster.sync()
  await roster.looked()
  return { refused: [...roster.refused], log: session.log.refusal }
}
const none = { refused: [], log: null }

/** A writer gives everybody else a fresh key that none of them can open. @param but who gets the true one. */
async function raiseFalsely(work: Workspace, id: RecordId, but?: Workspace): Promise<void> {
  const { session } = work
  const { head } = await work.records.open(id)
  const key = newSecretKey<"record">()
  const epoch = head.epoch + 1
  const act: Act = { kind: "members", epoch, members: [...head.members], keyCommit: await commitTo(key, id, epoch) }
  const others = head.members.filter(({ physician }) => physician !== session.physician)
  const grants = others.map(async ({ physician, fingerprint, role }) => {
    if (physician !== but?.session.physician) return { recipient: physician, grant: noGrant() }
    const place = {
      record: id,
      granter: session.physician,
      granterFingerprint: session.identity.fingerprint,
      recipient: physician,
      recipientFingerprint: fingerprint,
      seq: head.seq + 1,
      role,
    }
    const granted = { by: "", keys: new Map([[epoch, key]]) }
    return {
      recipient: physician,
      grant: await sealGrant(await importRecipient(but.session.identity.sealKey), place, granted),
    }
  })
  const contents = { summary: work.roster.rows.get(id)!, grants: await Promise.all(grants) }
  await append(session, id, head, key, act, contents)
}

describe("an invitation", () => {
  it("is declined even when its keys are none, and whoever sent it was never verified", async () => {
    const [mal, vic] = (await physicians("mal1", "vic1")) as [Workspace, Workspace]
    const { id } = await createPatient(mal, brady)
    const { head, keys } = await mal.records.open(id)
    const { physician, fingerprint } = await mal.session.people.find("vic1")
    const members = sorted([...head.members, { physician, fingerprint, role: "reader" }])
    const grants = [{ recipient: physician, grant: noGrant() }]
    await append(mal.session, id, head, keys[0]!, { kind: "members", members }, { grants })
    expect(await listInvitations(vic)).toHaveLength(1)
    expect(await declineInvitations(vic, [id], many)).toMatchObject({ done: 1, refused: [] })
    expect(await listInvitations(vic)).toEqual([])
  })

  it("names its sender by nothing but what the sender signed", async () => {
    const [ada, ben] = (await physicians("ada2", "ben2")) as [Workspace, Workspace]
    await meet(ada, ben)
    const { id } = await createPatient(ada, brady)
    await share(ada, [id], "ben2", "reader", null, many)
    const [granter, me] = [ada.session.identity, ben.session.identity]
    const place = {
      record: id,
      granter: granter.physician,
      granterFingerprint: granter.fingerprint,
      recipient: me.physician,
      recipientFingerprint: me.fingerprint,
      seq: 1,
      role: "reader",
    } as const
    const keys = new Map([[0, newSecretKey<"record">()]])
    const forged = await sealGrant(await importRecipient(me.sealKey), place, { by: "Somebody Else", keys })
    const lied = await practice.open("ben2", "ben2's second", async (request, send) => {
      const answer = await send(request)
      if (!request.path.startsWith("/api/invitations")) return answer
      const reply = JSON.parse(new TextDecoder().decode(answer.body))
      for (const one of reply.invitations) one.grant = encodeBase64url(forged)
      return { ...answer, body: new TextEncoder().encode(JSON.stringify(reply)) }
    })
    expect(await listInvitations(lied)).toMatchObject([{ from: { username: "ada2", name: "" } }])
    expect(await listInvitations(ben)).toMatchObject([{ from: { username: "ada2", name: "Ada Byron" } }])
  })

  it("brings every key, whatever came between it and its acceptance", async () => {
    const [ada, ben, cyd] = (await physicians("ada3", "ben3", "cyd3")) as [Workspace, Workspace, Workspace]
    await meet(ada, ben)
    await meet(ada, cyd)
    const { id } = await createPatient(ada, brady)
    await give(ada, cyd, id, "reader")
    await share(ada, [id], "ben3", "writer", null, many)
    await share(ada, [id], "ben3", "reader", Date.now() + 86_400_000, many)
    await unshare(ada, id, cyd.session.physician)
    await edit(ada, id, "Gout")
    expect(await acceptInvitations(ben, [id], many)).toMatchObject({ done: 1, refused: [] })
    for (const work of [ben, await practice.open("ben3", "ben3's second")]) {
      expect((await work.records.open(id)).keys).toHaveLength(2)
      expect((await viewSharing(work, id)).role).toBe("reader")
      expect(await suspicions(work)).toEqual(none)
    }
  })

  it("is accepted although the client was just asking for changes", async () => {
    const [ada] = (await physicians("ada4", "ben4")) as [Workspace, Workspace]
    const asking = new Hold(({ path }) => path.startsWith("/api/changes"))
    const accepting = new Hold(({ path }) => path.startsWith("/api/self-grants"))
    const ben = await practice.open("ben4", "ben4's second", (request, send) =>
      asking.between(request, (asked) => accepting.between(asked, send)),
    )
    await meet(ada, ben)
    const { id } = await createPatient(ada, brady)
    await share(ada, [id], "ben4", "reader", null, many)
    const sent = accepting.next("request")
    const report = acceptInvitations(ben, [id], many)
    await sent
    const asked = asking.next("answer")
    const polled = ben.roster.sync(true)
    await asked
    accepting.release()
    await pause(300)
    asking.release()
    await polled
    expect(await report).toMatchObject({ done: 1, refused: [] })
  })
})

describe("a record whose newest entries are withheld from who accepts it", () => {
  it("is refused as soon as one more is written", async () => {
    const [ada] = (await physicians("ada18", "ben18")) as [Workspace, Workspace]
    const ben = await practice.open("ben18", "ben18's second", withhold(1))
    await meet(ada, ben)
    const { id } = await createPatient(ada, brady)
    await share(ada, [id], "ben18", "reader", null, many)
    await edit(ada, id, "Asthma")
    await edit(ada, id, "Gout")
    await ben.roster.sync()
    expect(await acceptInvitations(ben, [id], many)).toMatchObject({ done: 1 })
    expect(ben.roster.rows.get(id)?.seq).toBe(1)
    await edit(ada, id, "Migraine")
    expect(await suspicions(ben)).toMatchObject({ refused: [[id, { code: "TAMPERED_ROLLBACK" }]] })
  })
})

describe("a record that was taken away", () => {
  it("is not opened when it was given again and not accepted", async () => {
    const [ada, ben] = (await physicians("ada5", "ben5")) as [Workspace, Workspace]
    await meet(ada, ben)
    const { id } = await createPatient(ada, brady)
    await give(ada, ben, id, "reader")
    await ben.records.open(id)
    const other = await practice.open("ben5", "ben5's second")
    await leave(other, id)
    await ada.roster.sync()
    await share(ada, [id], "ben5", "reader", null, many)
    await edit(ada, id, "Asthma")
    await expect(ben.records.open(id)).rejects.toEqual(refused("NOT_ALLOWED"))
    expect(home(ben).rows).toEqual([])
    await edit(ada, id, "Gout")
    expect(await suspicions(ben)).toEqual(none)
    // Accepted on one device, it opens on the other, which has not heard of that.
    expect(await acceptInvitations(other, [id], many)).toMatchObject({ done: 1 })
    await edit(ada, id, "Migraine")
    await ben.roster.sync()
    expect(formOf((await ben.records.open(id)).chart).diagnosis).toBe("Migraine")
    expect(await suspicions(ben)).toEqual(none)
  })

  it("opens on a device that missed how it was left, given again and accepted elsewhere", async () => {
    const [ada, ben] = (await physicians("ada6", "ben6")) as [Workspace, Workspace]
    await meet(ada, ben)
    const { id } = await createPatient(ada, brady)
    await give(ada, ben, id, "reader")
    const other = await practice.open("ben6", "ben6's second")
    await leave(other, id)
    await ada.roster.sync()
    await give(ada, other, id, "writer")
    expect((await ben.records.open(id)).head.seq).toBe(3)
    expect(await suspicions(ben)).toEqual(none)
  })

  it("does not come back with an answer from before", async () => {
    const [ada, first] = (await physicians("ada7", "ben7")) as [Workspace, Workspace]
    await meet(ada, first)
    const { id } = await createPatient(ada, brady)
    await give(ada, first, id, "reader")
    const proofs = new Hold(({ path }) => path.includes("prefixes"))
    const ben = await practice.open("ben7", "ben7's second", proofs.between)
    await edit(ada, id, "Asthma")
    const reached = proofs.next("request")
    const opening = ben.records.open(id).catch((error: unknown) => error)
    await reached
    await unshare(ada, id, ben.session.physician)
    await ben.roster.sync()
    proofs.release()
    expect(await opening).toEqual(refused("NOT_ALLOWED"))
    expect(home(ben).rows).toEqual([])
    expect(ben.session.pins.heads.has(id)).toBe(false)
  })

  it("is left for good although the answer was lost and the others went on", async () => {
    const [ada, first] = (await physicians("ada8", "ben8")) as [Workspace, Workspace]
    await meet(ada, first)
    const { id } = await createPatient(ada, brady)
    await give(ada, first, id, "writer")
    let lose = false
    const ben = await practice.open("ben8", "ben8's second", async (request, send) => {
      const answer = await send(request)
      if (!lose || request.method !== "POST" || !request.path.includes("entries")) return answer
      lose = false
      await edit(ada, id, "Asthma")
      throw new AppError("UNAVAILABLE_SERVER")
    })
    lose = true
    await leave(ben, id)
    expect(home(ben).rows).toEqual([])
    expect(await suspicions(ben)).toEqual(none)
  })

  it("is left by whoever was given keys that are none, and says why it is refused until then", async () => {
    const [ada, mal, cyd] = (await physicians("ada9", "mal9", "cyd9")) as [Workspace, Workspace, Workspace]
    await meet(ada, mal)
    await meet(ada, cyd)
    const { id } = await createPatient(ada, brady)
    await give(ada, mal, id, "writer")
    await give(ada, cyd, id, "reader")
    await raiseFalsely(mal, id)
    await cyd.roster.sync()
    await cyd.roster.looked()
    expect(cyd.roster.refused.get(id)).toMatchObject({ code: "TAMPERED_GRANT" })
    await leave(cyd, id)
    expect(await suspicions(cyd)).toEqual(none)
    expect(await suspicions(await practice.open("cyd9", "cyd9's second"))).toEqual(none)
  })

  it("is given again to whoever got false keys, by an owner who has the true ones", async () => {
    const [ada, mal, cyd] = (await physicians("ada19", "mal19", "cyd19")) as [Workspace, Workspace, Workspace]
    await meet(ada, mal)
    await meet(ada, cyd)
    const { id } = await createPatient(ada, brady)
    await give(ada, mal, id, "writer")
    await give(ada, cyd, id, "reader")
    await raiseFalsely(mal, id, ada)
    await ada.roster.sync()
    await unshare(ada, id, cyd.session.physician)
    await give(ada, cyd, id, "reader")
    expect((await cyd.records.open(id)).keys).toHaveLength(3)
    for (const work of [cyd, await practice.open("cyd19", "cyd19's second")]) {
      expect(home(work).rows).toHaveLength(1)
      expect(await suspicions(work)).toEqual(none)
    }
  })

  it("ended by itself, and a roster that was lost is rebuilt without it", async () => {
    const [ada, ben] = (await physicians("ada10", "ben10")) as [Workspace, Workspace]
    await meet(ada, ben)
    await createPatient(ben, brady)
    const { id } = await createPatient(ada, brady)
    const soon = Date.now() + 6_000
    await share(ada, [id], "ben10", "reader", soon, many)
    await acceptInvitations(ben, [id], many)
    await ben.roster.fold(true)
    const rebuilt = (device: string) =>
      practice.open("ben10", device, async (request, send) =>
        request.path.startsWith("/api/segments") ? { status: 200, body: new Uint8Array(0) } : send(request),
      )
    expect((await rebuilt("ben10's second")).roster.rows.size).toBe(2)
    await pause(soon - Date.now() + 200)
    expect((await rebuilt("ben10's third")).roster.rows.size).toBe(1)
    await ben.roster.sync()
    await ben.roster.fold(true)
    const later = await rebuilt("ben10's fourth")
    expect(later.roster.rows.size).toBe(1)
    expect(await suspicions(later)).toEqual(none)
  })
})

describe("a record", () => {
  it("never depends on an owner whose time will be over", async () => {
    const [ada, ben] = (await physicians("ada11", "ben11")) as [Workspace, Workspace]
    await meet(ada, ben)
    const { id } = await createPatient(ada, brady)
    await share(ada, [id], "ben11", "owner", Date.now() + 60_000, many)
    await acceptInvitations(ben, [id], many)
    expect((await viewSharing(ada, id)).mayLeave).toBe(false)
    expect((await viewSharing(ben, id)).mayLeave).toBe(true)
    await expect(leave(ada, id)).rejects.toEqual(refused("NOT_ALLOWED_LAST_OWNER"))
    await expect(unshare(ben, id, ada.session.physician)).rejects.toEqual(refused("NOT_ALLOWED_LAST_OWNER"))
    await share(ada, [id], "ben11", "owner", null, many)
    expect((await viewSharing(ada, id)).mayLeave).toBe(true)
    await leave(ada, id)
  })

  it("names no moment that a calendar does not have", async () => {
    const [ada, ben] = (await physicians("ada12", "ben12")) as [Workspace, Workspace]
    await meet(ada, ben)
    const { id } = await createPatient(ada, brady)
    expect(await share(ada, [id], "ben12", "reader", Number.MAX_SAFE_INTEGER, many)).toMatchObject({
      refused: [{ code: "BAD_INPUT_STATEMENT" }],
    })
    const { head, keys } = await ada.records.open(id)
    const around = { ...ada.session.around, now: () => 8_640_000_000_000_001 }
    const late = Object.create(ada.session, { around: { value: around } }) as Workspace["session"]
    await expect(append(late, id, head, keys[0]!, { kind: "write" }, {})).rejects.toEqual(
      refused("BAD_INPUT_STATEMENT"),
    )
  })

  it("with much to say of it is packed into a segment of its own", async () => {
    const [ada] = (await physicians("ada13")) as [Workspace]
    for (let n = 0; n < 7; n++) {
      const text = JSON.stringify({ resourceType: "Patient", id: "1", name: [{ family: "x".repeat(700_000) }] })
      await ada.records.create({ by: "", changes: [["Patient/1", text]] })
    }
    await ada.roster.fold(true)
    expect(ada.session.keyring.roster.segments.length).toBeGreaterThan(1)
    expect((await practice.open("ada13", "ada13's second")).roster.rows.size).toBe(7)
  })
})

describe("a keyring", () => {
  it("takes in what two devices verified at once", async () => {
    const [ada] = (await physicians("ada14", "ben14", "cyd14")) as [Workspace]
    const second = await practice.open("ada14", "ada14's second")
    const numberOf = async (username: string) =>
      ada.session.people.view(await ada.session.people.find(username)).safetyNumber
    const [ben, cyd] = [await numberOf("ben14"), await numberOf("cyd14")]
    await Promise.all([
      ada.session.people.verify("ben14", ben, "digits"),
      second.session.people.verify("cyd14", cyd, "digits"),
    ])
    for (const work of [ada, second]) {
      await work.session.pullKeyring()
      expect(work.session.keyring.colleagues.map(({ username }) => username).sort()).toEqual(["ben14", "cyd14"])
      expect(await suspicions(work)).toEqual(none)
    }
  })

  it("that is saved while it is asked for is not one that was rolled back", async () => {
    await physicians("ada15")
    const asking = new Hold(({ method, path }) => method === "GET" && path === "/api/keyring")
    const ada = await practice.open("ada15", "ada15's second", asking.between)
    const reached = asking.next("answer")
    const pulled = ada.session.pullKeyring()
    await reached
    await ada.session.updateKeyring((keyring) => keyring)
    asking.release()
    expect(await pulled).toBe(1)
    expect(ada.session.keyringNumber).toBe(1)
    expect(await suspicions(ada)).toEqual(none)
  })

  it("is never sealed with more in it than opens again", async () => {
    const [ada, ben] = (await physicians("ada16", "ben16")) as [Workspace, Workspace]
    await meet(ada, ben)
    const [pin] = ada.session.keyring.colleagues
    const crowd = Array.from({ length: 1001 }, () => pin!)
    await expect(ada.session.updateKeyring((keyring) => ({ ...keyring, colleagues: crowd }))).rejects.toEqual(
      refused("BAD_INPUT_SIZE"),
    )
    expect((await practice.open("ada16", "ada16's second")).session.keyring.colleagues).toHaveLength(1)
  })

  it("lets nobody else come under the name of a colleague who was verified", async () => {
    const [ada, ben, cyd] = (await physicians("ada17", "ben17", "cyd17")) as [Workspace, Workspace, Workspace]
    await meet(ada, ben)
    // As if the server had first told that Ben is called what Cyd is called.
    await ada.session.updateKeyring((keyring) => ({
      ...keyring,
      colleagues: keyring.colleagues.map((one) => ({ ...one, username: "cyd17" })),
    }))
    await expect(ada.session.people.refresh(cyd.session.physician)).rejects.toEqual(refused("TAMPERED_IDENTITY"))
  })
})
