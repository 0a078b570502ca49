import { join } from "node:path"
import { afterAll, beforeAll, expect, test } from "vitest"
import { run, type Server, serveForTest, type Transcript, temporaryFolder } from "./terminal.fixture.ts"

let folder: Awaited<ReturnType<typeof temporaryFolder>>
let server: Server
let data: string
let env: Readonly<Record<string, string>>
let ids: string[]

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
  ids = [await addRecord("Gundula"), await addRecord("Hildegard")]
})
afterAll(async () => {
  await server?.stop("SIGKILL")
  await folder.remove()
})

async function addRecord(firstName: string): Promise<string> {
  const patient = { firstName, lastName: "Anklam", birthDate: "1961-07-09", diagnosis: "Bronchial asthma" }
  const { code, stdout, stderr } = await run(["records", "add"], { env, input: JSON.stringify(patient) })
  expect(code, stderr).toBe(0)
  return stdout.trim()
}

const evaluate = (expression: string): Promise<Transcript> => run(["shell", "--data", data, "-e", expression])
const printed = async (expression: string): Promise<string> => {
  const { code, stdout, stderr } = await evaluate(expression)
  expect([code, stderr]).toEqual([0, ""])
  return stdout
}

test("Record.all() is a table in which every content is a token", async () => {
  const table = await printed("await Record.all()")
  const [head, rule, ...rows] = table.trimEnd().split("\n")
  expect(head).toMatch(/^id +entries +members +changed +summary +body$/)
  expect(rule).toMatch(/^[─ ]+$/)
  expect(rows).toHaveLength(2)
  for (const [i, row] of rows.entries())
    expect(row).toMatch(
      new RegExp(
        `^${ids[i]} +1 +1 +\\d{4}-\\d\\d-\\d\\dT\\d\\d:\\d\\d:\\d\\d\\S+ +gAAAAA[\\w-]{14}… \\(\\d+ B\\) +gAAAAA[\\w-]{14}… \\(\\d+ B\\)$`,
      ),
    )
  for (const secret of ["Gundula", "Anklam", "1961", "asthma"]) expect(table).not.toContain(secret)
})

test("each of them has all, get, count and where", async () => {
  expect(await printed("Physician.all()")).toMatch(/\bada\b.*gAAAAA/)
  expect(await printed("Physician.where({ username: 'ada' })")).toContain("ada")
  expect(await printed("Record.count()")).toBe("2\n")
  expect(await printed(`Record.get("${ids[0]}")`)).toContain(`id: '${ids[0]}'`)
  expect(await printed('Record.get("nobody")')).toBe("null\n")
  expect(await printed(`(await Entry.where("record", "${ids[0]}")).length`)).toBe("1\n")
  expect(await printed('(await Entry.where("seq", ">", 0)).length')).toBe("0\n")
  expect(await printed("Member.where({ role: 'owner' })")).toMatch(
    /^record +physician +role +until +invited +accepted +removed\n/,
  )
  expect(await printed(`(await Member.where("record", "${ids[0]}"))[0].accepted`)).toMatch(/^\d+\n$/)
  expect(await printed("Grant.count()")).toBe("0\n")
  expect(await printed('Log.where("type", "entry")')).toMatch(/\bentry\b/)
  expect(await printed("(await Log.get(0)).type")).toBe("identity\n")
})

test("get reads a token whole, as any Fernet implementation takes it", async () => {
  const token = await printed(`String((await Entry.get("${ids[0]}", 0)).body)`)
  const size = await printed(`(await Entry.get("${ids[0]}", 0)).body.sizeBytes`)
  const bytes = Buffer.from(token.trim(), "base64url")
  expect(bytes).toHaveLength(Number(size))
  expect([bytes[0], (bytes.length - 57) % 16]).toEqual([0x80, 0])
})

test("lines of standard input are evaluated one after the other, await included", async () => {
  const input =
    "const records = await Record.all()\nrecords.length\nnothing.there\n[1,\n2].length\nawait Record.count()\n"
  const { code, stdout, stderr } = await run(["shell", "--data", data], { input })
  expect(stderr).toBe("")
  expect(stdout).toBe("2\nUncaught ReferenceError: nothing is not defined\n2\n2\n")
  expect(code).toBe(0)
})

test("a promise is awaited at the prompt as well, and one that fails does not end it", async () => {
  const input = "Record.count()\nRecord.where('name', 'x')\n1 + 2\n"
  const { code, stdout, stderr } = await run(["shell", "--data", data], { input })
  const [first, failed = "", ...rest] = stdout.trimEnd().split("\n")
  expect([code, stderr, first, rest.at(-1)]).toEqual([0, "", "2", "3"])
  expect(failed).toMatch(/^Uncaught .*the columns are: id/)
})

test("it reads only: there is nothing that writes, and SQLite is opened so that nothing could", async () => {
  expect(await printed("Object.keys(Record).join()")).toBe("all,get,count,where\n")
})

test.each([
  ["Record.where('name', 'x')", 1, "the columns are: id, entries, members, changed, summary, body\n"],
  ["Record.where('id = id or 1=1 --', 'x')", 1, "the columns are:"],
  ["Record.where('id', 'or', 'x')", 1, "where compares by one of"],
  ["Entry.get('x')", 1, "get takes: record, seq"],
  ["nothing.there", 1, "ReferenceError: nothing is not defined\n"],
  ["Record.all(", 2, "This is not an expression"],
])("%s leaves with %i", async (expression, code, advice) => {
  const left = await evaluate(expression)
  expect([left.code, left.stdout]).toEqual([code, ""])
  expect(left.stderr).toContain(advice)
})

test("it sees what the running server stores meanwhile", async () => {
  await addRecord("Irmtraud")
  expect(await printed("Record.count()")).toBe("3\n")
})

test("a folder without a database leaves with 1 and makes nothing", async () => {
  const { code, stderr } = await run(["shell", "--data", join(folder.path, "nothing"), "-e", "1"])
  expect(code).toBe(1)
  expect(stderr).toContain("There is no database to read at")
})
