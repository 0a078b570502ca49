import { afterEach, beforeEach, describe, expect, it } from "vitest"
import { createPatient } from "../src/client/edits.ts"
import { sendAgain } from "../src/client/send-again.ts"
import { confirmMembers, share, viewSharing } from "../src/client/sharing.ts"
import type { Workspace } from "../src/client/workspace.ts"
import { formOf } from "../src/clinical/form.ts"
import type { RecordId } from "../src/encoding/ids.ts"
import { brady, edit, give, many, meet } from "./colleagues.ts"
import { Restoring } from "./restoring.ts"

const long = 120_000
let practice: Restoring
let id: RecordId
beforeEach(async () => {
  practice = await Restoring.start()
})
afterEach(() => practice.close())

async function back(username: string, code: string): Promise<Workspace> {
  const work = await practice.openAnyway(username)
  await work.session.confirmRestore(code)
  await work.roster.syncAfresh()
  return work
}

/** What each entry of the record made its diagnosis. */
async function diagnosesIn(work: Workspace): Promise<string[]> {
  const opened = await work.records.open(id)
  const texts: string[] = []
  for (const { entry } of opened.steps)
    if (entry.body !== undefined) texts.push(formOf(await work.records.chartAt(opened, entry.seq)).diagnosis)
  return texts
}

/** Ada's record, which Bob writes in. */
async function shared(): Promise<{ readonly ada: Workspace; readonly bob: Workspace }> {
  for (const username of ["ada", "bob"]) await practice.register(username)
  const [ada, bob] = [await practice.open("ada"), await practice.open("bob")]
  await meet(ada, bob)
  id = (await createPatient(ada, brady)).id
  await give(ada, bob, id, "writer")
  return { ada, bob }
}

describe("an older backup is put back, and then a newer one", () => {
  it.each([
    ["that its author wrote right after looking", true],
    ["that its author wrote", false],
  ])(
    "a colleague's entry, %s, is not written over by one that knew nothing of it",
    { timeout: long },
    async (_, looked) => {
      const { ada, bob } = await shared()
      await practice.putAway(ada)
      if (looked) await bob.roster.syncAfresh()
      await practice.backUp("older", true)
      if (!looked) await practice.open("ada", "another device")
      await edit(bob, id, "Allergic to penicillin")
      await practice.putAway(bob)
      await practice.backUp("newer", true)
      const first = await practice.restore("older")
      const between = await back("ada", first.code)
      await confirmMembers(between, await viewSharing(between, id), [])
      await edit(between, id, "Penicillin 500 mg")
      await practice.putAway(between)
      const second = await practice.restore("newer")
      const after = await back("ada", second.code)
      await confirmMembers(after, await viewSharing(after, id), [])
      expect((await sendAgain(after)).left).toMatchObject([
        { id, reason: expect.stringMatching(/colleague has written/) },
      ])
      expect((await diagnosesIn(after)).at(-1)).toBe("Allergic to penicillin")
    },
  )

  it("a decision from before both says nothing of who was removed between them", { timeout: long }, async () => {
    for (const username of ["ada", "bob", "mal"]) await practice.register(username)
    const [ada, bob, mal] = [await practice.open("ada"), await practice.open("bob"), await practice.open("mal")]
    await meet(ada, bob)
    await meet(ada, mal)
    await meet(bob, mal)
    id = (await createPatient(ada, brady)).id
    await give(ada, bob, id, "owner")
    await give(ada, mal, id, "reader")
    for (const work of [ada, bob, mal]) await practice.putAway(work)
    await practice.backUp("older", true)
    await practice.open("ada", "another device")
    await ada.roster.syncAfresh()
    expect(await share(ada, [id], "mal", "writer", null, many)).toMatchObject({ done: 1 })
    await practice.putAway(ada)
    await practice.backUp("newer", true)
    const first = await practice.restore("older")
    const between = await back("ada", first.code)
    await confirmMembers(between, await viewSharing(between, id), [mal.session.physician])
    await edit(between, id, "Not for Mal")
    await practice.putAway(between)
    const second = await practice.restore("newer")
    const owner = await back("bob", second.code)
    await confirmMembers(owner, await viewSharing(owner, id), [])
    const after = await back("ada", second.code)
    expect((await viewSharing(after, id)).members.filter(({ returned }) => returned)).toHaveLength(1)
    expect(await sendAgain(after)).toMatchObject({ waiting: 1 })
    const late = await back("mal", second.code)
    expect(formOf((await late.records.open(id)).chart).diagnosis).toBe("Hypertension")
  })

  it("what the newer one holds is not sent twice, and what was written last is the newest", {
    timeout: long,
  }, async () => {
    await practice.register("ada")
    const ada = await practice.open("ada")
    id = (await createPatient(ada, brady)).id
    await practice.backUp("older", true)
    await edit(ada, id, "Asthma")
    await edit(ada, id, "Gout")
    await practice.putAway(ada)
    await practice.backUp("newer", true)
    const first = await practice.restore("older")
    const between = await back("ada", first.code)
    expect(await sendAgain(between)).toMatchObject({ unchanged: 1, anew: 1 })
    await edit(between, id, "Migraine")
    await practice.putAway(between)
    const second = await practice.restore("newer")
    const after = await back("ada", second.code)
    expect(await sendAgain(after)).toMatchObject({ anew: 1, left: [] })
    expect(await diagnosesIn(after)).toEqual(["Hypertension", "Asthma", "Gout", "Migraine"])
    expect(await sendAgain(after)).toMatchObject({ unchanged: 0, anew: 0, left: [] })
  })

  it("so too in a record that others read", { timeout: long }, async () => {
    const { ada } = await shared()
    await ada.roster.syncAfresh()
    await practice.backUp("older", true)
    await edit(ada, id, "Asthma")
    await practice.putAway(ada)
    await practice.backUp("newer", true)
    const first = await practice.restore("older")
    const between = await back("ada", first.code)
    await confirmMembers(between, await viewSharing(between, id), [])
    expect(await sendAgain(between)).toMatchObject({ anew: 1 })
    await practice.putAway(between)
    const second = await practice.restore("newer")
    const after = await back("ada", second.code)
    await confirmMembers(after, await viewSharing(after, id), [])
    expect(await sendAgain(after)).toMatchObject({ unchanged: 0, anew: 0, left: [] })
    expect(await diagnosesIn(after)).toEqual(["Hypertension", "Asthma"])
  })
})
