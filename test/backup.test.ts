import { createHash } from "node:crypto"
import { readdir, stat } from "node:fs/promises"
import { join, relative } from "node:path"
import { DatabaseSync } from "node:sqlite"
import { afterEach, beforeEach, expect, test } from "vitest"
import { createPatient } from "../src/client/edits.ts"
import { auditDatabase } from "../src/server/audit/audit.ts"
import { restore, restoreCode } from "../src/server/backup/restore.ts"
import { brady } from "./colleagues.ts"
import { copyOldPractice } from "./old-practice.ts"
import { passphrase, Restoring } from "./restoring.ts"

/** What somebody who gets at a backup, where it is made or kept, can do with it. */
let practice: Restoring
beforeEach(async () => {
  practice = await Restoring.start()
})
afterEach(() => practice.close())

const long = 120_000
const elsewhere = () => join(practice.folder, "elsewhere")
const putBack = (file: string, force = true, now = Date.now()) =>
  restore({
    file,
    dataDir: elsewhere(),
    force,
    passphrase: async () => passphrase,
    witnesses: [],
    now: () => now,
  })

/** No row has changed: a program in the database would let a stranger sign up as soon as somebody signs in. */
test("a backup into which somebody has put a program of theirs is not put back", { timeout: long }, async () => {
  await practice.register("ada")
  const file = await practice.backUp("last-night", true)
  const hash = createHash("sha256").update(new Uint8Array(16)).digest("base64url")
  const database = new DatabaseSync(file)
  database.exec(
    `create trigger t after insert on session begin
       insert or replace into invite (code_hash, created, expires) values ('${hash}', 1, 9000000000000); end`,
  )
  database.close()
  expect((await auditDatabase(file, null)).findings.map(({ row }) => row)).toEqual(["schema trigger t of session"])
  await expect(putBack(file)).rejects.toMatchObject({ code: "TAMPERED_LOG" })
  expect(await readdir(join(practice.folder, "elsewhere"))).not.toContain("healthcrypt.db")
})

test("a backup that nobody touched is put back, with secrets and without", { timeout: long }, async () => {
  await practice.register("ada")
  const file = await practice.backUp("with", true)
  expect((await auditDatabase(file, null)).findings).toEqual([])
  await putBack(file)
  await practice.backUp("without")
  await practice.restore("without")
  await practice.openAnyway("ada")
})

test("two restores at one moment each keep what they replace", { timeout: long }, async () => {
  await practice.register("ada")
  const file = await practice.backUp("with", true)
  const now = Date.now()
  const asides = []
  for (let i = 0; i < 3; i++) asides.push((await putBack(file, true, now)).aside)
  expect(asides[0]).toBeNull()
  expect(new Set(asides).size).toBe(3)
  for (const aside of asides.slice(1))
    expect(await readdir(aside!)).toEqual(expect.arrayContaining(["healthcrypt.db", "secrets"]))
})

test("a folder of version 0.2 that was brought along is made as one of today", { timeout: long }, async () => {
  const old = await copyOldPractice()
  try {
    await practice.serve(relative(practice.folder, old.dataDir))
    await practice.stop()
    expect((await auditDatabase(join(old.dataDir, "healthcrypt.db"), null)).findings).toEqual([])
  } finally {
    await old.remove()
  }
})

test("a backup that is being made is nobody else's to read", { timeout: long }, async () => {
  await practice.register("ada")
  const ada = await practice.open("ada")
  for (let i = 0; i < 20; i++) await createPatient(ada, brady)
  const before = process.umask(0o022)
  try {
    const modes = new Set<string>()
    let isDone = false
    const making = practice.backUp("today", true).finally(() => {
      isDone = true
    })
    while (!isDone)
      for (const name of (await readdir(practice.folder)).filter((one) => one.startsWith(".today.partial"))) {
        const found = await stat(join(practice.folder, name)).catch(() => null)
        if (found !== null) modes.add((found.mode & 0o777).toString(8))
      }
    await making
    expect([...modes]).toEqual(["600"])
    expect(((await stat(join(practice.folder, "today"))).mode & 0o777).toString(8)).toBe("600")
  } finally {
    process.umask(before)
  }
})

test("a backup that is in its place already is not put there once more, and its code is told again", {
  timeout: long,
}, async () => {
  await practice.register("ada")
  const file = await practice.backUp("last-night", true)
  expect(await restoreCode(elsewhere())).toBeNull()
  const { code } = await putBack(file, false)
  await expect(putBack(file, false)).rejects.toMatchObject({
    code: "NOT_ALLOWED",
    message: expect.stringContaining("restore --code"),
  })
  expect((await restoreCode(elsewhere()))?.code).toBe(code)
})
