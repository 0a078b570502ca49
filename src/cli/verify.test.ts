import { cp, rm, writeFile } from "node:fs/promises"
import { join } from "node:path"
import { DatabaseSync } from "node:sqlite"
import { afterAll, beforeAll, describe, expect, test } from "vitest"
import { run, type Server, serveForTest, type Transcript, temporaryFolder } from "./terminal.fixture.ts"

let folder: Awaited<ReturnType<typeof temporaryFolder>>
let server: Server
let data: string
let env: Readonly<Record<string, string>>
let record: string
let copies = 0

beforeAll(async () => {
  folder = await temporaryFolder()
  data = join(folder.path, "data")
  server = await serveForTest(["--data", data])
  env = {
    HEALTHCRYPT_SERVER: server.url,
    HEALTHCRYPT_HOME: join(folder.path, "home"),
    HEALTHCRYPT_USERNAME: "ada",
    HEALTHCRYPT_PASSWORD: "correct horse battery staple",
  }
  const register = await run(["register"], { env, input: '{"firstName":"Ada","lastName":"Byron"}' })
  expect(register.code, register.stderr).toBe(0)
  record = await addRecord("Gundula")
  const edited = await run(["records", "edit", record], { env, input: '{"diagnosis":"Migraine"}' })
  expect(edited.code, edited.stderr).toBe(0)
})
afterAll(async () => {
  await server?.stop("SIGKILL")
  await folder.remove()
})

async function addRecord(firstName: string): Promise<string> {
  const patient = { firstName, lastName: "Anklam", birthDate: "1961-07-09", diagnosis: "Asthma" }
  const { code, stdout, stderr } = await run(["records", "add"], { env, input: JSON.stringify(patient) })
  expect(code, stderr).toBe(0)
  return stdout.trim()
}

const verify = (path: string): Promise<Transcript> => run(["verify", "--data", path])

test("a running server's database checks; what was checked is counted", async () => {
  const { code, stdout, stderr } = await verify(data)
  expect([code, stderr]).toEqual([0, ""])
  expect(stdout).toMatch(
    /^practice +[\w-]{22}\nphysicians +1\nidentities +1\naccount statements +\d+\nrecords +1\nentries +2\nstored hashes +\d+\nlog leaves +\d+\nlog nodes +\d+\nEverything is as it was signed and logged\.\n$/,
  )
})

test("so it does while records are being added", async () => {
  const adding = Promise.all(["Hildegard", "Irmtraud"].map(addRecord))
  for (let i = 0; i < 3; i++) expect((await verify(data)).code).toBe(0)
  await adding
  expect((await verify(data)).stdout).toMatch(/records +3\n/)
})

describe("a stopped server's", () => {
  beforeAll(async () => {
    await server.stop("SIGKILL")
  })

  test("database checks after kill -9", async () => {
    expect((await verify(data)).code).toBe(0)
  })

  test.each([
    ["a token", "update entry set body = substr(body, 1, 99) || x'00' || substr(body, 101) where seq = 1", "entry"],
    ["a signature", "update entry set signature = zeroblob(64) where seq = 0", "entry"],
    ["a wrapped key", "update self_grant set token = zeroblob(length(token))", "self_grant"],
    ["a log node", "update node set hash = zeroblob(32) where level = 1 and idx = 0", "node"],
  ])("changed database is noticed: %s", async (_what, statement, table) => {
    const copy = await changed(statement)
    const { code, stdout, stderr } = await verify(copy)
    expect(code).toBe(3)
    expect(stderr).toMatch(new RegExp(`^TAMPERED ${table} \\w+=\\S+.*: `))
    if (table === "entry") expect(stderr).toContain(record)
    expect(stdout).not.toContain("Everything is")
    expect(stderr).toContain("This database was changed behind Healthcrypt's back.")
  })

  test("database without its secrets is checked as far as that goes, and says so", async () => {
    const copy = await changed("")
    await rm(join(copy, "secrets"), { recursive: true })
    const { code, stdout, stderr } = await verify(copy)
    expect(code).toBe(0)
    expect(stderr).toContain("The checkpoint's signature was not checked")
    expect(stdout).toContain("Everything else is")
  })

  test("database that is none leaves with 1", async () => {
    const copy = await changed("")
    for (const end of ["-wal", "-shm"]) await rm(join(copy, `healthcrypt.db${end}`), { force: true })
    await writeFile(join(copy, "healthcrypt.db"), "not a database at all".repeat(100))
    const { code, stderr } = await verify(copy)
    expect(code).toBe(1)
    expect(stderr).toContain("cannot be read as Healthcrypt's database")
  })

  test("folder that is not there leaves with 1", async () => {
    const { code, stderr } = await verify(join(folder.path, "nothing"))
    expect(code).toBe(1)
    expect(stderr).toContain("There is no database to read at")
  })
})

async function changed(statement: string): Promise<string> {
  const copy = join(folder.path, `copy-${copies++}`)
  await cp(data, copy, { recursive: true, filter: (path) => !path.endsWith(".sock") })
  const database = new DatabaseSync(join(copy, "healthcrypt.db"))
  database.exec(statement)
  database.close()
  return copy
}
