import { describe, expect, it } from "vitest"
import { append } from "../src/client/append.ts"
import { createPatient } from "../src/client/edits.ts"
import { acceptInvitations, declineInvitations, listInvitations } from "../src/client/invitations.ts"
import { share, unshare, viewSharing } from "../src/client/sharing.ts"
import type { Workspace } from "../src/client/workspace.ts"
import { encodeBase64url } from "../src/encoding/base64.ts"
import { importRecipient, sealGrant } from "../src/vault/grants.ts"
import { newSecretKey } from "../src/vault/keys.ts"
import { brady, edit, give, many, meet, noGrant, none, physicians, sorted, suspicions } from "./colleagues.ts"
import { Hold, reachSyncAfresh, withhold } from "./hold.ts"
import { openPractice } from "./practice.ts"

const practice = await openPractice()

describe("an invitation", () => {
  it("is declined even when its keys are none, and whoever sent it was never verified", async () => {
    const [mal, vic] = (await physicians(practice, "mal1", "vic1")) as [Workspace, Workspace]
    const { id } = await createPatient(mal, brady)
    const { head, keys } = await mal.records.open(id)
    const { physician, fingerprint } = await mal.session.people.find("vic1")
    const members = sorted([...head.members, { physician, fingerprint, role: "reader" }])
    const grants = [{ recipient: physician, grant: noGrant() }]
    await append(mal.session, id, head, keys[0]!, { kind: "members", members }, { grants })
    expect((await listInvitations(vic)).invitations).toHaveLength(1)
    expect(await declineInvitations(vic, [id], many)).toMatchObject({ done: 1, refused: [] })
    expect((await listInvitations(vic)).invitations).toEqual([])
  })

  it("names its sender by nothing but what the sender signed", async () => {
    const [ada, ben] = (await physicians(practice, "ada2", "ben2")) as [Workspace, Workspace]
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
    expect((await listInvitations(lied)).invitations).toMatchObject([{ from: { username: "ada2", name: "" } }])
    expect((await listInvitations(ben)).invitations).toMatchObject([{ from: { username: "ada2", name: "Ada Byron" } }])
  })

  it("is asked for by naming whom the physician has verified, as the threat model says, and nobody else", async () => {
    const [ada, ben, cyd] = (await physicians(practice, "ada12", "ben12", "cyd12")) as [Workspace, Workspace, Workspace]
    await meet(ada, ben)
    const asked: string[] = []
    const again = await practice.open("ada12", "ada12's second", (request, send) => {
      if (request.path.startsWith("/api/invitations")) asked.push(request.path)
      return send(request)
    })
    // Looked up, and not verified.
    await again.session.people.find("cyd12")
    await listInvitations(again)
    expect(asked.map((path) => path.includes(ben.session.physician))).toEqual([true, true])
    expect(asked.join()).not.toContain(cyd.session.physician)
  })

  it("says what it would give now, also where an owner has changed it since", async () => {
    const [ada, ben] = (await physicians(practice, "ada9", "ben9")) as [Workspace, Workspace]
    await meet(ada, ben)
    const { id } = await createPatient(ada, brady)
    const day = Date.now() + 86_400_000
    await share(ada, [id], "ben9", "reader", null, many)
    expect((await listInvitations(ben)).invitations).toMatchObject([{ role: "reader", until: null }])
    await share(ada, [id], "ben9", "writer", day, many)
    expect((await listInvitations(ben)).invitations).toMatchObject([{ role: "writer", until: day, problem: null }])
    await acceptInvitations(ben, [id], many)
    await edit(ben, id, "Asthma")
  })

  it("brings every key, whatever came between it and its acceptance", async () => {
    const [ada, ben, cyd] = (await physicians(practice, "ada3", "ben3", "cyd3")) as [Workspace, Workspace, Workspace]
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
    const [ada] = (await physicians(practice, "ada4", "ben4")) as [Workspace, Workspace]
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
    const askingAgain = reachSyncAfresh(ben)
    accepting.release()
    await askingAgain
    asking.release()
    await polled
    expect(await report).toMatchObject({ done: 1, refused: [] })
  })
})

describe("a record whose newest entries are withheld from who accepts it", () => {
  it("is refused as soon as one more is written", async () => {
    const [ada] = (await physicians(practice, "ada18", "ben18")) as [Workspace, Workspace]
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

it("lists what colleagues sent among any number that strangers sent", async () => {
  const [mal, vic, ada] = (await physicians(practice, "mal20", "vic20", "ada20")) as [Workspace, Workspace, Workspace]
  await meet(ada, vic)
  const { id } = await createPatient(ada, brady)
  await share(ada, [id], "vic20", "reader", null, many)
  const { physician, fingerprint } = await mal.session.people.find("vic20")
  const theirs = []
  for (let i = 0; i < 103; i++) {
    const { id: another } = await createPatient(mal, brady)
    const { head, keys } = await mal.records.open(another)
    const members = sorted([...head.members, { physician, fingerprint, role: "reader" }])
    const grants = [{ recipient: physician, grant: noGrant() }]
    await append(mal.session, another, head, keys[0]!, { kind: "members", members }, { grants })
    theirs.unshift(another)
  }
  const { invitations, unlisted } = await listInvitations(vic)
  expect([invitations.length, unlisted]).toEqual([101, 3])
  expect(invitations.filter(({ problem }) => problem === null).map((one) => one.id)).toEqual([id])
  expect(invitations.slice(1).map((one) => one.id)).toEqual(theirs.slice(0, 100))
})
