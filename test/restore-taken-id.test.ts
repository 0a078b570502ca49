import { expect, test } from "vitest"
import { createPatient } from "../src/client/edits.ts"
import { acceptInvitations } from "../src/client/invitations.ts"
import { lostAsText, sendAgain } from "../src/client/send-again.ts"
import { share, unshare } from "../src/client/sharing.ts"
import type { Workspace } from "../src/client/workspace.ts"
import { formOf } from "../src/clinical/form.ts"
import { AppError } from "../src/errors.ts"
import { brady, edit, give, many, meet } from "./colleagues.ts"
import { password, Restoring } from "./restoring.ts"

/** A colleague who knew the id of a record that went back takes it first. */
const long = 240_000

test.each([
  ["alone", null],
  ["and invites the physician", "invited"],
  ["and gives the record to the physician", "accepted"],
])("the record goes on under a fresh id where a reader takes its own %s", { timeout: long }, async (_, shared) => {
  const practice = await Restoring.start()
  try {
    for (const username of ["ada", "mal"]) await practice.register(username)
    const [ada, mal] = [await practice.open("ada"), await practice.open("mal")]
    await meet(ada, mal)
    for (const work of [ada, mal]) await practice.putAway(work)
    await practice.backUp("night", true)
    const { id } = await createPatient(ada, brady)
    await edit(ada, id, "Allergic to penicillin")
    await give(ada, mal, id, "reader")
    await edit(ada, id, "Allergic to penicillin, and to cefalexin")
    for (const work of [ada, mal]) await practice.putAway(work)

    const back = async (username: string, code: string): Promise<Workspace> => {
      const work = await practice.openAnyway(username)
      await work.session.confirmRestore(code)
      await work.roster.syncAfresh()
      return work
    }
    const { code } = await practice.restore("night")
    const thief = await back("mal", code)
    await thief.records.create({ by: "Mal", changes: [] }, false, id)
    const again = await back("ada", code)
    if (shared !== null) {
      await share(thief, [id], "ada", "writer", null, many)
      await again.roster.syncAfresh()
    }
    if (shared === "accepted") {
      expect(await acceptInvitations(again, [id], many)).toMatchObject({ done: 1 })
    }
    const sent = await sendAgain(again)
    expect(sent).toMatchObject({ elsewhere: [{ name: "Kuhlman, Brady" }], left: [{ hasContent: false }] })
    const moved = sent.elsewhere[0]!.id
    expect(moved).not.toBe(id)
    const newest = async (work: Workspace) => formOf((await work.records.open(moved)).chart).diagnosis
    expect(await newest(again)).toBe("Allergic to penicillin, and to cefalexin")
    expect(await lostAsText(again)).toBeNull()
    expect((await again.records.open(moved)).head.members).toHaveLength(1)
    await thief.roster.syncAfresh()
    expect((await thief.records.open(id)).steps.every(({ entry }) => entry.body === undefined || entry.seq === 0)).toBe(
      true,
    )
    // It is that record from now on, also when the backup comes once more.
    await practice.putAway(again)
    const last = await back("ada", (await practice.restore("night")).code)
    expect(await sendAgain(last)).toMatchObject({ elsewhere: [] })
    expect(await newest(last)).toBe("Allergic to penicillin, and to cefalexin")
    await practice.putAway(last)
  } finally {
    await practice.close()
  }
})

test("a record that the server keeps back is not begun anew elsewhere", { timeout: long }, async () => {
  const practice = await Restoring.start()
  try {
    await practice.register("ada")
    const ada = await practice.open("ada")
    await practice.backUp("night", true)
    const { id } = await createPatient(ada, brady)
    await practice.putAway(ada)
    const { code } = await practice.restore("night")
    const again = await practice.openAnyway("ada")
    await again.session.confirmRestore(code)
    await again.roster.syncAfresh()
    again.roster.refuse(id, new AppError("TAMPERED_ROLLBACK"), 0, new Uint8Array(0))
    const reason = new AppError("TAMPERED_ROLLBACK").message
    expect(await sendAgain(again)).toMatchObject({ elsewhere: [], anew: 0, unchanged: 0, left: [{ id, reason }] })
    expect(await lostAsText(again)).not.toBeNull()
  } finally {
    await practice.close()
  }
})

test.each([
  ["", false],
  [", and is named where the answer was lost", true],
])(
  "the record goes on under a fresh id where somebody registers its own as theirs%s",
  { timeout: long },
  async (_, lost) => {
    const practice = await Restoring.start()
    try {
      await practice.register("ada")
      const ada = await practice.open("ada")
      await practice.putAway(ada)
      await practice.backUp("night", true)
      const { id } = await createPatient(ada, brady)
      await edit(ada, id, "Allergic to penicillin")
      await practice.putAway(ada)
      const { code } = await practice.restore("night")
      // Such a server answers so whatever is sent of that record.
      const taken = new TextEncoder().encode(JSON.stringify({ code: "CONFLICT_EXISTS", message: "Taken." }))
      let isAway = false
      const again = await practice.openAnyway("ada", "ada", password, async (request, send) => {
        const isEntry = request.method === "POST" && request.path.endsWith("/entries")
        if (isEntry && request.path.includes(id)) return { status: 409, body: taken }
        if (isEntry && lost && !isAway) await send(request)
        isAway ||= isEntry && lost
        if (isAway) throw new AppError("UNAVAILABLE_SERVER")
        return send(request)
      })
      await again.session.confirmRestore(code)
      await again.roster.syncAfresh()
      if (lost) {
        await expect(sendAgain(again)).rejects.toMatchObject({ code: "UNAVAILABLE_SERVER" })
        lost = false
        isAway = false
        await again.roster.syncAfresh()
      }
      const sent = await sendAgain(again)
      expect(sent).toMatchObject({ elsewhere: [{ name: "Kuhlman, Brady" }], left: [] })
      const { chart } = await again.records.open(sent.elsewhere[0]!.id)
      expect(formOf(chart).diagnosis).toBe("Allergic to penicillin")
    } finally {
      await practice.close()
    }
  },
)

test.each([
  ["and knows the record's head", true],
  ["and was cut off before it kept that", false],
])(
  "nothing is written into the record of who took the id, by a device that did not begin it %s",
  { timeout: long },
  async (_, keeps) => {
    const practice = await Restoring.start()
    try {
      for (const username of ["ada", "mal"]) await practice.register(username)
      const [desk, mal] = [await practice.open("ada", "desk"), await practice.open("mal")]
      await meet(desk, mal)
      for (const work of [desk, mal]) await practice.putAway(work)
      await practice.putAway(await practice.open("ada", "laptop"))
      await practice.backUp("night", true)
      const { id } = await createPatient(desk, brady)
      await give(desk, mal, id, "writer")
      await unshare(desk, id, mal.session.physician)
      await practice.putAway(desk)
      const laptop = await practice.open("ada", "laptop")
      await edit(laptop, id, "Not for Mal")
      if (keeps) await practice.putAway(laptop)
      await practice.putAway(mal)
      const { code } = await practice.restore("night")
      const thief = await practice.openAnyway("mal")
      await thief.session.confirmRestore(code)
      await thief.roster.syncAfresh()
      const patient = JSON.stringify({ resourceType: "Patient", id: "1", name: [{ family: "Kuhlman" }] })
      await thief.records.create({ by: "Mal", changes: [["Patient/1", patient]] }, false, id)
      expect(await share(thief, [id], "ada", "writer", null, many)).toMatchObject({ done: 1 })
      const back = await practice.openAnyway("ada", "laptop")
      await back.session.confirmRestore(code)
      await back.roster.syncAfresh()
      expect(await acceptInvitations(back, [id], many)).toMatchObject({ done: 1 })
      expect(await sendAgain(back)).toMatchObject({
        anew: 0,
        left: [{ id, reason: expect.stringMatching(/^Somebody else has begun/), isFinal: true }],
      })
      expect(await lostAsText(back)).toContain("Not for Mal")
      await thief.roster.syncAfresh()
      expect((await thief.records.open(id)).steps.filter(({ entry }) => entry.body !== undefined)).toHaveLength(1)
    } finally {
      await practice.close()
    }
  },
)
