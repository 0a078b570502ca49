import { join } from "node:path"
import { DatabaseSync } from "node:sqlite"
import { afterEach, beforeEach, expect, test } from "vitest"
import { reopen, reopenAnyway, signIn } from "../src/client/account.ts"
import { createPatient } from "../src/client/edits.ts"
import { formOf } from "../src/clinical/form.ts"
import type { RecordId } from "../src/encoding/ids.ts"
import { keyringStep } from "../src/proof/succession.ts"
import { runCli } from "./cli.ts"
import { brady, edit, refused } from "./colleagues.ts"
import { pageOf } from "./page-api.ts"
import { password, Restoring } from "./restoring.ts"

/** The way in with an earlier keyring, where a restore waits to be confirmed: it is no way past the code, and the code gets in by it. */
let practice: Restoring
let id: RecordId
let code: string
beforeEach(async () => {
  practice = await Restoring.start()
  await practice.register("ada")
  const ada = await practice.open("ada")
  id = (await createPatient(ada, brady)).id
  await ada.session.updateKeyring((keyring) => keyring)
  await practice.backUp("last-night", true)
  await edit(ada, id, "Gout")
  await ada.roster.bind()
  await practice.putAway(ada)
  code = (await practice.restore("last-night")).code
})
afterEach(() => practice.close())

const long = 120_000
const tampered = refused(expect.stringMatching(/^TAMPERED/))

function damageKeyring(): void {
  const database = new DatabaseSync(join(practice.folder, "data/healthcrypt.db"), { timeout: 10_000 })
  database.exec("update physician set keyring = zeroblob(length(keyring))")
  database.close()
}

test("no session comes of it without the code, whether the newest keyring opens or not", {
  timeout: long,
}, async () => {
  await expect(reopen(practice.device("ada"), "ada", password)).rejects.toEqual(tampered)
  damageKeyring()
  await expect(signIn(practice.device("ada"), "ada", password)).rejects.toEqual(refused("CANNOT_OPEN"))
  await expect(reopen(practice.device("ada"), "ada", password)).rejects.toEqual(tampered)
  const env = { HEALTHCRYPT_SERVER: practice.url, HEALTHCRYPT_HOME: practice.home("ada") }
  const stopped = await runCli(["reopen"], {
    env: { ...env, HEALTHCRYPT_USERNAME: "ada", HEALTHCRYPT_PASSWORD: password },
  })
  expect(stopped).toMatchObject({ code: 3, stdout: "" })
  expect(stopped.stderr).toContain("healthcrypt restored")
})

test("with the code the earlier keyring counts, and so does the restore", { timeout: long }, async () => {
  damageKeyring()
  const { session } = await reopenAnyway(practice.device("ada"), "ada", password)
  await expect(session.updateKeyring((keyring) => keyring)).rejects.toEqual(refused("NOT_ALLOWED_RESTORED"))
  await session.confirmRestore(code)
  expect(session.keyringNumber).toBe(keyringStep)
  await session.end()
  const work = await practice.open("ada")
  expect(work.session.firstName).toBe("ada")
  expect(formOf((await work.records.open(id)).chart).diagnosis).toBe("Hypertension")
})

test("the command takes the code, and sends again what the device holds", { timeout: long }, async () => {
  damageKeyring()
  const env = { HEALTHCRYPT_SERVER: practice.url, HEALTHCRYPT_HOME: practice.home("ada") }
  const ada = { env: { ...env, HEALTHCRYPT_USERNAME: "ada", HEALTHCRYPT_PASSWORD: password }, input: code }
  expect((await runCli(["restored"], ada)).code).toBe(1)
  const done = await runCli(["restored", "--reopen"], ada)
  expect(done.code, done.stderr).toBe(0)
  const work = await practice.open("ada")
  expect(formOf((await work.records.open(id)).chart).diagnosis).toBe("Gout")
})

test("the page asks for the code before it shows anything", { timeout: long }, async () => {
  const api = pageOf(practice.url, practice.device("ada").storage)
  for (const damage of [() => {}, damageKeyring]) {
    damage()
    expect(await api.reopen("ada", password)).toMatchObject({ state: "restored", confirmed: false })
    await expect(api.record(id)).rejects.toEqual(refused("NOT_ALLOWED_SESSION"))
    await api.signOut()
  }
})

test.each(["ada", "another device"])(
  "once it is confirmed, an account whose first keyring after it is damaged opens with an earlier one, on %s",
  {
    timeout: long,
  },
  async (device) => {
    const ada = await practice.openAnyway("ada")
    await ada.session.confirmRestore(code)
    await practice.putAway(ada)
    damageKeyring()
    const { session } = await reopenAnyway(practice.device(device), "ada", password)
    // A device that has confirmed it is asked for nothing.
    expect(session.restoration?.confirmed).toBe(device === "ada" ? undefined : false)
    await session.confirmRestore(code)
    await session.saveNews()
    await practice.putAway(await practice.open("ada", device))
    const other = await practice.open("ada", "a third device")
    expect(other.session.line).toHaveLength(1)
    expect(other.roster.rows.has(id)).toBe(true)
  },
)
