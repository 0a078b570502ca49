import { chmod, mkdir, mkdtemp, rm, stat, writeFile } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterEach, beforeEach, expect, test } from "vitest"
import { claimDataFolder, findDataFolder, writeDurably } from "./data-folder.ts"

let root: string
beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), "healthcrypt-"))
})
afterEach(() => rm(root, { recursive: true }))

const modeOf = async (path: string): Promise<number> => (await stat(path)).mode & 0o777

test("a folder that is not there is made for its owner alone", async () => {
  const folder = await claimDataFolder(join(root, "a/b"))
  expect(await modeOf(folder.path)).toBe(0o700)
  expect(await modeOf(join(folder.path, "lock.db"))).toBe(0o600)
  folder.release()
})

test.runIf(process.platform === "linux")("a folder where none can be made is refused at once", async () => {
  await expect(claimDataFolder("/proc/nowhere/at/all")).rejects.toMatchObject({ code: "UNAVAILABLE_STORAGE" })
})

test("a second claim is refused until the first is released", async () => {
  const first = await claimDataFolder(root)
  await expect(claimDataFolder(root)).rejects.toThrow(/Another Healthcrypt server is running on .*Stop that one first/)
  first.release()
  const second = await claimDataFolder(root)
  second.release()
})

test("a folder of other things that others may look into is refused, and is never to be closed to them", async () => {
  await writeFile(join(root, "something"), "")
  await chmod(root, 0o755)
  const refusal = await claimDataFolder(root).catch((error: unknown) => error)
  expect(refusal).toMatchObject({ code: "NOT_ALLOWED" })
  expect((refusal as Error).message).toContain(
    `a folder of its own. Choose one, such as --data '${join(root, "healthcrypt-data")}'`,
  )
  expect((refusal as Error).message).not.toContain("chmod")
  expect(await modeOf(root)).toBe(0o755)
})

test("a folder of ours that others may look into is refused, and says what to type", async () => {
  await writeFile(join(root, "healthcrypt.db"), "")
  await chmod(root, 0o750)
  await expect(claimDataFolder(root)).rejects.toThrow(`chmod 700 '${root}'`)
})

test("an empty folder made by hand is taken over", async () => {
  await chmod(root, 0o755)
  const folder = await claimDataFolder(root)
  expect(await modeOf(root)).toBe(0o700)
  folder.release()
})

test("a file in the folder's place is refused", async () => {
  const path = join(root, "file")
  await writeFile(path, "")
  await expect(claimDataFolder(path)).rejects.toThrow(`${path} is a file, not a folder. Choose another folder`)
  await expect(findDataFolder(path)).rejects.toThrow(`${path} is a file, not a folder`)
})

test("a folder that holds a copy of the secrets alone is to be closed, not left", async () => {
  await mkdir(join(root, "secrets"))
  await chmod(root, 0o755)
  await expect(claimDataFolder(root)).rejects.toThrow(`Run: chmod 700 '${root}'`)
})

test.skipIf(process.getuid?.() === 0)("a folder that cannot be written to is refused", async () => {
  await chmod(root, 0o500)
  await expect(claimDataFolder(join(root, "data"))).rejects.toThrow("cannot be written to")
  await chmod(root, 0o700)
})

test("commands that read name the database that they miss", async () => {
  await expect(findDataFolder(root)).rejects.toThrow(`There is no database to read at ${join(root, "healthcrypt.db")}`)
})

test("a durable file replaces the one before and is its owner's alone", async () => {
  await mkdir(join(root, "secrets"))
  const path = join(root, "secrets/file")
  await writeDurably(path, "one")
  await writeDurably(path, "two")
  expect(await modeOf(path)).toBe(0o600)
  await expect(stat(`${path}.new`)).rejects.toThrow("ENOENT")
})
