import { createHash } from "node:crypto"
import { existsSync } from "node:fs"
import { cp, lstat, mkdir, readdir, readFile, rename, stat, symlink, truncate, writeFile } from "node:fs/promises"
import { createServer } from "node:net"
import { join, relative } from "node:path"
import { DatabaseSync } from "node:sqlite"
import { afterEach, beforeEach, expect, test } from "vitest"
import { writePrivately } from "../src/cli/export.ts"
import { createPatient } from "../src/client/edits.ts"
import { auditDatabase } from "../src/server/audit/audit.ts"
import { newFindings } from "../src/server/audit/findings.ts"
import { auditOlderSchema } from "../src/server/audit/schema.ts"
import { backUp } from "../src/server/backup/backup.ts"
import { restore, restoreCode } from "../src/server/backup/restore.ts"
import { openSqlite } from "../src/server/store/connection.ts"
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
  expect(existsSync(elsewhere())).toBe(false)
})

/** Whoever selects from it would never come to an end. */
test("a backup in which a table became a view is refused at once", { timeout: long }, async () => {
  await practice.register("ada")
  const file = await practice.backUp("last-night", true)
  const database = new DatabaseSync(file)
  database.exec(`drop table meta; create view meta as
    with recursive n(value) as (select 1 union all select value + 1 from n) select 'practice' as name, value from n where value < 0`)
  database.close()
  await expect(putBack(file)).rejects.toMatchObject({ code: "TAMPERED_LOG" })
  expect(existsSync(elsewhere())).toBe(false)
})

test("what is no backup, or was cut, leaves no folder behind", { timeout: long }, async () => {
  await practice.register("ada")
  const file = await practice.backUp("last-night", true)
  const [foreign, text] = [join(practice.folder, "foreign"), join(practice.folder, "text")]
  const database = new DatabaseSync(foreign)
  database.exec("create table meta (name, value)")
  database.close()
  await writeFile(text, "no database at all")
  await truncate(file, 8 * 4096)
  for (const wrong of [foreign, text, file]) {
    await expect(putBack(wrong), wrong).rejects.toMatchObject({
      code: expect.stringMatching(/BAD_INPUT|TAMPERED|UNAVAILABLE/),
    })
    expect(existsSync(elsewhere()), wrong).toBe(false)
  }
})

test("nothing but a file is replaced by a backup, also with --force", { timeout: long }, async () => {
  const [socket, target, link] = ["socket", "target", "link"].map((name) => join(practice.folder, name)) as [
    string,
    string,
    string,
  ]
  const server = createServer()
  await new Promise<void>((resolve) => server.listen(socket, resolve))
  await writeFile(target, "mine")
  await symlink(target, link)
  const { signal } = new AbortController()
  for (const file of [socket, link, practice.folder]) {
    const dataDir = join(practice.folder, "data")
    await expect(backUp({ dataDir, file, force: true, passphrase: null, signal }), file).rejects.toMatchObject({
      code: "NOT_ALLOWED",
    })
    await expect(writePrivately(file, "{}", true), file).rejects.toMatchObject({ code: "NOT_ALLOWED" })
  }
  expect((await lstat(socket)).isSocket()).toBe(true)
  expect((await lstat(link)).isSymbolicLink()).toBe(true)
  expect(await readFile(target, "utf8")).toBe("mine")
  server.close()
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

/** What lies in a secrets folder by mistake: an editor's copy, an operator's note. */
const strays: readonly [string, (secrets: string) => Promise<void>][] = [
  ["a copy that an editor made", (secrets) => cp(join(secrets, "log-key"), join(secrets, "log-key~"))],
  ["a name with a space", (secrets) => writeFile(join(secrets, "read me"), "")],
  [
    "a folder in a folder",
    async (secrets) => {
      await mkdir(join(secrets, "tls/old"), { recursive: true })
      await writeFile(join(secrets, "tls/old/a.pem"), "")
    },
  ],
  ["a file that is large", (secrets) => writeFile(join(secrets, "dump"), new Uint8Array(5 * 1024 * 1024))],
  [
    "many files",
    async (secrets) => {
      for (let i = 0; i < 200; i++) await writeFile(join(secrets, `log-key-${i}`), "")
    },
  ],
  [
    "a key that lies elsewhere",
    async (secrets) => {
      await rename(join(secrets, "log-key"), join(practice.folder, "key"))
      await symlink(join(practice.folder, "key"), join(secrets, "log-key"))
    },
  ],
]
test.each(strays)(
  "a backup with secrets opens, whatever else lies beside them: %s",
  { timeout: long },
  async (_, put) => {
    await practice.register("ada")
    const secrets = join(practice.folder, "data/secrets")
    await put(secrets)
    const file = await practice.backUp("with", true)
    await putBack(file)
    const kept = await readdir(join(elsewhere(), "secrets"), { recursive: true })
    expect(kept.sort()).toEqual(["log-key", "log-key-before-1", "opaque-setup"])
  },
)

test("a backup whose secrets would not let it be restored gets no name", { timeout: long }, async () => {
  await practice.register("ada")
  const secrets = join(practice.folder, "data/secrets")
  const refused = { code: "UNAVAILABLE_STORAGE", message: expect.stringContaining("No backup was made") }
  await rename(join(secrets, "opaque-setup"), join(practice.folder, "setup"))
  await expect(practice.backUp("with", true)).rejects.toMatchObject(refused)
  await rename(join(practice.folder, "setup"), join(secrets, "opaque-setup"))
  for (let i = 1; i <= 200; i++) await writeFile(join(secrets, `log-key-before-${i}`), "")
  await expect(practice.backUp("with", true)).rejects.toMatchObject(refused)
  expect((await readdir(practice.folder)).filter((name) => name.includes("with"))).toEqual([])
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
    const db = openSqlite(join(old.dataDir, "healthcrypt.db"), "read")
    const findings = newFindings()
    await auditOlderSchema(db, findings)
    await db.destroy()
    expect(findings.list).toEqual([])
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
