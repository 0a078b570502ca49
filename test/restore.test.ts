import { copyFile, readFile } from "node:fs/promises"
import { join } from "node:path"
import { DatabaseSync } from "node:sqlite"
import { afterAll, beforeAll, describe, expect, test } from "vitest"
import { changePassword } from "../src/client/account.ts"
import { whatWentBack } from "../src/client/after-restore.ts"
import { createPatient } from "../src/client/edits.ts"
import { keysOf } from "../src/client/roster-row.ts"
import { sendAgain } from "../src/client/send-again.ts"
import { confirmMembers, unshare, viewSharing } from "../src/client/sharing.ts"
import type { Workspace } from "../src/client/workspace.ts"
import { formOf } from "../src/clinical/form.ts"
import type { RecordId } from "../src/encoding/ids.ts"
import { keyringStep, parseDigits } from "../src/proof/succession.ts"
import { auditDatabase } from "../src/server/audit/audit.ts"
import type { Restored } from "../src/server/backup/restore.ts"
import { entryPlace } from "../src/vault/places.ts"
import { open } from "../src/vault/seal.ts"
import { brady, edit, give, meet, refused } from "./colleagues.ts"
import { password, Restoring } from "./restoring.ts"

/** The drill of docs/operations.md with clients in this process. */
let practice: Restoring
beforeAll(async () => {
  practice = await Restoring.start()
})
afterAll(async () => practice?.close())

const diagnosis = async (work: Workspace, id: RecordId) => formOf((await work.records.open(id)).chart).diagnosis
const pins = async (username: string, work: Workspace) =>
  readFile(join(practice.home(username), "pins", work.session.practice.practice, work.session.physician))

/** The first step signs four physicians up. */
const long = 240_000

describe("a practice that is put back to last night's backup", { timeout: long }, () => {
  let shared: RecordId
  let alone: RecordId
  let fresh: RecordId
  let done: Restored
  let other: Restored
  let ada: Workspace
  let mal: Workspace
  let keysOfMal: ReturnType<typeof keysOf>

  test("before: a backup, and what was done since", async () => {
    for (const username of ["ada", "bea", "mal", "cyd"]) await practice.register(username)
    ada = await practice.open("ada")
    const bea = await practice.open("bea")
    mal = await practice.open("mal")
    await meet(ada, bea)
    await meet(ada, mal)
    shared = (await createPatient(ada, { ...brady, firstName: "Shared" })).id
    await give(ada, bea, shared, "writer")
    await give(ada, mal, shared, "reader")
    alone = (await createPatient(ada, { ...brady, firstName: "Alone" })).id
    await practice.putAway(await practice.open("ada", "behind"))
    await practice.putAway(bea)
    await practice.backUp("last-night", true)

    await unshare(ada, shared, mal.session.physician)
    await edit(ada, shared, "After Mal has gone")
    await edit(ada, alone, "Unseen by the backup")
    fresh = (await createPatient(ada, { ...brady, firstName: "Fresh" })).id
    keysOfMal = keysOf(mal.roster.rows.get(shared)!)
    await practice.putAway(ada)
    await practice.putAway(mal)
    const cyd = await practice.open("cyd")
    await changePassword(cyd.session, password, "a new password of cyd's")
    await practice.putAway(cyd)
  })

  test("two restores of one backup have two names, keys and codes", async () => {
    await practice.stop()
    await copyFile(join(practice.folder, "last-night"), join(practice.folder, "copy"))
    other = await practice.restore("copy", "other")
    done = await practice.restore("last-night")
    expect(done.code).toMatch(/^(\d{5} ){5}\d{5}$/)
    expect(done.code).not.toBe(other.code)
    expect(done.succession.to).not.toEqual(other.succession.to)
    expect(done.succession.known.size).toBeGreaterThan(done.succession.kept.size)
    expect(
      (await auditDatabase(join(practice.folder, "data/healthcrypt.db"), done.succession.to.logKey)).findings,
    ).toEqual([])
  })

  test("without the code every device refuses", async () => {
    await expect(practice.open("ada")).rejects.toMatchObject({ code: "TAMPERED_ROLLBACK" })
    await expect(practice.open("ada", "behind")).rejects.toMatchObject({ code: "TAMPERED_PRACTICE" })
    await expect(practice.open("ada", "new machine")).rejects.toMatchObject({ code: "TAMPERED_PRACTICE" })
    await expect(practice.open("bea")).rejects.toMatchObject({ code: "TAMPERED_PRACTICE" })
  })

  test("what waits for the code can be looked at, and writes nothing", async () => {
    const work = await practice.openAnyway("ada")
    const before = await pins("ada", work)
    const back = await whatWentBack(work)
    expect(back.records.map(({ name, had, has, own, returned }) => ({ name, had, has, own, returned }))).toEqual([
      { name: "Kuhlman, Alone", had: 2, has: 1, own: 1, returned: [] },
      { name: "Kuhlman, Fresh", had: 1, has: 0, own: 1, returned: [] },
      { name: "Kuhlman, Shared", had: 5, has: 3, own: 2, returned: ["mal"] },
    ])
    // What took Mal out holds nothing of a patient: it is decided anew, not sent again.
    expect(back.own).toBe(3)
    expect(back.confirm).toEqual([shared])
    await expect(createPatient(work, brady)).rejects.toEqual(refused("NOT_ALLOWED_RESTORED"))
    for (const wrong of [other.code, "12345", "", done.code.replace(/\d$/, (last) => String((Number(last) + 1) % 10))])
      await expect(work.session.confirmRestore(wrong)).rejects.toEqual(refused("BAD_INPUT_RESTORE_CODE"))
    await expect(work.session.confirmRestore("80387 36828")).rejects.toThrow("These are 10 digits; the code has 30.")
    await work.session.remember()
    expect(await pins("ada", work)).toEqual(before)
    await work.session.end()
    expect(await pins("ada", work)).toEqual(before)
    await expect(practice.open("ada")).rejects.toMatchObject({ code: "TAMPERED_ROLLBACK" })
  })

  test("the device that was ahead confirms, and sends its own again", async () => {
    const work = await practice.openAnyway("ada")
    await work.session.confirmRestore(done.code)
    expect(work.session.keyringNumber).toBe(keyringStep)
    const sent = await sendAgain(work)
    expect(sent).toEqual({
      unchanged: 0,
      anew: 2,
      waiting: 1,
      elsewhere: [],
      left: [expect.objectContaining({ id: shared })],
    })
    expect(await diagnosis(work, alone)).toBe("Unseen by the backup")
    expect(work.roster.rows.has(fresh)).toBe(true)
    await practice.putAway(work)
    expect(await work.session.around.storage.list("former-pins/")).toHaveLength(1)
  })

  test("the same physician's other device follows; a colleague has to type the code", async () => {
    const behind = await practice.open("ada", "behind")
    expect(await diagnosis(behind, alone)).toBe("Unseen by the backup")
    await practice.putAway(behind)
    await expect(practice.open("bea")).rejects.toMatchObject({ code: "TAMPERED_PRACTICE" })
    const bea = await practice.openAnyway("bea")
    expect((await whatWentBack(bea)).records).toEqual([])
    await bea.session.confirmRestore(done.code)
    await practice.putAway(bea)
    await expect(edit(bea, shared, "Too early")).rejects.toEqual(refused("NOT_ALLOWED_RESTORED"))
    await expect(confirmMembers(bea, await viewSharing(bea, shared), [])).rejects.toEqual(refused("NOT_ALLOWED_ROLE"))
  })

  test("what is written after the owner has confirmed does not open for who had been removed", async () => {
    ada = await practice.open("ada")
    await expect(edit(ada, shared, "Too early")).rejects.toEqual(refused("NOT_ALLOWED_RESTORED"))
    await expect(unshare(ada, shared, mal.session.physician)).rejects.toEqual(refused("NOT_ALLOWED_RESTORED"))
    const sharing = await viewSharing(ada, shared)
    const { members, confirmFirst } = sharing
    expect(confirmFirst).toBe(true)
    expect(members.filter(({ returned }) => returned).map(({ colleague }) => colleague.physician)).toEqual([
      mal.session.physician,
    ])
    expect(await confirmMembers(ada, sharing, [mal.session.physician])).toBe("done")
    expect(await sendAgain(ada)).toMatchObject({ anew: 1, waiting: 0 })
    const opened = await ada.records.open(shared)
    const { steps, head } = opened
    const after = steps.filter(({ entry }) => entry.epoch === head.epoch && entry.body !== undefined)
    expect(after.length).toBeGreaterThan(0)
    mal = await practice.openAnyway("mal")
    await mal.session.confirmRestore(done.code)
    await mal.roster.syncAfresh()
    const restoredRow = mal.roster.rows.get(shared)
    expect(restoredRow).toBeUndefined()
    for (const { entry } of after) {
      const token = await ada.records.bodyToken(opened, entry.seq)
      for (const key of [...keysOfMal].filter((one) => one !== undefined))
        for (let epoch = 0; epoch <= head.epoch; epoch++)
          await expect(open(key, entryPlace(shared, epoch, entry.seq, entry.author), token)).rejects.toEqual(
            refused("CANNOT_OPEN"),
          )
    }
    const bea = await practice.open("bea")
    expect(await diagnosis(bea, shared)).toBe("After Mal has gone")
    await edit(bea, shared, "Written by Bea")
    expect(await diagnosis(ada, shared)).toBe("Written by Bea")
    await practice.putAway(ada)
    await practice.putAway(bea)
  })

  test("who changed a password since does so again before anything is sent", async () => {
    await expect(practice.openAnyway("cyd", "cyd", "a new password of cyd's")).rejects.toMatchObject({
      code: "NOT_ALLOWED_SIGN_IN",
    })
    const cyd = await practice.openAnyway("cyd")
    expect((await whatWentBack(cyd)).renew).toEqual(["password"])
    await cyd.session.confirmRestore(done.code)
    await expect(createPatient(cyd, brady)).rejects.toEqual(refused("NOT_ALLOWED_RENEW"))
    await changePassword(cyd.session, password, "another password of cyd's")
    await createPatient(cyd, brady)
    await practice.putAway(cyd)
    await createPatient(await practice.open("cyd", "cyd", "another password of cyd's"), brady)
  })

  test("the other restore of the same backup is refused, and so is going back to this one", async () => {
    await practice.serve("other")
    await expect(practice.open("ada")).rejects.toMatchObject({ code: expect.stringMatching(/^TAMPERED/) })
    const work = await practice.openAnyway("ada")
    await expect(work.session.confirmRestore(done.code)).rejects.toEqual(refused("BAD_INPUT_RESTORE_CODE"))
    expect((await whatWentBack(work)).records.map(({ name }) => name)).toContain("Kuhlman, Shared")
    await practice.serve()
    ada = await practice.open("ada")
    expect(await diagnosis(ada, shared)).toBe("Written by Bea")
  })

  test("with its own code the other one counts, on each device that took the first; that one is over then", async () => {
    await practice.serve("other")
    const work = await practice.openAnyway("ada")
    await work.session.confirmRestore(other.code)
    expect(work.session.keyringNumber).toBe(keyringStep)
    await practice.putAway(work)
    await practice.putAway(await practice.open("ada"))
    const behind = await practice.openAnyway("ada", "behind")
    expect(behind.session.restoration).toMatchObject({ confirmed: false })
    await behind.session.confirmRestore(other.code)
    await practice.putAway(behind)
    await practice.serve()
    // The code of the first one has been typed on them: it does not bring that log back.
    for (const device of ["ada", "behind"])
      await expect(practice.openAnyway("ada", device)).rejects.toMatchObject({ code: "TAMPERED_ROLLBACK" })
  })

  test("a second restore on top of the first one takes one more code, also of who never confirmed the first", async () => {
    await practice.serve()
    await practice.backUp("second")
    const bea = await practice.open("bea")
    const later = (await createPatient(bea, { ...brady, firstName: "Later" })).id
    await practice.putAway(bea)
    const second = await practice.restore("second")
    expect(second.succession.number).toBe(2)
    await expect(practice.open("bea")).rejects.toMatchObject({ code: "TAMPERED_ROLLBACK" })
    const again = await practice.openAnyway("bea")
    await expect(again.session.confirmRestore(done.code)).rejects.toEqual(refused("BAD_INPUT_RESTORE_CODE"))
    await again.session.confirmRestore(second.code)
    expect(again.session.keyringNumber).toBe(2 * keyringStep)
    expect(await sendAgain(again)).toMatchObject({ unchanged: 0, anew: 1 })
    expect(again.roster.rows.has(later)).toBe(true)
    await practice.register("dan")
    const dan = await practice.open("dan")
    await createPatient(dan, brady)
    await dan.session.updateKeyring((keyring) => keyring)
    expect(dan.session.keyringNumber).toBe(2 * keyringStep)
    const { findings } = await auditDatabase(join(practice.folder, "data/healthcrypt.db"), second.succession.to.logKey)
    expect(findings).toEqual([])
    expect(parseDigits(second.code)).toHaveLength(30)
  })

  test("a flipped byte of a succession is noticed", async () => {
    await practice.stop()
    const file = join(practice.folder, "data/healthcrypt.db")
    for (const column of ["statement", "statement_sha256", "signature"]) {
      const copy = join(practice.folder, `flipped-${column}`)
      await copyFile(file, copy)
      const database = new DatabaseSync(copy)
      const row = database.prepare(`select ${column} as bytes from succession where number = 1`).get()
      const bytes = new Uint8Array(row!.bytes as Uint8Array)
      bytes[bytes.length >> 1]! ^= 1
      database.prepare(`update succession set ${column} = ? where number = 1`).run(bytes)
      database.close()
      const { findings } = await auditDatabase(copy, null)
      expect(findings.map(({ row: name }) => name).join(" "), column).toContain("succession")
    }
  })
})
