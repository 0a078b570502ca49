import { describe, expect, it } from "vitest"
import { signIn } from "../src/client/account.ts"
import { createPatient } from "../src/client/edits.ts"
import { acceptInvitations } from "../src/client/invitations.ts"
import { leave, share, unshare } from "../src/client/sharing.ts"
import { type Workspace, workspaceOf } from "../src/client/workspace.ts"
import { formOf } from "../src/clinical/form.ts"
import { AppError } from "../src/errors.ts"
import { brady, edit, give, home, many, meet, none, physicians, refused, suspicions } from "./colleagues.ts"
import { Hold } from "./hold.ts"
import { openPractice, password } from "./practice.ts"

const practice = await openPractice()

const minuteMs = 60_000

describe("a record that was taken away", () => {
  it("is not opened when it was given again and not accepted", async () => {
    const [ada, ben] = (await physicians(practice, "ada5", "ben5")) as [Workspace, Workspace]
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
    const [ada, ben] = (await physicians(practice, "ada6", "ben6")) as [Workspace, Workspace]
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
    const [ada, first] = (await physicians(practice, "ada7", "ben7")) as [Workspace, Workspace]
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
    const [ada, first] = (await physicians(practice, "ada8", "ben8")) as [Workspace, Workspace]
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

  it("ended by itself, and a roster that was lost is rebuilt without it", async () => {
    const [ada, ben] = (await physicians(practice, "ada10", "ben10")) as [Workspace, Workspace]
    await meet(ada, ben)
    await createPatient(ben, brady)
    const { id } = await createPatient(ada, brady)
    await share(ada, [id], "ben10", "reader", practice.now() + minuteMs, many)
    await acceptInvitations(ben, [id], many)
    await ben.roster.fold(true)
    const rebuilt = (device: string) =>
      practice.open("ben10", device, async (request, send) =>
        request.path.startsWith("/api/segments") ? { status: 200, body: new Uint8Array(0) } : send(request),
      )
    expect((await rebuilt("ben10's second")).roster.rows.size).toBe(2)
    practice.pass(minuteMs)
    expect((await rebuilt("ben10's third")).roster.rows.size).toBe(1)
    await ben.roster.sync()
    await ben.roster.fold(true)
    const later = await rebuilt("ben10's fourth")
    expect(later.roster.rows.size).toBe(1)
    expect(await suspicions(later)).toEqual(none)
  })
  it("ends by the server's clock, which enforces it, and not by a device's own", async () => {
    const [ada, ben] = (await physicians(practice, "ada15", "ben15")) as [Workspace, Workspace]
    await meet(ada, ben)
    const { id } = await createPatient(ada, brady)
    await share(ada, [id], "ben15", "reader", practice.now() + minuteMs, many)
    await acceptInvitations(ben, [id], many)
    const devices = await Promise.all(
      [-3_600_000, 3_600_000].map(async (wrong) => {
        const around = { ...practice.device(`ben15, ${wrong}`), now: () => practice.now() + wrong }
        const work = workspaceOf(await signIn(around, "ben15", password))
        await work.roster.load()
        return work
      }),
    )
    for (const work of devices) {
      expect(await suspicions(work)).toEqual(none)
      expect(home(work).rows).toHaveLength(1)
    }
    practice.pass(minuteMs)
    await edit(ada, id, "Asthma")
    for (const work of devices) {
      expect(await suspicions(work)).toEqual(none)
      expect(home(work).rows).toEqual([])
    }
  })
  it("does not end by a server's word that no clock bears out: what it then keeps back is told", async () => {
    const [ada, ben] = (await physicians(practice, "ada16", "ben16")) as [Workspace, Workspace]
    await meet(ada, ben)
    const { id } = await createPatient(ada, brady)
    await share(ada, [id], "ben16", "reader", Date.now() + 5 * 86_400_000, many)
    await acceptInvitations(ben, [id], many)
    let lying = false
    const told = await practice.open("ben16", "told", async (request, send) => {
      const answer = await send(request)
      if (!lying || !request.path.startsWith("/api/changes")) return answer
      const reply = JSON.parse(new TextDecoder().decode(answer.body))
      const lie = { ...reply, entries: [], time: reply.time + 10 * 86_400_000 }
      return { ...answer, body: new TextEncoder().encode(JSON.stringify(lie)) }
    })
    lying = true
    await edit(ada, id, "Asthma")
    expect(await suspicions(told)).toMatchObject({ refused: [[id, { code: "TAMPERED_ROLLBACK" }]] })
    expect(told.roster.rows.has(id)).toBe(true)
  })
})
