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

test("the documented backup of a running server, made while it writes, verifies and is restored", async () => {
  const [backup, copySecrets] = await documented("Back up")
  expect((await addRecord("Gundula")).code).toBe(0)
  await mkdir(join(folder, "media"))
  await shell(copySecrets!.replace("/media/safe/", "media/"))
  const writing = Promise.all(["Hildegard", "Irmtraud"].map(addRecord))
  expect(await shell(backup!)).toMatch(/^log leaves +\d+$/m)
  await writing
  expect((await addRecord("Jutta")).code).toBe(0)
  const made = join(folder, "backup/today")
  expect((await stat(made)).mode & 0o077).toBe(0)
  await expect(shell(backup!)).rejects.toThrow("There is such a file already")

  const data = ["--data", join(folder, "healthcrypt-data")]
  const nowhere = await run(["backup", join(folder, "nowhere/today"), ...data])
  expect(nowhere).toMatchObject({
    code: 1,
    stderr: expect.stringContaining(`There is no folder ${join(folder, "nowhere")}.`),
  })
  const sealed = join(folder, "sealed")
  const withSecrets = { env: { HEALTHCRYPT_BACKUP_PASSPHRASE: "six words that nobody else knows" } }
  const one = await run(["backup", sealed, "--with-secrets", ...data], withSecrets)
  expect(one.code, one.stderr).toBe(0)
  expect(one.stderr).not.toContain("ExperimentalWarning")
  const unasked = await run(["restore", sealed, "--data", join(folder, "unasked")])
  const advice = "Set HEALTHCRYPT_BACKUP_PASSPHRASE, or run this on a terminal to be asked.\n"
  expect(unasked).toMatchObject({ code: 2, stdout: "", stderr: advice })

  const restored = join(folder, "restored")
  const [putSecrets] = await documented("Restore")
  await shell(putSecrets!.replaceAll("NEW", "restored").replace("SAFE/secrets", "media/secrets"))
  const put = await run(["restore", made, "--data", restored])
  expect(put.code, put.stderr).toBe(0)
  expect((await run(["verify", "--data", restored])).code).toBe(0)

  const second = await serveForTest(["--data", restored])
  // What the page says of every device, until its physician types the code.
  expect((await client(second, ["records", "list"], {}, "another-home")).code).toBe(3)
  expect((await client(second, ["records", "list"], {})).code).toBe(3)
  const env = {
    HEALTHCRYPT_SERVER: second.url,
    HEALTHCRYPT_HOME: join(folder, "another-home"),
    HEALTHCRYPT_USERNAME: "ada",
    HEALTHCRYPT_PASSWORD: password,
  }
  expect((await run(["restored"], { env, input: "00000 ".repeat(6) })).code).toBe(1)
  const confirmed = await run(["restored"], { env, input: put.stdout })
  expect(confirmed.code, confirmed.stderr).toBe(0)
  const fresh = await client(second, ["records", "list", "--json"], {}, "another-home")
  expect(fresh.code, fresh.stderr).toBe(0)
  expect(fresh.stdout).toContain("Gundula")
  await second.stop()
})

test("a stopped server's folder goes on elsewhere as if nothing had been", async () => {
  await server.stop()
  const moved = join(folder, "moved")
  await cp(join(folder, "healthcrypt-data"), moved, { recursive: true, filter: (path) => !path.endsWith(".sock") })
  server = await serveForTest(["--data", moved])
  const list = await client(server, ["records", "list", "--json"], {})
  expect(list.code, list.stderr).toBe(0)
  expect(JSON.parse(list.stdout)).toHaveLength(4)
})
