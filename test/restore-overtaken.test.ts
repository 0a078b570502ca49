import { afterEach, beforeEach, expect, test } from "vitest"
import { createPatient, savePatient } from "../src/client/edits.ts"
import { sendAgain } from "../src/client/send-again.ts"
import { confirmMembers, viewSharing } from "../src/client/sharing.ts"
import type { Workspace } from "../src/client/workspace.ts"
import { formOf } from "../src/clinical/form.ts"
import { utf8 } from "../src/encoding/bytes.ts"
import type { RecordId } from "../src/encoding/ids.ts"
import { AppError } from "../src/errors.ts"
import { brady, edit, give, meet, refused } from "./colleagues.ts"
import type { Between } from "./practice.ts"
import { password, Restoring } from "./restoring.ts"

/** An entry of which a device does not know whether it was taken, and a backup that holds something newer. */
const long = 120_000
let practice: Restoring
let id: RecordId
beforeEach(async () => {
  practice = await Restoring.start()
})
afterEach(() => practice.close())

const diagnosisOf = async (work: Workspace) => formOf((await work.records.open(id)).chart).diagnosis

/** Ada saves and hears nothing of it; Bob writes; that is backed up, and put back.
 * @param lost what does not arrive */
async function overtaken(lost: "request" | "answer"): Promise<string> {
  for (const username of ["ada", "bob"]) await practice.register(username)
  let drops: "request" | "answer" | null = null
  const lossy: Between = async (request, send) => {
    if (drops === null || request.method !== "POST" || !request.path.endsWith("/entries")) return send(request)
    if (drops === "answer") await send(request)
    // It is sent a second time.
    drops = "request"
    throw new AppError("UNAVAILABLE_SERVER")
  }
  const ada = await practice.openAnyway("ada", "ada", password, lossy)
  const bob = await practice.open("bob")
  await meet(ada, bob)
  id = (await createPatient(ada, brady)).id
  await give(ada, bob, id, "writer")
  await practice.putAway(ada)
  const { head, chart } = await ada.records.open(id)
  drops = lost
  const saving = savePatient(ada, id, head.seq, { ...formOf(chart), diagnosis: "Penicillin 500 mg" })
  await expect(saving).rejects.toEqual(refused("UNAVAILABLE_SERVER"))
  await bob.roster.syncAfresh()
  await edit(bob, id, "Allergic to penicillin")
  await practice.putAway(bob)
  await practice.backUp("night", true)
  await edit(bob, id, "Allergic to penicillin, and more")
  return (await practice.restore("night")).code
}

async function back(code: string, between?: Between): Promise<Workspace> {
  const work = await practice.openAnyway("ada", "ada", password, between)
  await work.session.confirmRestore(code)
  await work.roster.syncAfresh()
  await confirmMembers(work, await viewSharing(work, id), [])
  return work
}

test("what never arrived is not written over what the backup has in its place", { timeout: long }, async () => {
  const after = await back(await overtaken("request"))
  expect(await sendAgain(after)).toMatchObject({ anew: 0, left: [{ id, hasContent: true, isFinal: true }] })
  expect(await diagnosisOf(after)).toBe("Allergic to penicillin")
})

test.each([
  ["is busy", 503, "UNAVAILABLE_BUSY"],
  ["says no", 403, "NOT_ALLOWED"],
])(
  "where the server %s when it is asked what is there, nothing is written",
  { timeout: long },
  async (_, status, code) => {
    let answers = true
    const after = await back(await overtaken("answer"), async (request, send) => {
      const isAsked = request.method === "GET" && /\/entries\?/.test(request.path)
      return isAsked && !answers ? { status, body: utf8(JSON.stringify({ code, message: "-" })) } : send(request)
    })
    after.records.forget(id)
    answers = false
    const sent = await sendAgain(after).catch((error: unknown) => error)
    answers = true
    if (sent instanceof AppError) expect(sent.code).toBe(code)
    else expect(sent).toMatchObject({ anew: 0, left: [{ id, isFinal: false }] })
    expect(await diagnosisOf(after)).toBe("Allergic to penicillin")
    expect(await sendAgain(after)).toMatchObject({ anew: 0, left: [] })
    expect(await diagnosisOf(after)).toBe("Allergic to penicillin")
  },
)
