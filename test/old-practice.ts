import { chmod, cp, readdir, readFile } from "node:fs/promises"
import { join } from "node:path"
import { removeFolder, tempFolder } from "./server.ts"

const fixtures = join(import.meta.dirname, "fixtures/0.2")

export interface OldPhysician {
  readonly username: string
  readonly password: string
  readonly words: readonly string[]
}

/** A copy of what version 0.2 left: see test/fixtures/0.2/README.md. */
export interface OldPractice {
  readonly dataDir: string
  /** HEALTHCRYPT_HOME of ada or bea. */
  home(username: "ada" | "bea"): string
  readonly people: Readonly<Record<"ada" | "bea" | "cyd", OldPhysician>>
  readonly records: Readonly<Record<"shared" | "read" | "own" | "beas" | "waiting", string>>
  remove(): Promise<void>
}

export interface OldRequest {
  readonly method: string
  readonly path: string
  readonly type: string
  /** base64 */
  readonly body: string
}

export async function copyOldPractice(): Promise<OldPractice> {
  const folder = await tempFolder()
  for (const name of ["data", "homes"]) await cp(join(fixtures, name), join(folder, name), { recursive: true })
  await makePrivate(folder)
  const { people, records } = JSON.parse(await readFile(join(fixtures, "practice.json"), "utf8"))
  return {
    dataDir: join(folder, "data"),
    home: (username) => join(folder, "homes", username),
    people: Object.fromEntries(people.map((one: OldPhysician) => [one.username, one])) as OldPractice["people"],
    records,
    remove: () => removeFolder(folder),
  }
}

/** One request of each kind that writes, as the client of 0.2 made it. */
export async function oldRequests(): Promise<OldRequest[]> {
  return JSON.parse(await readFile(join(fixtures, "requests.json"), "utf8"))
}

/** Git keeps no modes, and a server reads no secrets that others may read. */
async function makePrivate(path: string): Promise<void> {
  await chmod(path, 0o700)
  for (const entry of await readdir(path, { withFileTypes: true }))
    if (entry.isDirectory()) await makePrivate(join(path, entry.name))
    else await chmod(join(path, entry.name), 0o600)
}
