import { describe, expect, it } from "vitest"
import { append } from "../src/client/append.ts"
import { createPatient } from "../src/client/edits.ts"
import { acceptInvitations } from "../src/client/invitations.ts"
import { changeMembers } from "../src/client/members.ts"
import { history, viewRecord } from "../src/client/record-views.ts"
import { gapsOf, headOf } from "../src/client/roster-row.ts"
import { leave, share, unshare, viewSharing } from "../src/client/sharing.ts"
import { viewRefused } from "../src/client/tampered.ts"
import type { Workspace } from "../src/client/workspace.ts"
import {
  anew,
  brady,
  edit,
  gapped,
  give,
  home,
  many,
  meet,
  noGrant,
  none,
  physicians,
  raiseFalsely,
  refused,
  sabotaged,
  sorted,
  suspicions,
} from "./colleagues.ts"
import { openPractice } from "./practice.ts"

const practice = await openPractice()

describe("a key that a colleague signed and that does not open", () => {
  it("stops an owner only until they have removed that colleague", async () => {
    const { ada, mal, cyd, id } = await sabotaged(practice, "a")
    for (const work of [ada, ...(await anew(practice, "ada-a", "before"))]) {
      await work.roster.sync()
      expect(home(work)).toMatchObject({ rows: [], refused: [{ id, code: "TAMPERED_GRANT" }] })
      await expect(work.records.open(id)).rejects.toEqual(refused("TAMPERED_GRANT"))
      expect(await viewRefused(work, id)).toMatchObject({ by: { label: "mal-a", mayRemove: true } })
      await expect(share(work, [id], "cyd-a", "writer", null, many)).resolves.toMatchObject({ done: 0 })
    }
    expect((await viewSharing(ada, id)).members.map(({ role }) => role).sort()).toEqual(["owner", "reader", "writer"])
    await unshare(ada, id, mal.session.physician)
    for (const work of [ada, ...(await anew(practice, "ada-a", "between"))])
      expect(home(work).rows).toMatchObject([{ lastName: "Kuhlman", diagnoses: ["Hypertension"] }])

    await edit(ada, id, "Asthma")
    await mal.roster.sync()
    expect(home(mal).rows).toEqual([])
    await cyd.roster.sync()
    const everybody = [
      ada,
      cyd,
      ...(await anew(practice, "ada-a", "after")),
      ...(await anew(practice, "cyd-a", "after")),
    ]
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
    const { ada, mal, id } = await sabotaged(practice, "b")
    const [, rebuilt] = (await anew(practice, "ada-b", "first")) as [Workspace, Workspace]
    const { complete } = ada.session.keyring.roster
    await unshare(rebuilt, id, mal.session.physician)
    await rebuilt.roster.fold(true)
    expect(rebuilt.session.keyring.roster.complete).toBeGreaterThan(complete)
    const later = await practice.open("ada-b", "later")
    await edit(later, id, "Gout")
    await unshare(later, id, (await viewSharing(later, id)).members.find(({ you }) => !you)!.colleague.physician)
    await later.roster.fold(true)
    for (const work of await anew(practice, "ada-b", "last")) {
      expect(await suspicions(work)).toEqual(none)
      expect(home(work).rows).toMatchObject([{ lastName: "Kuhlman", diagnoses: ["Gout"] }])
      const row = work.roster.rows.get(id)!
      expect([...(await headOf(row, work.session.identity)).commits.keys()]).toEqual([0, 1, 2, 3])
    }
  })

  it("is mended from what was verified, and asks the server for nothing of the record", async () => {
    const { mal, id } = await sabotaged(practice, "i")
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
    const { ada, mal, id } = await sabotaged(practice, "j")
    await leave(mal, id)
    await ada.roster.sync()
    expect(await viewRefused(ada, id)).toMatchObject({ by: { label: "mal-j", mayRemove: true } })
    await unshare(ada, id, mal.session.physician)
    await edit(ada, id, "Asthma")
    for (const work of [
      ada,
      ...(await anew(practice, "ada-j", "after")),
      ...(await anew(practice, "cyd-j", "after")),
    ]) {
      expect(await suspicions(work)).toEqual(none)
      expect(home(work).rows).toMatchObject([{ diagnoses: ["Asthma"] }])
    }
  })

  it("is not mended by the way, when somebody else is removed who had no part in it", async () => {
    const { ada, cyd, id } = await sabotaged(practice, "k")
    await expect(unshare(ada, id, cyd.session.physician)).rejects.toEqual(refused("TAMPERED_GRANT"))
    expect((await viewSharing(ada, id)).members).toHaveLength(3)
    expect(ada.roster.refused.get(id)?.by).not.toBeNull()
  })

  it("is filled by a later invitation that holds it, also where the record was open", async () => {
    const { ada, mal, dan, id } = await gapped(practice, "l")
    await unshare(ada, id, mal.session.physician)
    expect((await dan.records.open(id)).steps.filter(({ unreadable }) => unreadable)).toHaveLength(1)
    await unshare(ada, id, dan.session.physician)
    await give(ada, dan, id, "reader")
    expect((await dan.records.open(id)).steps.filter(({ unreadable }) => unreadable)).toEqual([])
    expect(gapsOf(dan.roster.rows.get(id)!)).toEqual(new Map())
    for (const work of await anew(practice, "dan-l", "after"))
      expect(gapsOf(work.roster.rows.get(id)!)).toEqual(new Map())
  })

  it.each([true, false])("is filled so on a device that went on meanwhile, its row packed: %s", async (packed) => {
    const tag = packed ? "p" : "q"
    const { ada, mal, dan, id } = await gapped(practice, tag)
    await unshare(ada, id, mal.session.physician)
    const second = await practice.open(`dan-${tag}`, "second")
    await second.roster.sync()
    if (packed) await second.roster.fold(true)
    await unshare(ada, id, dan.session.physician)
    await give(ada, dan, id, "reader")
    const third = await practice.open(`dan-${tag}`, "third")
    for (const work of [second, third, ...(await anew(practice, `dan-${tag}`, "after"))]) {
      expect(await suspicions(work)).toEqual(none)
      expect((await work.records.open(id)).steps.filter(({ unreadable }) => unreadable)).toEqual([])
    }
  })

  it("is named with who gave it, where an honest colleague wrote under the true one", async () => {
    const names = ["ada-r", "mal-r", "dan-r"]
    const [ada, mal, dan] = (await physicians(practice, ...names)) as [Workspace, Workspace, Workspace]
    await meet(ada, mal)
    await meet(ada, dan)
    const { id } = await createPatient(ada, brady)
    await give(ada, mal, id, "writer")
    await give(ada, dan, id, "writer")
    await raiseFalsely(mal, id, dan)
    await dan.roster.sync()
    await edit(dan, id, "Penicillin allergy")
    await mal.roster.sync()
    await raiseFalsely(mal, id, ada)
    await ada.roster.sync()
    const record = await ada.records.open(id)
    expect((await viewRecord(ada, record, record.head.seq)).unreadable).toEqual([
      expect.objectContaining({ author: "dan-r", keyBy: "mal-r" }),
    ])
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
    const { ada, mal, id } = await sabotaged(practice, "c")
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
    const { cyd, mal, id } = await sabotaged(practice, "d")
    await cyd.roster.sync()
    expect(await viewRefused(cyd, id)).toMatchObject({ by: { label: "mal-d", mayRemove: false } })
    await expect(unshare(cyd, id, mal.session.physician)).rejects.toEqual(refused("NOT_ALLOWED_ROLE"))
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
