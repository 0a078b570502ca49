import { join } from "node:path"
import { DatabaseSync } from "node:sqlite"
import { afterEach, beforeEach, expect, test, vi } from "vitest"
import { whatWentBack } from "../src/client/after-restore.ts"
import { createPatient } from "../src/client/edits.ts"
import { acceptInvitations, declineInvitations, listInvitations } from "../src/client/invitations.ts"
import { sendAgain } from "../src/client/send-again.ts"
import { confirmMembers, share, viewSharing } from "../src/client/sharing.ts"
import type { ClientEvent, Unsent, WentBack } from "../src/client/views.ts"
import type { Workspace } from "../src/client/workspace.ts"
import { formOf } from "../src/clinical/form.ts"
import type { RecordId } from "../src/encoding/ids.ts"
import { Desk } from "./cli.ts"
import { brady, edit, home, many, meet, none, suspicions } from "./colleagues.ts"
import { pageOf } from "./page-api.ts"
import type { Between } from "./practice.ts"
import { password, Restoring } from "./restoring.ts"

/** Bob shares a record with Ada, who accepts it on one side of a backup or on the other. The backup is put back. */
let practice: Restoring
let ada: Workspace
let bob: Workspace
let id: RecordId
let code: string
beforeEach(async () => {
  practice = await Restoring.start()
  for (const name of ["ada", "bob"]) await practice.register(name)
  ada = await practice.open("ada")
  bob = await practice.open("bob")
  await meet(ada, bob)
  id = (await createPatient(bob, brady)).id
  expect(await share(bob, [id], "ada", "writer", null, many)).toMatchObject({ done: 1 })
})
afterEach(() => practice.close())

const long = 240_000
const accept = async () => expect(await acceptInvitations(ada, [id], many)).toMatchObject({ done: 1, refused: [] })

/** @param since what happens between the backup and its return */
async function putBack(since: () => Promise<unknown>): Promise<void> {
  await practice.putAway(bob)
  await practice.backUp("night", true)
  await since()
  await practice.putAway(ada)
  code = (await practice.restore("night")).code
}

/** Ada on her device, once more. */
async function again(between?: Between): Promise<Workspace> {
  ada = await practice.openAnyway("ada", "ada", password, between)
  return ada
}

for (const packed of [false, true])
  test(`who accepted after the backup accepts again; the list is ${packed ? "packed" : "not packed"}`, {
    timeout: long,
  }, async () => {
    await putBack(async () => {
      await accept()
      if (packed) await ada.roster.fold(true)
    })
    await again()
    expect(await whatWentBack(ada)).toMatchObject({ records: [{ id, had: 2, has: 2, accept: true }] })
    expect(home(ada)).toMatchObject({ rows: [], refused: [] })
    await ada.session.confirmRestore(code)
    expect(await sendAgain(ada)).toMatchObject({ left: [] })
    expect(await suspicions(ada)).toEqual(none)
    expect(await listInvitations(ada)).toMatchObject({ invitations: [{ id, role: "writer", problem: null }] })
    await accept()
    await practice.putAway(ada)
    expect(await whatWentBack(await again())).toMatchObject({ records: [] })
    expect(home(ada)).toMatchObject({ rows: [{ id }], refused: [] })
  })

test("the page and the command ask for the code, and send what else was written", { timeout: long }, async () => {
  const own = (await createPatient(ada, brady)).id
  await putBack(async () => {
    await accept()
    await edit(ada, own, "Allergic to penicillin")
    await ada.roster.fold(true)
  })
  const api = pageOf(practice.url, practice.device("ada").storage)
  const account = await api.signIn("ada", password)
  expect(account).toMatchObject({ state: "restored", confirmed: false })
  if (account.state !== "restored") throw new Error("not asked")
  expect(account.back.records.filter(({ accept }) => accept).map((one) => one.id)).toEqual([id])
  const desk = new Desk({ server: practice.url, username: "ada", password, home: practice.home("ada") })
  const done = await desk.run(["restored", "--json"], { input: code })
  expect(done).toMatchObject({ code: 0 })
  const { records } = JSON.parse(done.stdout) as WentBack
  expect(records.map((one) => [one.id, one.own, one.accept]).sort()).toEqual(
    [
      [id, 0, true],
      [own, 1, false],
    ].sort(),
  )
  expect(done.stderr).toContain("1 anew")
  expect(done.stderr).toContain("healthcrypt shares list")
})

test("it is to be accepted again also once the page was entered, and at every later sign-in", {
  timeout: long,
}, async () => {
  await putBack(async () => {
    await accept()
    await edit(ada, id, "Written by Ada")
    await ada.roster.fold(true)
  })
  const api = pageOf(practice.url, practice.device("ada").storage)
  const said: Unsent[] = []
  await api.subscribe((event: ClientEvent) => {
    if (event.type === "unsent") said.push(event.unsent)
  })
  const left = [{ id, reason: expect.stringMatching(/accept it once more/), hasContent: true }]
  const shown = (times: number) => vi.waitFor(() => expect(said.length).toBe(times), { timeout: 20_000 })
  expect(await api.signIn("ada", password)).toMatchObject({ state: "restored" })
  expect((await api.confirmRestore(code, "")).sent).toMatchObject({ left })
  await api.enterRestored()
  await shown(1)
  await api.signOut()
  expect(await api.signIn("ada", password)).toMatchObject({ state: "signed-in" })
  await shown(2)
  expect(said).toMatchObject([{ left }, { left }])
  await api.signOut()
})

test("what was written in it waits until it is accepted again, and is sent then", { timeout: long }, async () => {
  await putBack(async () => {
    await accept()
    await edit(ada, id, "Written by Ada")
    await ada.roster.fold(true)
  })
  await again()
  expect(await whatWentBack(ada)).toMatchObject({ records: [{ id, had: 3, has: 2, own: 1, accept: true }] })
  await ada.session.confirmRestore(code)
  const reason = expect.stringMatching(/accept it once more/)
  expect(await sendAgain(ada)).toMatchObject({ anew: 0, left: [{ id, reason, hasContent: true }] })
  await accept()
  expect(await sendAgain(ada)).toMatchObject({ anew: 0, waiting: 1, left: [] })
  bob = await practice.openAnyway("bob")
  await bob.session.confirmRestore(code)
  await confirmMembers(bob, await viewSharing(bob, id), [])
  await ada.roster.syncAfresh()
  expect(await sendAgain(ada)).toMatchObject({ anew: 1, waiting: 0, left: [] })
  await bob.roster.syncAfresh()
  expect(formOf((await bob.records.open(id)).chart).diagnosis).toBe("Written by Ada")
})

for (const [what, act] of [
  [
    "whom the owner invites no more",
    async () => confirmMembers(bob, await viewSharing(bob, id), [ada.session.physician]),
  ],
  ["who declines it then", () => declineInvitations(ada, [id], many)],
] as const)
  test(`${what} is told nothing`, { timeout: long }, async () => {
    await putBack(async () => {
      await accept()
      await ada.roster.fold(true)
    })
    await again()
    await ada.session.confirmRestore(code)
    bob = await practice.openAnyway("bob")
    await bob.session.confirmRestore(code)
    await act()
    expect(await whatWentBack(await again())).toMatchObject({ records: [] })
    expect(await suspicions(ada)).toEqual(none)
  })

/** The server forgets that Ada accepted before the backup. */
async function forget(): Promise<void> {
  await practice.stop()
  const db = new DatabaseSync(join(practice.folder, "data/healthcrypt.db"))
  db.prepare("update member set accepted = null where physician = ?").run(ada.session.physician)
  db.prepare("delete from self_grant where physician = ?").run(ada.session.physician)
  db.close()
  await practice.serve()
}

type Acts = { type: string }[]
/** A server that does not list the acceptance in its feed. @param change of what it says of the record's acts */
const tells =
  (change: (acts: Acts) => Acts): Between =>
  async (request, send) => {
    const answer = await send(request)
    const mended = (change: (body: never) => object) => {
      const body = JSON.parse(new TextDecoder().decode(answer.body)) as never
      return { ...answer, body: new TextEncoder().encode(JSON.stringify(change(body))) }
    }
    if (request.path.startsWith("/api/changes")) return mended((body: object) => ({ ...body, accepted: [] }))
    if (!/\/api\/records\/[^/]+\/activity/.test(request.path)) return answer
    return mended((body: { leaves: Acts }) => ({ ...body, leaves: change(body.leaves) }))
  }

for (const [how, change, written] of [
  ["names it among the record's acts", (acts) => acts, false],
  ["keeps it back", (acts) => acts.filter(({ type }) => type !== "accept"), false],
  ["keeps it back, and newer entries are lost", (acts) => acts.filter(({ type }) => type !== "accept"), true],
  ["calls it something else", (acts) => acts.map((act) => ({ ...act, type: "read" })), false],
  ["says nothing of the record", () => [], false],
] as const satisfies [string, (acts: Acts) => Acts, boolean][])
  test(`an invitation explains nothing where the backup holds its acceptance: the server ${how}`, {
    timeout: long,
  }, async () => {
    await bob.records.act(id, "read")
    await accept()
    await bob.records.act(id, "export")
    await putBack(async () => {
      if (written) await edit(ada, id, "Written by Ada")
      await ada.roster.fold(true)
    })
    await forget()
    const refused = [[id, expect.objectContaining({ code: "TAMPERED_ROLLBACK" })]]
    const found = async () => ({ refused: [...ada.roster.refused], log: ada.session.log.refusal })
    await whatWentBack(await again(tells(change)))
    expect(await found()).toEqual({ refused, log: null })
    // One record's roll-back keeps nobody from the rest, and is not forgotten.
    await ada.session.confirmRestore(code)
    await practice.putAway(ada)
    await again(tells(change))
    expect(await found()).toEqual({ refused, log: null })
  })
