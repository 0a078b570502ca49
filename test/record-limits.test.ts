import { afterAll, beforeAll, describe, expect, it } from "vitest"
import { append } from "../src/client/append.ts"
import { createPatient } from "../src/client/edits.ts"
import { acceptInvitations, declineInvitations } from "../src/client/invitations.ts"
import { leave, share, unshare, viewSharing } from "../src/client/sharing.ts"
import type { Workspace } from "../src/client/workspace.ts"
import { brady, many, meet, physicians, refused } from "./colleagues.ts"
import { type Practice, startPractice } from "./practice.ts"

let practice: Practice
beforeAll(async () => {
  practice = await startPractice()
})
afterAll(() => practice.close())

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

  it("names no moment that a calendar does not have", async () => {
    const [ada, ben] = (await physicians(practice, "ada12", "ben12")) as [Workspace, Workspace]
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
    const [ada] = (await physicians(practice, "ada13")) as [Workspace]
    for (let n = 0; n < 7; n++) {
      const text = JSON.stringify({ resourceType: "Patient", id: "1", name: [{ family: "x".repeat(700_000) }] })
      await ada.records.create({ by: "", changes: [["Patient/1", text]] })
    }
    await ada.roster.fold(true)
    expect(ada.session.keyring.roster.segments.length).toBeGreaterThan(1)
    expect((await practice.open("ada13", "ada13's second")).roster.rows.size).toBe(7)
  })
})
