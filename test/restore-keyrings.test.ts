import { join } from "node:path"
import { DatabaseSync, type SQLInputValue, type SQLOutputValue } from "node:sqlite"
import { afterEach, beforeEach, describe, expect, test } from "vitest"
import { signIn, signInAnyway } from "../src/client/account.ts"
import { whatWentBack } from "../src/client/after-restore.ts"
import { createPatient } from "../src/client/edits.ts"
import { type Workspace, workspaceOf } from "../src/client/workspace.ts"
import type { RecordId } from "../src/encoding/ids.ts"
import { Desk } from "./cli.ts"
import { brady, refused } from "./colleagues.ts"
import { hiding } from "./hold.ts"
import { pageOf } from "./page-api.ts"
import { password, Restoring } from "./restoring.ts"

let practice: Restoring
beforeEach(async () => {
  practice = await Restoring.start()
})
afterEach(() => practice.close())
const long = 240_000

function sql(text: string, ...values: SQLInputValue[]) {
  const db = new DatabaseSync(join(practice.folder, "data/healthcrypt.db"), { timeout: 10_000 })
  try {
    return db.prepare(text).all(...values) as Record<string, SQLOutputValue>[]
  } finally {
    db.close()
  }
}
const columns = [
  "keyring_number",
  "keyring",
  "keyring_sha256",
  "keyring_statement",
  "keyring_statement_sha256",
  "keyring_signature",
]
const keyringRow = (username: string) => sql(`select ${columns.join()} from physician where username = ?`, username)[0]!
const putKeyringRow = (username: string, row: Record<string, SQLOutputValue>) => {
  sql("delete from replaced_keyring where number >= ?", row.keyring_number!)
  sql(
    `update physician set ${columns.map((one) => `${one} = ?`).join()} where username = ?`,
    ...columns.map((one) => row[one]!),
    username,
  )
}

/** A device that never was here, before a server that shows an older keyring and hides what that one does not bind. */
async function freshDevice(code: string, hidden: RecordId): Promise<Workspace> {
  const work = workspaceOf(await signInAnyway(practice.device("new machine", hiding(hidden)), "ada", password))
  await work.roster.load()
  await work.roster.sync()
  await work.roster.looked()
  await whatWentBack(work)
  await work.session.confirmRestore(code)
  await work.roster.syncAfresh()
  await work.roster.looked()
  return work
}

/** Ada has one patient, and her device was put away. @returns her keyring as it lies on the server then */
async function begin() {
  await practice.register("ada")
  const ada = await practice.open("ada")
  await createPatient(ada, brady)
  await ada.roster.bind()
  await practice.putAway(ada)
  return keyringRow("ada")
}

/** Ada's device, once the restore is confirmed on it. */
async function confirmed(code: string): Promise<Workspace> {
  const work = await practice.openAnyway("ada")
  await work.session.confirmRestore(code)
  return work
}

test("after one restore, the newest keyring that the log has cannot be kept back", {
  timeout: long,
}, async () => {
  await practice.register("ada")
  const ada = await practice.open("ada")
  await createPatient(ada, brady)
  await ada.roster.bind()
  const old = keyringRow("ada")
  const hidden = (await createPatient(ada, { ...brady, firstName: "Hidden" })).id
  await ada.roster.bind()
  await practice.putAway(ada)
  await practice.backUp("first", true)
  const { code } = await practice.restore("first")
  putKeyringRow("ada", old)
  await expect(freshDevice(code, hidden)).rejects.toMatchObject({ code: "TAMPERED_ROLLBACK" })
})

test("after two restores it cannot either", { timeout: long }, async () => {
  const old = await begin()
  await practice.backUp("first", true)
  const first = await practice.restore("first")
  const ada = await confirmed(first.code)
  const hidden = (await createPatient(ada, { ...brady, firstName: "Hidden" })).id
  await ada.roster.bind()
  await practice.putAway(ada)
  await practice.backUp("second", true)
  const second = await practice.restore("second")
  putKeyringRow("ada", old)
  await expect(freshDevice(second.code, hidden)).rejects.toMatchObject({ code: "TAMPERED_ROLLBACK" })
})

test("a device that had seen the newest keyring notices an older one after a second restore", {
  timeout: long,
}, async () => {
  const old = await begin()
  await practice.backUp("first", true)
  const first = await practice.restore("first")
  const ada = await confirmed(first.code)
  await ada.session.updateKeyring((keyring) => ({ ...keyring, settings: { ...keyring.settings, idleMinutes: 1 } }))
  await practice.putAway(ada)
  await practice.backUp("second", true)
  const second = await practice.restore("second")
  putKeyringRow("ada", old)
  const again = async () => {
    const work = await practice.openAnyway("ada")
    await whatWentBack(work)
    await work.session.confirmRestore(second.code)
    await work.roster.syncAfresh()
    await work.roster.looked()
    return work.session.keyring.settings
  }
  await expect(again()).rejects.toMatchObject({ code: "TAMPERED_ROLLBACK" })
})

test("the keyring of the second of two restores of one backup cannot be kept back from a device that begins anew", {
  timeout: long,
}, async () => {
  const old = await begin()
  await practice.backUp("night", true)
  const first = await practice.restore("night")
  let ada = await confirmed(first.code)
  await practice.putAway(ada)
  const second = await practice.restore("night")
  ada = await confirmed(second.code)
  const hidden = (await createPatient(ada, { ...brady, firstName: "Hidden" })).id
  await ada.roster.bind()
  await practice.putAway(ada)
  putKeyringRow("ada", old)
  await expect(freshDevice(second.code, hidden)).rejects.toMatchObject({ code: "TAMPERED_ROLLBACK" })
})

/** Their numbers are alike, and the server has both. */
test("a keyring of one restore does not pass for one of another restore of the same backup", {
  timeout: long,
}, async () => {
  await begin()
  await practice.backUp("night", true)
  const first = await practice.restore("night")
  await practice.putAway(await confirmed(first.code))
  const ofFirst = keyringRow("ada")
  const second = await practice.restore("night")
  const ada = await confirmed(second.code)
  await practice.putAway(ada)
  expect(keyringRow("ada").keyring_number).toBe(ofFirst.keyring_number)
  putKeyringRow("ada", ofFirst)
  for (const device of ["ada", "a new machine"])
    await expect(practice.openAnyway("ada", device)).rejects.toMatchObject({ code: expect.stringMatching(/^TAMPERED/) })
})

test("a device that took the first of two restores of one backup can take the second, when another device was first", {
  timeout: long,
}, async () => {
  await practice.register("ada")
  let one = await practice.open("ada", "one")
  await createPatient(one, brady)
  await one.roster.bind()
  await practice.putAway(one)
  await practice.putAway(await practice.open("ada", "two"))
  await practice.backUp("night", true)
  const first = await practice.restore("night")
  one = await practice.openAnyway("ada", "one")
  await one.session.confirmRestore(first.code)
  await practice.putAway(one)
  const second = await practice.restore("night")
  const two = await practice.openAnyway("ada", "two")
  await two.session.confirmRestore(second.code)
  await practice.putAway(two)
  const again = await practice.openAnyway("ada", "one")
  expect(again.session.restoration).toMatchObject({ confirmed: false })
  await expect(again.session.confirmRestore(first.code)).rejects.toMatchObject({ code: "BAD_INPUT_RESTORE_CODE" })
  await again.session.confirmRestore(second.code)
  await again.roster.sync()
  await createPatient(again, brady)
  await practice.putAway(again)
  // Both go on in the log that both have confirmed.
  for (const device of ["two", "one"]) expect((await practice.open("ada", device)).roster.rows.size).toBe(2)
})

describe("a record that is made again after a restore is bound, and named on another machine that is not shown it, by", () => {
  let words: string
  let id: RecordId
  let code: string
  beforeEach(async () => {
    words = (await practice.register("ada")).join(" ")
    await practice.backUp("before", true)
    const ada = await practice.open("ada")
    id = (await createPatient(ada, brady)).id
    await practice.putAway(ada)
    code = (await practice.restore("before")).code
  })
  const desk = (args: readonly string[], input: string) =>
    new Desk({ server: practice.url, username: "ada", password, home: practice.home("ada") }).run(args, { input })
  const page = () => pageOf(practice.url, practice.device("ada").storage)

  test.each<[string, () => Promise<void>]>([
    ["restored", async () => expect((await desk(["restored"], code)).stderr).toContain("Sent again")],
    [
      "recover --restored",
      async () => expect((await desk(["recover", "--restored"], `${code}\n${words}`)).stderr).toContain("Sent again"),
    ],
    [
      "a page that is locked afterwards",
      async () => {
        const api = page()
        await api.signIn("ada", password)
        await api.confirmRestore(code, "")
        await api.enterRestored()
        await api.lock()
      },
    ],
    [
      "a page that is left before it shows anything",
      async () => {
        const api = page()
        await api.signIn("ada", password)
        await api.confirmRestore(code, "")
        await api.signOut()
      },
    ],
  ])("%s", { timeout: long }, async (_, goOn) => {
    await goOn()
    const session = await signIn(practice.device("elsewhere", hiding(id)), "ada", password)
    const { roster } = workspaceOf(session)
    await roster.load()
    await roster.sync()
    expect([...roster.refused]).toEqual([[id, refused("TAMPERED_ROLLBACK")]])
  })
})
