import { execFile } from "node:child_process"
import { cp, mkdir, mkdtemp, readFile, rm, stat } from "node:fs/promises"
import { tmpdir } from "node:os"
import { delimiter, join } from "node:path"
import { promisify } from "node:util"
import { afterAll, beforeAll, expect, test } from "vitest"
import { run, type Server, serveForTest } from "../src/cli/terminal.fixture.ts"

const root = join(import.meta.dirname, "..")
const password = "correct horse battery staple"
let folder: string
let server: Server

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "healthcrypt-"))
  server = await serveForTest(["--data", join(folder, "healthcrypt-data")])
  expect((await client(server, ["register"], { firstName: "Ada", lastName: "Byron" })).code).toBe(0)
})
afterAll(async () => {
  await server?.stop("SIGKILL")
  await rm(folder, { recursive: true })
})

function client(at: Server, args: readonly string[], input: object, home = "home") {
  const env = {
    HEALTHCRYPT_SERVER: at.url,
    HEALTHCRYPT_HOME: join(folder, home),
    HEALTHCRYPT_USERNAME: "ada",
    HEALTHCRYPT_PASSWORD: password,
  }
  return run(args, { env, input: JSON.stringify(input) })
}

const addRecord = (firstName: string) =>
  client(server, ["records", "add"], { firstName, lastName: "Anklam", birthDate: "1961-07-09", diagnosis: "Asthma" })

/** The commands under a heading of docs/operations.md, exactly as they stand there. */
async function documented(heading: string): Promise<string[]> {
  const page = await readFile(join(root, "docs/operations.md"), "utf8")
  const section = page.split(/^## /m).find((part) => part.startsWith(heading))
  return [...(section ?? "").matchAll(/```sh\n(.*?)```/gs)].map((match) => match[1]!)
}

/** Runs commands as in the project's folder, with the data folder of this test. */
async function shell(commands: string): Promise<string> {
  const bins = join(root, "node_modules/.bin")
  const env = { ...process.env, PATH: `${bins}${delimiter}${process.env.PATH}`, BIN: join(root, "bin/healthcrypt.js") }
  // npx finds the commands of the project that it is called in; this is not its folder.
  const script = `set -e\nnpx() { if [ "$1" = healthcrypt ]; then shift; node "$BIN" "$@"; else "$@"; fi; }\n${commands}`
  const { stdout } = await promisify(execFile)("sh", ["-c", script], { cwd: folder, env })
  return stdout
}

test("the documented copy of a running server, made while it writes, checks and starts", async () => {
  const [copy, copySecrets] = await documented("Copy a running server's folder")
  expect((await addRecord("Gundula")).code).toBe(0)
  const writing = Promise.all(["Hildegard", "Irmtraud"].map(addRecord))
  expect(await shell(copy!)).toContain("is as it was signed and logged")
  await writing
  expect((await addRecord("Jutta")).code).toBe(0)
  const made = join(folder, "backup/today/healthcrypt.db")
  expect((await stat(made)).mode & 0o077).toBe(0)
  await expect(shell(copy!)).rejects.toThrow("already exists")

  await mkdir(join(folder, "media"))
  await shell(copySecrets!.replace("healthcrypt-data/ca.pem ", "").replace("/media/safe/", "media/"))
  const restored = join(folder, "restored")
  await mkdir(restored, { mode: 0o700 })
  await cp(made, join(restored, "healthcrypt.db"))
  await cp(join(folder, "media/secrets"), join(restored, "secrets"), { recursive: true })
  expect((await run(["verify", "--data", restored])).code).toBe(0)

  const second = await serveForTest(["--data", restored])
  const fresh = await client(second, ["records", "list", "--json"], {}, "another-home")
  expect(fresh.code, fresh.stderr).toBe(0)
  expect(fresh.stdout).toContain("Gundula")
  // The device that saw what was written since says what the page says that it says.
  expect((await client(second, ["records", "list"], {})).code).toBe(3)
  await second.stop()
})

test("a stopped server's folder goes on elsewhere as if nothing had been", async () => {
  await server.stop()
  const moved = join(folder, "moved")
  await cp(join(folder, "healthcrypt-data"), moved, { recursive: true })
  server = await serveForTest(["--data", moved])
  const list = await client(server, ["records", "list", "--json"], {})
  expect(list.code, list.stderr).toBe(0)
  expect(JSON.parse(list.stdout)).toHaveLength(4)
})
