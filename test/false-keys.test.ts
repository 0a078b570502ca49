import { join } from "node:path"
import { DatabaseSync } from "node:sqlite"
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import { append } from "../src/client/append.ts"
import { createPatient } from "../src/client/edits.ts"
import { acceptInvitations } from "../src/client/invitations.ts"
import { changeMembers } from "../src/client/members.ts"
import { history } from "../src/client/record-views.ts"
import { gapsOf, headOf } from "../src/client/roster-row.ts"
import { leave, share, unshare, viewSharing } from "../src/client/sharing.ts"
import { viewRefused } from "../src/client/tampered.ts"
import type { Workspace } from "../src/client/workspace.ts"
import { encodeBase64url, parseBase64url } from "../src/encoding/base64.ts"
import type { RecordId } from "../src/encoding/ids.ts"
import { parseEntry } from "../src/proof/entry.ts"
import {
  brady,
  edit,
  give,
  home,
  many,
  meet,
  noGrant,
  none,
  physicians,
  raiseFalsely,
  refused,
  sorted,
  suspicions,
} from "./colleagues.ts"
import { changeEntry } from "./hold.ts"
import { type Practice, startPractice } from "./practice.ts"

let practice: Practice
beforeAll(async () => {
  practice = await startPractice()
})
afterAll(() => practice.close())

/** An owner's record, a writer who gave everybody else a key that is none and went on writing, and a reader. */
async function sabotaged(tag: string, before: (ada: Workspace, id: RecordId) => Promise<void> = async () => {}) {
  const names = [`ada-${tag}`, `mal-${tag}`, `cyd-${tag}`]
  const [ada, mal, cyd] = (await physicians(practice, ...names)) as [Workspace, Workspace, Workspace]
  await meet(ada, mal)
  await meet(ada, cyd)
  const { id } = await createPatient(ada, brady)
  await give(ada, mal, id, "writer")
  await give(ada, cyd, id, "reader")
  await before(ada, id)
  await ada.roster.fold(true)
  await raiseFalsely(mal, id)
  await edit(mal, id, "Written under a key of their own")
  return { ada, mal, cyd, id }
}

/** What a device without any memory comes to, with its packed roster and without. */
async function anew(username: string, device: string): Promise<Workspace[]> {
  const rebuilt = practice.open(username, `${device}, rebuilt`, async (request, send) =>
    request.path.startsWith("/api/segments") ? { status: 200, body: new Uint8Array(0) } : send(request),
  )
  return [await practice.open(username, device), await rebuilt]
}

describe("a key that a colleague signed and that does not open", () => {
  it("stops an owner only until they have removed that colleague", async () => {
    const { ada, mal, cyd, id } = await sabotaged("a")
    for (const work of [ada, ...(await anew("ada-a", "before"))]) {
      await work.roster.sync()
      expect(home(work)).toMatchObject({ rows: [], refused: [{ id, code: "TAMPERED_GRANT" }] })
      await expect(work.records.open(id)).rejects.toEqual(refused("TAMPERED_GRANT"))
      expect(await viewRefused(work, id)).toMatchObject({ by: { label: "mal-a", mayRemove: true } })
      await expect(share(work, [id], "cyd-a", "writer", null, many)).resolves.toMatchObject({ done: 0 })
    }
    expect((await viewSharing(ada, id)).members.map(({ role }) => role).sort()).toEqual(["owner", "reader", "writer"])
    await unshare(ada, id, mal.session.physician)
    for (const work of [ada, ...(await anew("ada-a", "between"))])
      expect(home(work).rows).toMatchObject([{ lastName: "Kuhlman", diagnoses: ["Hypertension"] }])

    await edit(ada, id, "Asthma")
    await mal.roster.sync()
    expect(home(mal).rows).toEqual([])
    await cyd.roster.sync()
    const everybody = [ada, cyd, ...(await anew("ada-a", "after")), ...(await anew("cyd-a", "after"))]
    for (const work of everybody) {
      expect(await suspicions(work)).toEqual(none)
      expect(home(work).rows).toMatchObject([{ lastName: "Kuhlman", firstName: "Brady", diagnoses: ["Asthma"] }])
      const { steps, keys } = await work.records.open(id)
      expect(keys.map((key) => key !== undefined)).toEqual([true, false, true])
      expect(steps.filter(({ unreadable }) => unreadable).map(({ entry }) => entry.seq)).toEqual([4])
      expect((await history(work, id)).find(({ seq }) => seq === 3)).toMatchObject({
        author: "mal-a",
        sharing: expect.arrayContaining(["The key that you were given does not open"]),
      })
    }
  })

  it("leaves a gap that a packed roster keeps, and that goes on changing", async () => {
    const { ada, mal, id } = await sabotaged("b")
    const [, rebuilt] = (await anew("ada-b", "first")) as [Workspace, Workspace]
    const { complete } = ada.session.keyring.roster
    await unshare(rebuilt, id, mal.session.physician)
    await rebuilt.roster.fold(true)
    expect(rebuilt.session.keyring.roster.complete).toBeGreaterThan(complete)
    const later = await practice.open("ada-b", "later")
    await edit(later, id, "Gout")
    await unshare(later, id, (await viewSharing(later, id)).members.find(({ you }) => !you)!.colleague.physician)
    await later.roster.fold(true)
    for (const work of await anew("ada-b", "last")) {
      expect(await suspicions(work)).toEqual(none)
      expect(home(work).rows).toMatchObject([{ lastName: "Kuhlman", diagnoses: ["Gout"] }])
      const row = work.roster.rows.get(id)!
      expect([...(await headOf(row, work.session.identity)).commits.keys()]).toEqual([0, 1, 2, 3])
    }
  })

  it("lets no server leave out another record of a roster that is rebuilt meanwhile", async () => {
    let other: RecordId | null = null
    const { ada, mal, id } = await sabotaged("f", async (owner) => {
      other = (await createPatient(owner, brady)).id
    })
    const work = await practice.open("ada-f", "told less", async (request, send) => {
      if (request.path.startsWith("/api/segments")) return { status: 200, body: new Uint8Array(0) }
      const answer = await send(request)
      if (!request.path.startsWith("/api/changes")) return answer
      const reply = JSON.parse(new TextDecoder().decode(answer.body))
      reply.entries = reply.entries.filter(({ record }: { record: string }) => record !== other)
      return { ...answer, body: new TextEncoder().encode(JSON.stringify(reply)) }
    })
    expect(work.roster.refused.has(id)).toBe(true)
    await ada.roster.sync()
    await unshare(ada, id, mal.session.physician)
    expect(await work.roster.sync()).toEqual([id])
    await expect(work.roster.fold(true)).rejects.toEqual(refused("TAMPERED_ROLLBACK"))
    await expect(work.roster.sync()).rejects.toEqual(refused("TAMPERED_ROLLBACK"))
  })

  it("is mended from what was verified, and asks the server for nothing of the record", async () => {
    const { mal, id } = await sabotaged("i")
    let asked: string[] | null = null
    const ada = await practice.open("ada-i", "counted", async (request, send) => {
      if (request.method === "GET" && /records|changes/.test(request.path))
        asked?.push(request.path.replace(/\?.*/, ""))
      return send(request)
    })
    asked = []
    await unshare(ada, id, mal.session.physician)
    expect(asked).toEqual([])
    expect(ada.roster.rows.get(id)?.seq).toBe(5)
    await edit(ada, id, "Asthma")
  })

  it("is mended also when the colleague has left since", async () => {
    const { ada, mal, id } = await sabotaged("j")
    await leave(mal, id)
    await ada.roster.sync()
    expect(await viewRefused(ada, id)).toMatchObject({ by: { label: "mal-j", mayRemove: true } })
    await unshare(ada, id, mal.session.physician)
    await edit(ada, id, "Asthma")
    for (const work of [ada, ...(await anew("ada-j", "after")), ...(await anew("cyd-j", "after"))]) {
      expect(await suspicions(work)).toEqual(none)
      expect(home(work).rows).toMatchObject([{ diagnoses: ["Asthma"] }])
    }
  })

  it("does not hide that an entry is kept back, and stands again once it was shown", async () => {
    const { mal, id } = await sabotaged("n")
    let shown = Number.POSITIVE_INFINITY
    const told = await practice.open("ada-n", "told", async (request, send) => {
      const answer = await send(request)
      if (!request.path.startsWith("/api/changes")) return answer
      const reply = JSON.parse(new TextDecoder().decode(answer.body))
      reply.entries = reply.entries.filter(
        ({ statement }: { statement: string }) => parseEntry(parseBase64url(statement)).seq <= shown,
      )
      return { ...answer, body: new TextEncoder().encode(JSON.stringify(reply)) }
    })
    const first = told.roster.refused.get(id)!
    await edit(mal, id, "Seen")
    await told.roster.sync()
    expect(told.roster.refused.get(id)).toEqual(first)
    const keptBack = async () => {
      expect(await suspicions(told)).toMatchObject({ refused: [[id, { code: "TAMPERED_ROLLBACK", by: null }]] })
      await expect(unshare(told, id, mal.session.physician)).rejects.toEqual(refused("TAMPERED_ROLLBACK"))
    }
    const { seq } = told.roster.rows.get(id)!
    shown = seq
    await edit(mal, id, "Kept back")
    await keptBack()
    shown = seq + 2
    await edit(mal, id, "Shown")
    await edit(mal, id, "Kept back as well")
    await keptBack()
    shown = seq + 4
    await edit(mal, id, "Shown, with all that was kept back")
    await told.roster.sync()
    expect(told.roster.refused.get(id)).toMatchObject({ code: "TAMPERED_GRANT", by: mal.session.physician })
    await unshare(told, id, mal.session.physician)
    shown = Number.POSITIVE_INFINITY
    await edit(told, id, "Asthma")
    expect(await suspicions(told)).toEqual(none)
  })

  it("makes no patient of an invitation that was not accepted, whatever the server says", async () => {
    const { ada, mal, id } = await sabotaged("o")
    const [dan] = (await physicians(practice, "dan-o")) as [Workspace]
    await meet(ada, dan)
    await ada.roster.sync()
    await unshare(ada, id, mal.session.physician)
    const { id: other } = await createPatient(ada, brady)
    await give(ada, mal, other, "writer")
    await share(ada, [other], "dan-o", "reader", null, many)
    await raiseFalsely(mal, other)
    const database = new DatabaseSync(join(practice.folder, "data", "healthcrypt.db"))
    database.prepare("update member set accepted = 1 where record = ? and accepted is null").run(other)
    database.close()
    await dan.roster.sync()
    expect(dan.roster.refused.get(other)).toMatchObject({ code: "TAMPERED_GRANT", by: null })
    expect(dan.roster.rows.size).toBe(0)
  })

  it("is not mended by the way, when somebody else is removed who had no part in it", async () => {
    const { ada, cyd, id } = await sabotaged("k")
    await expect(unshare(ada, id, cyd.session.physician)).rejects.toEqual(refused("TAMPERED_GRANT"))
    expect((await viewSharing(ada, id)).members).toHaveLength(3)
    expect(ada.roster.refused.get(id)?.by).not.toBeNull()
  })

  it("is filled by a later invitation that holds it, also where the record was open", async () => {
    const names = ["ada-l", "mal-l", "dan-l"]
    const [ada, mal, dan] = (await physicians(practice, ...names)) as [Workspace, Workspace, Workspace]
    await meet(ada, mal)
    await meet(ada, dan)
    const { id } = await createPatient(ada, brady)
    await give(ada, mal, id, "writer")
    await give(ada, dan, id, "reader")
    await raiseFalsely(mal, id, ada)
    await ada.roster.sync()
    await edit(ada, id, "Gout")
    await unshare(ada, id, mal.session.physician)
    expect((await dan.records.open(id)).steps.filter(({ unreadable }) => unreadable)).toHaveLength(1)
    await unshare(ada, id, dan.session.physician)
    await give(ada, dan, id, "reader")
    expect((await dan.records.open(id)).steps.filter(({ unreadable }) => unreadable)).toEqual([])
    expect(gapsOf(dan.roster.rows.get(id)!)).toEqual(new Map())
    for (const work of await anew("dan-l", "after")) expect(gapsOf(work.roster.rows.get(id)!)).toEqual(new Map())
  })

  it("is no reason to accept an invitation that does not hold every key", async () => {
    const names = ["ada-m", "mal-m", "dan-m"]
    const [ada, mal, dan] = (await physicians(practice, ...names)) as [Workspace, Workspace, Workspace]
    await meet(ada, mal)
    await meet(mal, dan)
    const { id } = await createPatient(ada, brady)
    await give(ada, mal, id, "owner")
    const { head, keys } = await mal.records.open(id)
    const { physician, fingerprint } = dan.session.identity
    const members = sorted([...head.members, { physician, fingerprint, role: "reader" }])
    const grants = [{ recipient: physician, grant: noGrant() }]
    const { head: next } = await append(mal.session, id, head, keys[0]!, { kind: "members", members }, { grants })
    const summary = mal.roster.rows.get(id)!
    await changeMembers(mal.session, next, keys, next.members, summary, true)
    expect(await acceptInvitations(dan, [id], many)).toMatchObject({
      done: 0,
      refused: [{ code: "TAMPERED_GRANT", message: expect.stringContaining("An invitation's keys") }],
    })
    expect(dan.roster.rows.size).toBe(0)
  })

  it("cannot be handed on: nobody new is let into a record with a gap, and it says what to do", async () => {
    const { ada, mal, id } = await sabotaged("c")
    const [dan] = (await physicians(practice, "dan-c")) as [Workspace]
    await meet(ada, dan)
    await ada.roster.sync()
    await unshare(ada, id, mal.session.physician)
    const report = await share(ada, [id], "dan-c", "reader", null, many)
    expect(report).toMatchObject({ done: 0, refused: [{ id, code: "CANNOT_OPEN" }] })
    expect(report.refused[0]?.message).toContain("import it as a new record")
    await share(ada, [id], "cyd-c", "writer", null, many)
    expect((await viewSharing(ada, id)).members.map(({ role }) => role).sort()).toEqual(["owner", "writer"])
  })

  it("is not for a reader to mend, who is told whose it is", async () => {
    const { cyd, mal, id } = await sabotaged("d")
    await cyd.roster.sync()
    expect(await viewRefused(cyd, id)).toMatchObject({ by: { label: "mal-d", mayRemove: false } })
    await expect(unshare(cyd, id, mal.session.physician)).rejects.toEqual(refused("NOT_ALLOWED_ROLE"))
  })

  it("is no colleague's doing where the server changed it or kept it back", async () => {
    const { ada, mal, cyd, id } = await sabotaged("e")
    await ada.roster.sync()
    await unshare(ada, id, mal.session.physician)
    await cyd.roster.sync()
    expect(await suspicions(cyd)).toEqual(none)
    const random = encodeBase64url(crypto.getRandomValues(new Uint8Array(1300)))
    const lies: [string, Parameters<typeof changeEntry>[2]][] = [
      ["CANNOT_OPEN", (stored) => delete stored.grant],
      ["TAMPERED_GRANT", (stored) => Object.assign(stored, { grant: random })],
      [
        "CANNOT_OPEN",
        (stored, { selfGrants }) => {
          stored.selfGrant = random.slice(0, 200)
          selfGrants?.push({ epoch: 1, token: random.slice(0, 200) })
        },
      ],
    ]
    // A gap of one colleague's says nothing about a key that another one gave.
    await share(ada, [id], "cyd-e", "writer", null, many)
    const { head, keys } = await cyd.records.open(id)
    const { appended } = await changeMembers(cyd.session, head, keys, head.members, cyd.roster.rows.get(id)!, true)
    const withheld = changeEntry(id, appended.entry.seq, (stored) => delete stored.grant)
    const told = await practice.open("ada-e", "withheld", withheld)
    expect(told.roster.refused.get(id)).toMatchObject({ code: "CANNOT_OPEN", by: null })
    await expect(unshare(told, id, cyd.session.physician)).rejects.toEqual(refused("CANNOT_OPEN"))
    for (const [at, [code, lie]] of lies.entries())
      for (const username of ["cyd-e", "ada-e"]) {
        const told = await practice.open(username, `${username}, ${at}`, changeEntry(id, 3, lie))
        expect(told.roster.refused.get(id)).toMatchObject({ code, by: null })
        await expect(told.records.open(id)).rejects.toEqual(refused(code))
        await expect(unshare(told, id, (username === "ada-e" ? cyd : ada).session.physician)).rejects.toEqual(
          refused(code),
        )
      }
  })

  it("is no colleague's doing either where a record is opened that the server did not announce", async () => {
    let lying = false
    let told: Workspace | null = null
    const { ada, mal, id } = await sabotaged("g", async (_, record) => {
      told = await practice.open("cyd-g", "told", async (request, send) => {
        const lie = changeEntry(
          record,
          3,
          (stored) => delete stored.grant,
          () => lying,
        )
        return lie(request, send)
      })
    })
    await ada.roster.sync()
    await unshare(ada, id, mal.session.physician)
    lying = true
    await expect(told!.records.open(id)).rejects.toEqual(refused("CANNOT_OPEN"))
    lying = false
    await told!.roster.sync()
    expect((await told!.records.open(id)).keys).toHaveLength(3)
  })

  it("gives nobody a say in a record that they were put out of, and have not accepted again", async () => {
    const names = ["ada-h", "mal-h", "dan-h"]
    const [ada, mal, dan] = (await physicians(practice, ...names)) as [Workspace, Workspace, Workspace]
    await meet(ada, mal)
    await meet(ada, dan)
    const { id } = await createPatient(ada, brady)
    await give(ada, mal, id, "writer")
    await give(ada, dan, id, "owner")
    await raiseFalsely(mal, id, ada)
    await dan.roster.sync()
    expect(await viewRefused(dan, id)).toMatchObject({ by: { label: "mal-h", mayRemove: true } })
    await ada.roster.sync()
    await unshare(ada, id, dan.session.physician)
    await share(ada, [id], "dan-h", "owner", null, many)
    await expect(unshare(dan, id, mal.session.physician)).rejects.toEqual(refused("NOT_ALLOWED"))
  })

  it("holds nobody in the record", async () => {
    const [ada, mal, cyd] = (await physicians(practice, "ada9", "mal9", "cyd9")) as [Workspace, Workspace, Workspace]
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

  it("is made good by an owner who has the true one", async () => {
    const [ada, mal, cyd] = (await physicians(practice, "ada19", "mal19", "cyd19")) as [Workspace, Workspace, Workspace]
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
})
