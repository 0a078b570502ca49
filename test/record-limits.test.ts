import { describe, expect, it } from "vitest"
import { append } from "../src/client/append.ts"
import { createPatient } from "../src/client/edits.ts"
import { acceptInvitations, declineInvitations } from "../src/client/invitations.ts"
import { viewRecord } from "../src/client/record-views.ts"
import { leave, share, unshare, viewSharing } from "../src/client/sharing.ts"
import { walkRecord } from "../src/client/walk.ts"
import type { Workspace } from "../src/client/workspace.ts"
import { encodeBody } from "../src/clinical/body.ts"
import { formOf } from "../src/clinical/form.ts"
import { limits } from "../src/encoding/limits.ts"
import { AppError } from "../src/errors.ts"
import { brady, edit, give, many, meet, none, physicians, raiseFalsely, refused, suspicions } from "./colleagues.ts"
import { openPractice } from "./practice.ts"

const practice = await openPractice()

describe("a record", () => {
  it("never depends on an owner whose time will be over", async () => {
    const [ada, ben] = (await physicians(practice, "ada11", "ben11")) as [Workspace, Workspace]
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

  it("is not left to an owner who has not accepted it, and who may still decline", async () => {
    const [ada, ben] = (await physicians(practice, "ada14", "ben14")) as [Workspace, Workspace]
    await meet(ada, ben)
    const { id } = await createPatient(ada, brady)
    await share(ada, [id], "ben14", "owner", null, many)
    const refusal = {
      code: "NOT_ALLOWED_LAST_OWNER",
      message: expect.stringContaining("wait until they have accepted"),
    }
    await expect(leave(ada, id)).rejects.toMatchObject(refusal)
    await declineInvitations(ben, [id], many)
    await share(ada, [id], "ben14", "owner", null, many)
    await acceptInvitations(ben, [id], many)
    await leave(ada, id)
    await expect(leave(ben, id)).rejects.toEqual(refused("NOT_ALLOWED_LAST_OWNER"))
  })

  it("can be given to somebody new, however often a writer changes its key", { timeout: 300_000 }, async () => {
    const [ada, mal, cyd] = (await physicians(practice, "ada15", "mal15", "cyd15")) as [Workspace, Workspace, Workspace]
    await meet(ada, mal)
    await meet(ada, cyd)
    const { id } = await createPatient(ada, brady)
    await give(ada, mal, id, "writer")
    for (let n = 0; n < 200; n++) await raiseFalsely(mal, id, ada)
    await expect(raiseFalsely(mal, id, ada)).rejects.toEqual(refused("BAD_INPUT_ENTRIES"))
    await ada.roster.sync()
    await unshare(ada, id, mal.session.physician)
    await give(ada, cyd, id, "reader")
    expect((await cyd.records.open(id)).keys).toHaveLength(202)
  })

  it("names no moment that a calendar does not have", async () => {
    const [ada, ben] = (await physicians(practice, "ada12", "ben12")) as [Workspace, Workspace]
    await meet(ada, ben)
    const { id } = await createPatient(ada, brady)
    expect(await share(ada, [id], "ben12", "reader", Number.MAX_SAFE_INTEGER, many)).toMatchObject({
      refused: [{ code: "BAD_INPUT_STATEMENT" }],
    })
    const { head, keys } = await ada.records.open(id)
    const around = { ...ada.session.around, now: () => 253_370_764_800_000 }
    const late = Object.create(ada.session, { around: { value: around } }) as Workspace["session"]
    await expect(append(late, id, head, keys[0]!, { kind: "write" }, {})).rejects.toEqual(
      refused("BAD_INPUT_STATEMENT"),
    )
  })

  it("with much to say of it is packed into a segment of its own, and of all too much only the newest is said", async () => {
    const [ada] = (await physicians(practice, "ada13")) as [Workspace]
    for (let n = 0; n < 120; n++) {
      const changes: [string, string][] = Array.from({ length: 12 }, (_, i) => {
        const code = { text: `${n}, ${i}, `.padEnd(1200, "€") }
        const clinicalStatus = { coding: [{ code: "active" }] }
        return [`Condition/${i}`, JSON.stringify({ resourceType: "Condition", id: `${i}`, clinicalStatus, code })]
      })
      await ada.records.create({ by: "", changes })
    }
    for (const row of ada.roster.rows.values()) expect(row.diagnoses).toHaveLength(10)
    await ada.roster.fold(true)
    expect(ada.session.keyring.roster.segments.length).toBeGreaterThan(1)
    expect((await practice.open("ada13", "ada13's second")).roster.rows.size).toBe(120)
  })

  it("opens whatever somebody wrote in it who may, and is theirs no more once they are removed", async () => {
    const [ada, mal] = (await physicians(practice, "ada-large", "mal-large")) as [Workspace, Workspace]
    await meet(ada, mal)
    const many300 = Array.from({ length: 240_000 }, () => ({}))
    const huge = "x".repeat(6_000_000)
    for (const [key, resource] of Object.entries({
      "Condition/1": { code: { coding: many300 } },
      "Patient/1": { name: many300, contact: [{ relationship: many300 }] },
      "Condition/2": { clinicalStatus: { coding: [{ code: "active" }] }, code: { text: huge } },
      "Patient/2": { name: [{ family: huge, given: [huge] }] },
      "Device/1": { deviceName: many300 },
    })) {
      const { id } = await createPatient(ada, brady)
      await give(ada, mal, id, "writer")
      const { head, keys } = await mal.records.open(id)
      const [resourceType] = key.split("/")
      const body = encodeBody({ by: "", changes: [[key, JSON.stringify({ resourceType, ...resource })]] })
      const summary = { ...mal.roster.rows.get(id)! }
      await append(mal.session, id, head, keys[0]!, { kind: "write" }, { body, summary, compress: true })
      await ada.roster.sync()
      const record = await ada.records.open(id)
      await viewRecord(ada, record, record.head.seq)
      await edit(ada, id, "Asthma")
      await createPatient(ada, brady)
      expect((await viewSharing(ada, id)).members).toHaveLength(2)
      await unshare(ada, id, mal.session.physician)
      expect(ada.roster.refused.size).toBe(0)
    }
  })

  it("is not kept closed with a summary of any length until all changes were pulled", async () => {
    const [ada, mal] = (await physicians(practice, "ada-summary", "mal-summary")) as [Workspace, Workspace]
    await meet(ada, mal)
    const { id } = await createPatient(ada, brady)
    await give(ada, mal, id, "writer")
    const { head, keys, summary } = await mal.records.open(id)
    const diagnoses = Array.from({ length: 900 }, (_, i) => `${i}, `.padEnd(1000, "x"))
    const body = encodeBody({ by: "", changes: [] })
    await append(mal.session, id, head, keys[0]!, { kind: "write" }, { body, summary: { ...summary, diagnoses } })
    const walk = await walkRecord(ada.session, id)
    expect(walk.unopened).toBe(null)
    expect(walk.summary.diagnoses).toEqual(diagnoses.slice(0, 10))
    await ada.roster.sync()
    expect(ada.roster.rows.get(id)?.diagnoses).toEqual(diagnoses.slice(0, 10))
    // Of what is as long as honest ones are, only the newest is opened.
    expect((await walkRecord(ada.session, (await createPatient(ada, brady)).id)).unopened).not.toBe(null)
  })

  it("does not fill a reader's memory with what inflates, and stays one that can be written in", async () => {
    const [ada, mal] = (await physicians(practice, "ada19", "mal19")) as [Workspace, Workspace]
    await meet(ada, mal)
    const { id } = await createPatient(ada, brady)
    await give(ada, mal, id, "writer")
    const { head, keys } = await mal.records.open(id)
    const text = JSON.stringify({ resourceType: "Basic", id: "1", x: "x".repeat(60_000_000) })
    const body = encodeBody({ by: "", changes: [["Basic/1", text]] })
    const fits = Math.floor(limits.authorBodyBytes / body.length)
    const summary = { ...mal.roster.rows.get(id)! }
    let next = head
    for (let n = 0; n < fits + 3; n++) {
      const contents = { body, summary, compress: true }
      next = (await append(mal.session, id, next, keys[0]!, { kind: "write" }, contents)).head
    }
    await ada.roster.sync()
    const record = await ada.records.open(id)
    expect(record.steps.filter(({ unreadable }) => unreadable)).toHaveLength(3)
    // What would go beyond is not inflated again and again.
    expect(record.spent.get(mal.session.physician)).toBe(limits.authorBodyBytes)
    // Everybody else writes as before, and who has used everything up is told.
    await edit(ada, id, "Asthma")
    const basic = (length: number) => JSON.stringify({ resourceType: "Basic", id: "2", x: "x".repeat(length) })
    const write = async (work: Workspace, text: string) =>
      work.records.write(await work.records.open(id), { by: "", changes: [["Basic/2", text]] }, true)
    await write(ada, basic(30_000_000))
    expect((await ada.records.open(id)).steps.at(-1)?.unreadable).toBe(false)
    await mal.roster.sync()
    await expect(write(mal, basic(1))).rejects.toEqual(refused("BAD_INPUT_SIZE"))
    expect(formOf((await mal.records.open(id)).chart).diagnosis).toBe("Asthma")
  }, 240_000)

  it("is not refused for an answer that was lost", async () => {
    const [ada, ben] = (await physicians(practice, "ada18", "ben18")) as [Workspace, Workspace]
    await meet(ada, ben)
    const { id } = await createPatient(ada, brady)
    await give(ada, ben, id, "writer")
    await edit(ben, id, "Asthma")
    await ada.roster.sync()
    await ada.roster.fold(true)
    let lost = false
    const second = await practice.open("ada18", "ada18's second", async (request, send) => {
      if (lost && request.path.includes("/physicians/")) throw new AppError("UNAVAILABLE_SERVER")
      return send(request)
    })
    lost = true
    await expect(second.records.open(id)).rejects.toEqual(refused("UNAVAILABLE_SERVER"))
    lost = false
    expect(await suspicions(second)).toEqual(none)
    expect((await second.records.open(id)).steps).toHaveLength(3)
  })

  it("is handed out in pieces also where its grants make it large", async () => {
    const [ada, mal] = (await physicians(practice, "ada20", "mal20")) as [Workspace, Workspace]
    await meet(ada, mal)
    const { id } = await createPatient(ada, brady)
    await give(ada, mal, id, "writer")
    const bulk = () => crypto.getRandomValues(new Uint8Array(65_000))
    for (let n = 0; n < 150; n++) await raiseFalsely(mal, id, undefined, undefined, bulk)
    let largest = 0
    const measured = await practice.open("ada20", "ada20's second", async (request, send) => {
      const answer = await send(request)
      largest = Math.max(largest, answer.body.length)
      return answer
    })
    expect(measured.roster.lockedBy(id)).not.toBeNull()
    expect(largest).toBeGreaterThan(8_000_000)
    expect(largest).toBeLessThan(12_500_000)
  })
})
