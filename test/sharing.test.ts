import { describe, expect, it } from "vitest"
import { createPatient } from "../src/client/edits.ts"
import { acceptInvitations, declineInvitations, listInvitations } from "../src/client/invitations.ts"
import { history, viewRecord } from "../src/client/record-views.ts"
import { leave, share, unshare, viewSharing } from "../src/client/sharing.ts"
import type { Workspace } from "../src/client/workspace.ts"
import { formOf } from "../src/clinical/form.ts"
import type { RecordId } from "../src/encoding/ids.ts"
import { brady, edit, give, home, many, meet, none, physicians, refused, suspicions } from "./colleagues.ts"
import { stopVerifying } from "./hold.ts"
import { openPractice } from "./practice.ts"

const practice = await openPractice()

const diagnosis = async (work: Workspace, id: RecordId) => formOf((await work.records.open(id)).chart).diagnosis
describe("sharing a record", () => {
  it("goes from verifying to writing together, removing, and keys that the removed one never had", async () => {
    const [ada, ben, cyd] = (await physicians(practice, "ada", "ben", "cyd")) as [Workspace, Workspace, Workspace]
    const { id } = await createPatient(ada, brady)
    await expect(share(ada, [id], "ben", "writer", null, many)).rejects.toEqual(refused("NOT_ALLOWED_UNVERIFIED"))
    await meet(ada, ben)
    await meet(ada, cyd)

    expect(await share(ada, [id], "ben", "writer", null, many)).toMatchObject({ done: 1, already: 0 })
    expect(await share(ada, [id], "ben", "writer", null, many)).toMatchObject({ done: 1, already: 1 })
    expect((await listInvitations(ben)).invitations).toMatchObject([
      { id, role: "writer", from: { username: "ada" }, problem: null },
    ])
    await ben.roster.sync()
    expect(home(ben).rows).toEqual([])
    await expect(ben.records.open(id)).rejects.toEqual(refused("NOT_ALLOWED"))
    expect(await acceptInvitations(ben, [id], many)).toMatchObject({ done: 1, refused: [] })
    expect((await listInvitations(ben)).invitations).toEqual([])
    expect(home(ben).rows).toMatchObject([{ firstName: "Brady", role: "writer", sharedWith: ["ada"] }])
    await give(ada, cyd, id, "reader")

    await edit(ben, id, "Asthma")
    expect(await diagnosis(ada, id)).toBe("Asthma")
    expect(await diagnosis(cyd, id)).toBe("Asthma")
    await expect(edit(cyd, id, "Gout")).rejects.toEqual(refused("NOT_ALLOWED_ROLE"))
    expect((await history(ada, id)).map(({ author, kind }) => `${author} ${kind}`)).toEqual([
      "ben write",
      "Ada Byron members",
      "Ada Byron members",
      "Ada Byron open",
    ])

    const keysOfBen = (await ben.records.open(id)).keys
    const { physician } = ben.session
    await unshare(ada, id, physician)
    expect((await viewSharing(ada, id)).members.map(({ colleague }) => colleague.username).sort()).toEqual([
      "ada",
      "cyd",
    ])
    await expect(ben.records.open(id)).rejects.toEqual(refused("NOT_ALLOWED"))
    await ben.roster.sync()
    await ben.roster.looked()
    expect(home(ben).rows).toEqual([])
    await edit(ada, id, "Migraine")
    expect(await diagnosis(cyd, id)).toBe("Migraine")
    const now = await ada.records.open(id)
    expect(now.keys).toHaveLength(2)
    expect(keysOfBen).toHaveLength(1)
    for (const work of [ada, ben, cyd]) await work.roster.looked()

    // Other devices see the same, from the start and from a folded roster.
    for (const [name, rows] of [
      ["ada", 1],
      ["ben", 0],
      ["cyd", 1],
    ] as const) {
      const fresh = await practice.open(name, `${name} elsewhere`)
      expect(home(fresh).rows, name).toHaveLength(rows)
      expect([...fresh.roster.refused], name).toEqual([])
      await fresh.roster.looked()
    }
    // And who was removed can be invited again.
    await give(ada, ben, id, "reader")
    expect(await diagnosis(ben, id)).toBe("Migraine")
    const again = await practice.open("ben", "ben's third")
    expect(home(again).rows).toMatchObject([{ firstName: "Brady", role: "reader" }])
    expect((await viewRecord(again, await again.records.open(id), 2)).role).toBe("reader")
  })

  it("lets everybody but the last owner leave, and seals what follows under a fresh key", async () => {
    const [dee, eve] = (await physicians(practice, "dee", "eve")) as [Workspace, Workspace]
    await meet(dee, eve)
    const { id } = await createPatient(dee, brady)
    await give(dee, eve, id, "writer")
    await expect(leave(dee, id)).rejects.toEqual(refused("NOT_ALLOWED_LAST_OWNER"))
    await expect(share(eve, [id], "dee", "reader", null, many)).resolves.toMatchObject({
      refused: [{ code: "NOT_ALLOWED_ROLE" }],
    })
    await leave(eve, id)
    expect(home(eve).rows).toEqual([])
    await eve.roster.sync()
    expect(home(eve).rows).toEqual([])
    await edit(dee, id, "Gout")
    expect((await dee.records.open(id)).head).toMatchObject({ epoch: 1, mustRaise: false })
    // Ownership is passed on, and then the first owner may go.
    await give(dee, eve, id, "owner")
    await dee.roster.sync()
    await leave(dee, id)
    await edit(eve, id, "Eczema")
    expect(await diagnosis(eve, id)).toBe("Eczema")
    expect((await viewSharing(eve, id)).members).toMatchObject([{ you: true, role: "owner" }])
    for (const name of ["dee", "eve"]) {
      const fresh = await practice.open(name, `${name} 2`)
      expect(home(fresh).rows, name).toHaveLength(name === "eve" ? 1 : 0)
      await fresh.roster.fold(true)
      expect(home(await practice.open(name, `${name} 3`)).rows, name).toHaveLength(name === "eve" ? 1 : 0)
    }
  })

  it("is understood by a device that was away while it was accepted elsewhere, taken away and given again", async () => {
    const [kay, lou] = (await physicians(practice, "kay", "lou")) as [Workspace, Workspace]
    await meet(kay, lou)
    await createPatient(lou, { ...brady, lastName: "Own" })
    await lou.roster.fold(true)
    const { id } = await createPatient(kay, brady)
    await edit(kay, id, "Asthma")
    await give(kay, lou, id, "reader")
    await lou.session.pins.save()
    const away = await practice.open("lou", "lou's second")
    expect(home(away).matching).toBe(2)
    await away.session.pins.save()
    await unshare(kay, id, lou.session.physician)
    for (const device of ["lou", "lou's second", "lou's third"]) {
      const later = await practice.open("lou", device)
      expect([home(later).matching, later.roster.refused.size], device).toEqual([1, 0])
      await later.roster.looked()
      await later.session.pins.save()
    }
    // Invited again and not accepted yet, it stays away; nothing was folded in between.
    await share(kay, [id], "lou", "writer", null, many)
    for (const device of ["lou", "lou's second", "lou's fourth"]) {
      const later = await practice.open("lou", device)
      expect([home(later).matching, later.roster.refused.size], device).toEqual([1, 0])
      await later.roster.looked()
    }
    const again = await practice.open("lou", "lou's second")
    expect(await acceptInvitations(again, [id], many)).toMatchObject({ done: 1, refused: [] })
    for (const device of ["lou", "lou's second", "lou's fifth"]) {
      const later = await practice.open("lou", device)
      expect([home(later).matching, later.roster.refused.size], device).toEqual([2, 0])
      await later.roster.looked()
      if (device === "lou's second") await later.roster.fold(true)
    }
    // A roster that was lost is rebuilt from the feed, all of it.
    const stripped = await practice.open("lou", "lou's sixth", async (request, send) =>
      request.path.startsWith("/api/segments") ? { status: 200, body: new Uint8Array(0) } : send(request),
    )
    expect([home(stripped).matching, stripped.roster.refused.size]).toEqual([2, 0])
  })

  it("ends by itself on the day that was set, on every device, and can be given more time", async () => {
    const [mia, ned] = (await physicians(practice, "mia", "ned")) as [Workspace, Workspace]
    await meet(mia, ned)
    const { id } = await createPatient(mia, brady)
    await share(mia, [id], "ned", "reader", practice.now() + 60_000, many)
    await acceptInvitations(ned, [id], many)
    expect(home(ned).matching).toBe(1)
    await ned.session.pins.save()
    practice.pass(60_000)
    await edit(mia, id, "Gout")
    expect((await mia.records.open(id)).head).toMatchObject({ epoch: 1 })
    await expect(ned.records.open(id)).rejects.toEqual(refused("NOT_ALLOWED"))
    for (const device of ["ned", "ned's second"]) {
      const later = await practice.open("ned", device)
      expect([home(later).matching, later.roster.refused.size], device).toEqual([0, 0])
      await later.roster.looked()
    }
    await give(mia, ned, id, "reader")
    for (const device of ["ned", "ned's third"]) {
      const later = await practice.open("ned", device)
      expect([home(later).matching, later.roster.refused.size], device).toEqual([1, 0])
      expect(await diagnosis(later, id)).toBe("Gout")
    }
  })

  it("shows what was written while it was being opened, and takes that for no roll-back", async () => {
    const [ada, ben] = (await physicians(practice, "ada21", "ben21")) as [Workspace, Workspace]
    await meet(ada, ben)
    const { id } = await createPatient(ada, brady)
    await give(ada, ben, id, "writer")
    const second = await practice.open("ada21", "second")
    const { reached, release } = stopVerifying(second)
    const opening = second.records.open(id)
    await reached
    await edit(ben, id, "Asthma")
    await second.roster.sync()
    release()
    expect((await opening).head.seq).toBe(2)
    expect(await suspicions(second)).toEqual(none)
  })

  it("is declined by leaving, and nothing of the patient was shown", async () => {
    const [fay, gus] = (await physicians(practice, "fay", "gus")) as [Workspace, Workspace]
    await meet(fay, gus)
    const { id } = await createPatient(fay, brady)
    await share(fay, [id], "gus", "reader", null, many)
    expect(await declineInvitations(gus, [id], many)).toMatchObject({ done: 1, refused: [] })
    expect((await listInvitations(gus)).invitations).toEqual([])
    await edit(fay, id, "Gout")
    expect((await viewSharing(fay, id)).members).toHaveLength(1)
    expect(home(await practice.open("gus")).rows).toEqual([])
  })

  it("accepts from nobody who is not verified", async () => {
    const [hal, ida] = (await physicians(practice, "hal", "ida")) as [Workspace, Workspace]
    const number = hal.session.people.view(await hal.session.people.find("ida")).safetyNumber
    await expect(hal.session.people.verify("ida", number.replace(/^./, "x"), "digits")).rejects.toEqual(
      refused("BAD_INPUT_SAFETY_NUMBER"),
    )
    const wrong = number.slice(0, -1) + ((Number(number.at(-1)) + 1) % 10)
    await expect(hal.session.people.verify("ida", wrong, "digits")).rejects.toEqual(refused("BAD_INPUT_SAFETY_NUMBER"))
    const own = hal.session.people.view(await hal.session.people.find("ida")).code
    await expect(hal.session.people.verify("ida", own, "code")).rejects.toEqual(refused("BAD_INPUT_FORMAT"))
    await expect(hal.session.people.verify("ida", number, "code")).rejects.toEqual(refused("BAD_INPUT_SAFETY_NUMBER"))
    await hal.session.people.verify("ida", number, "digits")
    const { id } = await createPatient(hal, brady)
    await share(hal, [id], "ida", "reader", null, many)
    expect((await listInvitations(ida)).invitations).toMatchObject([
      { id, problem: { code: "NOT_ALLOWED_UNVERIFIED" } },
    ])
    expect(await acceptInvitations(ida, [id], many)).toMatchObject({
      done: 0,
      refused: [{ code: "NOT_ALLOWED_UNVERIFIED" }],
    })
    expect(home(ida).rows).toEqual([])
    await ida.session.people.verify("hal", number, "digits")
    expect(await acceptInvitations(ida, [id], many)).toMatchObject({ done: 1 })
  })

  it("adds, and takes nothing from who has more already, unless it is told to", async () => {
    const [ada, ben] = (await physicians(practice, "ada30", "ben30")) as [Workspace, Workspace]
    await meet(ada, ben)
    const { id: owned } = await createPatient(ada, brady)
    const { id: read } = await createPatient(ada, brady)
    const { id: fresh } = await createPatient(ada, brady)
    await give(ada, ben, owned, "owner")
    await give(ada, ben, read, "reader")
    const all = [owned, read, fresh]
    const standing = async () =>
      Promise.all(
        all.map(async (id) => {
          const { members } = await viewSharing(ada, id)
          const { role, until } = members.find(({ you }) => !you)!
          return [role, until]
        }),
      )
    const day = practice.now() + 86_400_000
    const added = await share(ada, all, "ben30", "writer", day, many, "add")
    expect(added).toMatchObject({ done: 2, already: 1, refused: [{ id: read, code: "BAD_INPUT_FORM" }] })
    expect(await standing()).toEqual([
      ["owner", null],
      ["reader", null],
      ["writer", day],
    ])
    expect(await share(ada, [read, fresh], "ben30", "writer", null, many, "add")).toMatchObject({ done: 2, already: 0 })
    expect(await share(ada, all, "ben30", "reader", day, many, "add")).toMatchObject({ done: 3, already: 3 })
    expect(await standing()).toEqual([
      ["owner", null],
      ["writer", null],
      ["writer", null],
    ])
    expect(await share(ada, all, "ben30", "reader", null, many, "set")).toMatchObject({ done: 3, already: 0 })
    expect((await standing()).map(([role]) => role)).toEqual(["reader", "reader", "reader"])
  })

  it("adds a colleague whose time is over as anybody else", async () => {
    const [ada, ben] = (await physicians(practice, "ada31", "ben31")) as [Workspace, Workspace]
    await meet(ada, ben)
    const { id } = await createPatient(ada, brady)
    await share(ada, [id], "ben31", "writer", practice.now() + 60_000, many)
    await acceptInvitations(ben, [id], many)
    practice.pass(120_000)
    expect(await share(ada, [id], "ben31", "reader", null, many, "add")).toMatchObject({ done: 1, already: 0 })
    await ben.roster.sync()
    expect(
      (await ben.records.open(id)).head.members.find(({ physician }) => physician === ben.session.physician),
    ).toMatchObject({ role: "reader" })
  })
})
