import { chmod, mkdir, mkdtemp, readFile, rm, stat, writeFile } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { ed25519 } from "@noble/curves/ed25519.js"
import { ready, server } from "@serenity-kit/opaque"
import { afterEach, beforeEach, expect, test } from "vitest"
import { type DataFolder, dataFolder } from "./data-folder.ts"
import { findLogPublicKey, openSecrets } from "./secrets.ts"

let folder: DataFolder
beforeEach(async () => {
  folder = dataFolder(await mkdtemp(join(tmpdir(), "healthcrypt-")))
})
afterEach(() => rm(folder.path, { recursive: true }))

const madeDatabase = (): Promise<void> => writeFile(folder.database, "SQLite")

test("the first start makes secrets, later ones read the same", async () => {
  const made = await openSecrets(folder)
  await madeDatabase()
  await made.settle()
  const read = await openSecrets(folder)
  expect(read.opaqueSetup).toBe(made.opaqueSetup)
  expect(read.logSeed).toEqual(made.logSeed)
  expect(read.logSeed).toHaveLength(32)
  await ready
  expect(server.getPublicKey(read.opaqueSetup)).toBe(server.getPublicKey(made.opaqueSetup))
})

test("they are their owner's alone", async () => {
  await openSecrets(folder)
  expect((await stat(folder.secrets)).mode & 0o777).toBe(0o700)
  for (const name of ["opaque-setup", "log-key"])
    expect((await stat(join(folder.secrets, name))).mode & 0o777).toBe(0o600)
  await chmod(folder.secrets, 0o755)
  await expect(openSecrets(folder)).rejects.toThrow("chmod 700")
})

test("the log's public key is that of RFC 8032, and null where the secrets are kept elsewhere", async () => {
  expect(await findLogPublicKey(folder)).toBeNull()
  const { logSeed } = await openSecrets(folder)
  expect(await findLogPublicKey(folder)).toEqual(ed25519.getPublicKey(logSeed))
})

test("an interrupted first start is taken up again", async () => {
  await mkdir(`${folder.secrets}.new`)
  await writeFile(join(`${folder.secrets}.new`, "opaque-setup"), "half")
  const made = await openSecrets(folder)
  // Interrupted again, before there was a database.
  expect((await openSecrets(folder)).opaqueSetup).toBe(made.opaqueSetup)
})

test("a database without its secrets is refused, and none are made", async () => {
  await madeDatabase()
  await expect(openSecrets(folder)).rejects.toThrow(/secrets is missing.*Put your copy of it back/)
  await expect(stat(folder.secrets)).rejects.toThrow("ENOENT")
})

test("secrets without their database are refused", async () => {
  const made = await openSecrets(folder)
  await madeDatabase()
  await made.settle()
  await rm(folder.database)
  await expect(openSecrets(folder)).rejects.toThrow(/healthcrypt.db is missing.*Put your copy of it back/)
})

test.each(["", "healthcrypt log key v1\n", "healthcrypt log key v2\nAAAA\n", "healthcrypt log key v1\nAAAA\n"])(
  "a damaged log key (%j) is refused",
  async (content) => {
    await openSecrets(folder)
    const path = join(folder.secrets, "log-key")
    expect(await readFile(path, "utf8")).toMatch(/^healthcrypt log key v1\n[\w-]{43}\n$/)
    await writeFile(path, content)
    await expect(openSecrets(folder)).rejects.toThrow("log-key cannot be read as it should")
  },
)
