import { copyFile, cp, mkdir, readdir, readFile, stat, truncate, writeFile } from "node:fs/promises"
import { join } from "node:path"
import { DatabaseSync } from "node:sqlite"
import { afterAll, beforeAll, describe, expect, test, vi } from "vitest"
import { type Desk, desk, type Outcome, runCli } from "../cli.ts"
import { type LiveServer, removeFolder, serve, tempFolder } from "../server.ts"
import { canMount, smallDisk } from "../small-disk.ts"

vi.setConfig({ testTimeout: 600_000, hookTimeout: 400_000 })

/** What `backup` and `restore` leave behind where something is wrong: the file or the folder that there was. */
const passphrase = "a passphrase for backups"
const dieBefore = (what: string) => ({
  NODE_OPTIONS: `--import ${join(import.meta.dirname, "../kill-before.ts")}`,
  KILL_BEFORE: what,
})

let folder: string
let server: LiveServer
let ada: Desk
/** Of a stopped server, and a backup of it with its secrets; one more entry was written in between. */
let data: string
let sealed: string

beforeAll(async () => {
  folder = await tempFolder()
  data = at("data")
  sealed = at("sealed")
  server = await serve({ dataDir: data })
  ada = desk(server.url, folder, "ada")
  await ada.register("Ada", "Byron")
  const patient = { firstName: "Brady", lastName: "Kuhlman", birthDate: "1961-07-09", diagnosis: "Hypertension" }
  const id = await ada.add(patient)
  const made = await backup(sealed, ["--with-secrets"], { HEALTHCRYPT_BACKUP_PASSPHRASE: passphrase })
  expect(made.code, made.stderr).toBe(0)
  await ada.must(["records", "edit", id], { diagnosis: "Gout" })
  await desk(server.url, folder, "bea").register("Bea", "Beta")
  await server.stop()
})
afterAll(async () => {
  await server?.kill()
  await removeFolder(folder)
})

const at = (name: string) => join(folder, name)
const backup = (file: string, args: string[] = [], env = {}) =>
  runCli(["backup", file, "--data", data, ...args], { env })
const restore = (file: string, into: string, args: string[] = [], env = {}) =>
  runCli(["restore", file, "--data", into, ...args], {
    env: { HEALTHCRYPT_BACKUP_PASSPHRASE: passphrase, ...env },
  })
const verifies = async (into: string) => (await runCli(["verify", "--data", into])).code === 0
const refusal = ({ code, stdout, stderr }: Outcome, words: RegExp, exit = 1) =>
  expect({ code, stdout, stderr }).toEqual({ code: exit, stdout: "", stderr: expect.stringMatching(words) })

/** Every file of a folder with its bytes, but what a restore may leave that was none. */
async function contentOf(path: string): Promise<Record<string, string>> {
  const found = await readdir(path, { recursive: true, withFileTypes: true }).catch(() => [])
  const files = found
    .filter((one) => one.isFile() && one.name !== "lock.db")
    .map((one) => join(one.parentPath, one.name))
  return Object.fromEntries(
    await Promise.all(files.sort().map(async (file) => [file, (await readFile(file)).toString("base64")] as const)),
  )
}

describe("backup", () => {
  test("replaces nothing without --force, and not the server's own database with it", async () => {
    const file = at("there")
    await writeFile(file, "an older one")
    refusal(await backup(file), /such a file already.*--force/s)
    expect(await readFile(file, "utf8")).toBe("an older one")
    refusal(await backup(join(data, "healthcrypt.db"), ["--force"]), /server's own database/)
    expect((await backup(file, ["--force"])).code).toBe(0)
    expect((await stat(file)).mode & 0o077).toBe(0)
  })

  test("that is killed leaves no file of that name, and an older one as it was; the next one succeeds", async () => {
    const file = at("killed/backup")
    await mkdir(at("killed"))
    for (const what of ["open:2", "link:1"]) {
      const killed = await backup(file, [], dieBefore(what))
      expect([what, killed.code]).toEqual([what, null])
      expect(await readdir(at("killed"))).toEqual([".backup.partial"])
    }
    expect((await backup(file)).code).toBe(0)
    const before = await readFile(file)
    const killed = await backup(file, ["--force"], dieBefore("rename:1"))
    expect(killed.code).toBe(null)
    expect((await readFile(file)).equals(before)).toBe(true)
    expect((await backup(file, ["--force"])).code).toBe(0)
    expect(await readdir(at("killed"))).toEqual(["backup"])
    refusal(await restore(at("killed/nothing"), at("from nothing")), /no such backup/)
  })

  test.skipIf(!canMount)("onto a full disk leaves nothing there, and an older one as it was", async () => {
    const disk = smallDisk(at("disk"), 1)
    try {
      const file = join(disk.path, "backup")
      await writeFile(file, "an older one")
      disk.fill()
      for (const [name, args] of [
        ["backup", ["--force"]],
        ["another", []],
      ] as const) {
        refusal(await backup(join(disk.path, name), [...args]), /disk is full.*no file was left/s)
        expect((await readdir(disk.path)).filter((one) => one !== "filler")).toEqual(["backup"])
        expect(await readFile(file, "utf8")).toBe("an older one")
      }
    } finally {
      disk.unmount()
    }
  })
})

describe("restore", () => {
  test("refuses what is no whole backup, and the folder stays as it was", async () => {
    const whole = (await stat(sealed)).size
    const cut = async (name: string, bytes: number) => {
      await copyFile(sealed, at(name))
      await truncate(at(name), bytes)
      return at(name)
    }
    const changed = async (name: string, sql: string) => {
      await copyFile(sealed, at(name))
      const database = new DatabaseSync(at(name))
      database.exec(sql)
      database.close()
      return at(name)
    }
    await writeFile(at("text"), "This is no database at all.\n".repeat(400))
    const files: [string, number, RegExp][] = [
      [at("text"), 1, /no backup of Healthcrypt's, or it is damaged/],
      [await cut("empty", 0), 1, /no backup of Healthcrypt's, or it is damaged/],
      [await cut("half", whole >> 1), 1, /damaged|cannot be read/],
      [await cut("nearly", whole - 4096), 1, /damaged|cannot be read/],
      [
        await changed("body", "update entry set body = zeroblob(length(body)) where seq = 0"),
        3,
        /changed or damaged. Take another one/,
      ],
      [await changed("missing", "delete from entry where seq = 0"), 3, /changed or damaged/],
      [await changed("leaf", "update leaf set data = zeroblob(64) where idx = 1"), 3, /changed or damaged/],
      [
        await changed("secrets", "update backup_secrets set sealed = substr(sealed, 1, length(sealed) - 1)"),
        1,
        /passphrase|cannot be opened|opened/,
      ],
      [data, 1, /no such backup/],
    ]
    await cp(data, at("as it was"), { recursive: true })
    const before = await contentOf(at("as it was"))
    for (const [file, exit, words] of files) {
      refusal(await restore(file, at("new")), words, exit)
      expect(await contentOf(at("new")), file).toEqual({})
      // The folder's own secrets fit here, so those of the file do not matter.
      if (file === at("secrets")) continue
      refusal(await restore(file, at("as it was"), ["--force"]), words, exit)
      expect(await contentOf(at("as it was")), file).toEqual(before)
    }
    expect(await verifies(at("as it was"))).toBe(true)
  })

  test("asks for the passphrase and refuses a wrong one; without secrets there is no restore", async () => {
    refusal(await restore(sealed, at("guessed"), [], { HEALTHCRYPT_BACKUP_PASSPHRASE: "another passphrase" }), /./)
    const none = await runCli(["restore", sealed, "--data", at("guessed")])
    expect([none.code, none.stderr]).toEqual([2, expect.stringContaining("HEALTHCRYPT_BACKUP_PASSPHRASE")])
    expect((await backup(at("bare"))).code).toBe(0)
    refusal(await restore(at("bare"), at("guessed")), /secrets that belong to this backup are not there/)
    expect(await contentOf(at("guessed"))).toEqual({})
    const done = await restore(sealed, at("guessed"))
    expect([done.code, done.stdout], done.stderr).toEqual([0, expect.stringMatching(/^(\d{5} ){5}\d{5}\n$/)])
    expect(done.stderr).toContain("Accounts that were made since are gone; which, nobody can say here.")
    expect(await verifies(at("guessed"))).toBe(true)
  })

  test("takes a folder that holds no other practice, and keeps aside what was in it", async () => {
    const other = await serve({ dataDir: at("other practice") })
    await other.stop()
    refusal(await restore(sealed, at("other practice"), ["--force"]), /another practice/)
    await mkdir(at("shared folder"), { mode: 0o755 })
    await writeFile(at("shared folder/letter"), "Dear colleague")
    refusal(await restore(sealed, at("shared folder")), /holds other things/)
    expect(await readdir(at("shared folder"))).toEqual(["letter"])

    await cp(data, at("replaced"), { recursive: true })
    await writeFile(at("replaced/note"), "to be kept")
    const time = String.raw`\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ`
    const times = new RegExp(`would be lost.*backup ends at ${time}.*replaced at ${time}.*--force`, "s")
    refusal(await restore(sealed, at("replaced")), times)
    const done = await restore(sealed, at("replaced"), ["--force"])
    expect(done.code, done.stderr).toBe(0)
    expect(done.stderr).toContain("1 account that was made since is gone: bea.")
    expect(done.stderr).toMatch(/accounts list.*accounts invite/s)
    const aside = (await readdir(at("replaced"))).filter((name) => name.startsWith("before-restore-"))
    expect(aside).toHaveLength(1)
    expect(
      (await readFile(join(at("replaced"), aside[0]!, "healthcrypt.db"))).equals(
        await readFile(join(data, "healthcrypt.db")),
      ),
    ).toBe(true)
    expect(await readFile(at("replaced/note"), "utf8")).toBe("to be kept")
    expect(await verifies(at("replaced"))).toBe(true)
  })

  test("that is killed leaves the folder as it was, or one that is refused until it is done once more", async () => {
    // Each rename is a step: two files of the secrets, the mark, what was there aside, what comes into its place.
    const seen = new Set<string>()
    for (let step = 0; ; step++) {
      const into = at(`killed ${step}`)
      await cp(data, into, { recursive: true })
      const what = step === 0 ? "copyFile:1" : `rename:${step}`
      const killed = await restore(sealed, into, ["--force"], dieBefore(what))
      if (killed.code === 0) {
        expect(step).toBeGreaterThan(6)
        break
      }
      expect([what, killed.code, killed.stdout]).toEqual([what, null, ""])
      const started = await serve({ dataDir: into }).catch((error: Error) => error.message)
      if (typeof started === "string") {
        seen.add("refused")
        expect(started).toMatch(/was interrupted. Run `healthcrypt restore` with the same backup once more/)
      } else {
        seen.add("as it was")
        await started.stop()
        expect(await verifies(into), what).toBe(true)
      }
      const force = typeof started === "string" ? [] : ["--force"]
      const again = await restore(sealed, into, force)
      expect([what, again.code], again.stderr).toEqual([what, 0])
      expect(await verifies(into), what).toBe(true)
      expect((await readdir(into)).filter((name) => /restoring|unfinished/.test(name))).toEqual([])
      // Nothing of what was there before is lost on the way.
      const asides = (await readdir(into)).filter((name) => name.startsWith("before-restore-"))
      const kept = await Promise.all(
        asides.map((name) => readFile(join(into, name, "healthcrypt.db")).catch(() => null)),
      )
      const old = await readFile(join(data, "healthcrypt.db"))
      if (typeof started === "string")
        expect(
          kept.some((one) => one?.equals(old)),
          what,
        ).toBe(true)
      const running = await serve({ dataDir: into })
      await running.stop()
    }
    expect([...seen].sort()).toEqual(["as it was", "refused"])
  })
})
