import { readFile, stat, writeFile } from "node:fs/promises"
import { join } from "node:path"
import { afterAll, beforeAll, describe, expect, test, vi } from "vitest"
import type { RecordId } from "../../src/encoding/ids.ts"
import { decrypt, importKey, parseKey, parseToken } from "../../src/vault/fernet.ts"
import { appendLie } from "../append-raw.ts"
import { type Desk, desk } from "../cli.ts"
import { openClient } from "../client.ts"
import { type LiveServer, removeFolder, serve, tempFolder } from "../server.ts"

vi.setConfig({ testTimeout: 300_000, hookTimeout: 300_000 })

let folder: string
let server: LiveServer
let ada: Desk
/** Of the patient that the tests below share. */
let id: string
const beer = { firstName: "Bea", lastName: "Beer", birthDate: "1961-07-09", diagnosis: "Hypertension" }
const today = new Intl.DateTimeFormat("sv", { dateStyle: "short", timeZone: process.env.TZ ?? "UTC" }).format()

beforeAll(async () => {
  folder = await tempFolder()
  server = await serve({ dataDir: join(folder, "data"), args: ["--log-level", "warn"] })
  ada = desk(server.url, folder, "ada")
  await ada.register("Ada", "Byron")
})
afterAll(async () => {
  await server.stop()
  await removeFolder(folder)
})

test("list of nobody is an empty array, and words for people go to standard error", async () => {
  expect(await ada.run(["records", "list", "--json"])).toMatchObject({ code: 0, stdout: "[]\n", stderr: "" })
  const { code, stdout, stderr } = await ada.run(["records", "list"])
  expect({ code, stdout }).toEqual({ code: 0, stdout: "" })
  expect(stderr).toContain("healthcrypt records add")
})

test("add prints the new id, nothing else", async () => {
  const { code, stdout, stderr } = await ada.run(["records", "add"], { input: beer })
  expect({ code, stderr }).toEqual({ code: 0, stderr: "" })
  expect(stdout).toMatch(/^[A-Za-z0-9_-]{22}\n$/)
  id = stdout.trimEnd()
})

test("list --json is an array of id, names, birth date, diagnoses and the day of the last change", async () => {
  const { firstName, lastName, birthDate, diagnosis } = beer
  const { stdout, stderr } = await ada.run(["records", "list", "--json"])
  expect(JSON.parse(stdout)).toEqual([{ id, firstName, lastName, birthDate, diagnoses: [diagnosis], updated: today }])
  expect(stderr).toBe("")
})

test("list is sorted by name and shows a row each", async () => {
  const others = [
    { ...beer, firstName: "Álvaro", lastName: "Ávila" },
    { ...beer, firstName: "Zoë", lastName: "beer" },
  ]
  for (const patient of others) await ada.add(patient)
  const { stdout } = await ada.run(["records", "list"])
  const lines = stdout.trimEnd().split("\n")
  expect(lines).toHaveLength(4)
  expect(lines.slice(1).map((line) => /Ávila|Beer|beer/.exec(line)?.[0])).toEqual(["Ávila", "Beer", "beer"])
  expect(stdout).not.toContain("\u001b")
})

describe("add refuses, names every field, and makes nothing:", () => {
  test.each([
    ["no first name", { ...beer, firstName: " " }, ["firstName"]],
    ["no last name", { ...beer, lastName: "" }, ["lastName"]],
    ["31 February", { ...beer, birthDate: "1961-02-31" }, ["birthDate"]],
    ["the future", { ...beer, birthDate: "2999-01-01" }, ["birthDate"]],
    ["1874", { ...beer, birthDate: "1874-12-31" }, ["birthDate"]],
    ["what is no date", { ...beer, birthDate: "yesterday" }, ["birthDate"]],
    ["a date that is one of two", { ...beer, birthDate: "7/9/1980" }, ["birthDate"]],
    ["a number for a date", { ...beer, birthDate: 19610709 }, ["birthDate"]],
    ["nothing at all", {}, ["firstName", "lastName", "birthDate"]],
    ["null", { ...beer, firstName: null }, ["firstName"]],
    ["a name that never ends", { ...beer, lastName: "x".repeat(100_000) }, ["lastName"]],
  ])("%s", async (_, input, fields) => {
    const { code, stdout, stderr } = await ada.run(["records", "add"], { input })
    expect({ code, stdout }).toEqual({ code: 1, stdout: "" })
    for (const field of fields) expect(stderr).toMatch(new RegExp(`^ {2}${field}: `, "m"))
    expect(stderr).not.toMatch(/^\s+at /m)
  })

  test("and after all that there are three", async () => {
    expect(await ada.list()).toHaveLength(3)
  })
})

test("show says everything, for people and as JSON", async () => {
  const shown = await ada.show(id)
  expect(shown).toMatchObject({ id, ...beer, diagnoses: ["Hypertension"], updated: today, seq: 0, head: 0 })
  const { code, stdout, stderr } = await ada.run(["records", "show", id])
  expect({ code, stderr }).toEqual({ code: 0, stderr: "" })
  for (const text of ["Bea Beer", "born 1961-07-09", "Hypertension", "Only you"]) expect(stdout).toContain(text)
})

describe("edit", () => {
  test("takes any part, says so on standard error alone, and leaves the rest", async () => {
    expect(await ada.run(["records", "edit", id], { input: { diagnosis: "Essential hypertension" } })).toMatchObject({
      code: 0,
      stdout: "",
      stderr: "Changed.\n",
    })
    expect(await ada.show(id)).toMatchObject({ ...beer, diagnosis: "Essential hypertension", seq: 1 })
    await ada.must(["records", "edit", id], { lastName: "Bier", birthDate: "9.7.1962" })
    expect(await ada.show(id)).toMatchObject({
      firstName: "Bea",
      lastName: "Bier",
      birthDate: "1962-07-09",
      diagnosis: "Essential hypertension",
      seq: 2,
    })
  })

  test("that changes nothing adds no entry", async () => {
    const same = await ada.run(["records", "edit", id], { input: { lastName: "Bier" } })
    expect(same).toMatchObject({ code: 0, stdout: "", stderr: "Nothing differs: nothing was stored.\n" })
    expect(await ada.show(id)).toMatchObject({ seq: 2 })
  })

  test("takes a diagnosis away", async () => {
    await ada.must(["records", "edit", id], { diagnosis: "" })
    expect(await ada.show(id)).toMatchObject({ diagnosis: "", diagnoses: [], seq: 3 })
    await ada.must(["records", "edit", id], { diagnosis: "Gout" })
  })

  test.each([
    ["nothing to change", {}],
    ["a field that there is not", { diagnose: "Gout" }],
    ["a wrong date", { birthDate: "1962-02-30" }],
    ["an empty name", { firstName: "" }],
    ["a number", { diagnosis: 7 }],
  ])("refuses %s", async (_, input) => {
    const { code, stdout, stderr } = await ada.run(["records", "edit", id], { input })
    expect({ code, stdout }).toEqual({ code: 1, stdout: "" })
    expect(stderr.trim()).not.toBe("")
  })

  test("and after all that nothing is changed", async () => {
    expect(await ada.show(id)).toMatchObject({ seq: 4, diagnosis: "Gout" })
  })
})

test("history says who, when and what, newest first, and every version can be read", async () => {
  const items = JSON.parse(await ada.must(["records", "history", id, "--json"]))
  expect(items.map((item: { seq: number }) => item.seq)).toEqual([4, 3, 2, 1, 0])
  for (const item of items) {
    expect(item).toMatchObject({ author: "Ada Byron", readable: true })
    expect(new Date(item.time).toISOString()).toBe(item.time)
    expect(new Date(item.serverTime).toISOString()).toBe(item.serverTime)
  }
  const changes = items.map((item: { changes: { before: string; after: string }[] }) =>
    item.changes.map(({ before, after }) => [before, after]),
  )
  expect(changes[0]).toEqual([["", "Gout"]])
  expect(changes[1]).toEqual([["Essential hypertension", ""]])
  expect(changes[2]).toEqual(
    expect.arrayContaining([
      ["Beer", "Bier"],
      ["1961-07-09", "1962-07-09"],
    ]),
  )
  expect(changes[3]).toEqual([["Hypertension", "Essential hypertension"]])
  const history = await ada.run(["records", "history", id])
  expect(history.stdout).toMatch(/Hypertension → Essential hypertension/)
  expect(history).toMatchObject({ code: 0, stderr: expect.stringContaining("the page calls it entry 1") })
  expect(await ada.show(id, "--seq", "0")).toMatchObject({ ...beer, seq: 0, head: 4 })
  expect(await ada.show(id, "--seq", "1")).toMatchObject({ diagnosis: "Essential hypertension", seq: 1 })
  expect(await ada.must(["records", "show", id, "--seq", "1"])).toContain(
    "\nAs entry 1 (entry 2 on the page) left it; the newest is entry 4\n",
  )
  expect(await ada.run(["records", "show", id, "--seq", "5"])).toMatchObject({ code: 1, stdout: "" })
})

test("archive takes a record from the list, --undo brings it back; both are entries", async () => {
  expect(await ada.run(["records", "archive", id])).toMatchObject({ code: 0, stdout: "", stderr: "Archived.\n" })
  expect((await ada.list()).map((row) => row.id)).not.toContain(id)
  const archived = JSON.parse(await ada.must(["records", "list", "--json", "--archived"]))
  expect(archived.map((row: { id: string }) => row.id)).toEqual([id])
  expect(await ada.show(id)).toMatchObject({ archived: true, diagnosis: "Gout", seq: 5 })
  expect(await ada.run(["records", "archive", id])).toMatchObject({
    code: 0,
    stderr: "It is archived: nothing was stored.\n",
  })
  expect(await ada.show(id)).toMatchObject({ seq: 5 })
  expect(await ada.run(["records", "archive", id, "--undo"])).toMatchObject({
    code: 0,
    stdout: "",
    stderr: "Brought back.\n",
  })
  expect((await ada.list()).map((row) => row.id)).toContain(id)
  expect(await ada.show(id)).toMatchObject({ archived: false, seq: 6 })
})

test("a list of none says whether there are archived ones", async () => {
  const cyd = desk(server.url, folder, "cyd")
  await cyd.register("Cyd", "Gamma")
  const none = await cyd.run(["records", "list", "--archived"])
  expect(none).toMatchObject({ code: 0, stdout: "", stderr: "No archived records.\n" })
  await cyd.must(["records", "archive", await cyd.add(beer)])
  const all = await cyd.run(["records", "list"])
  expect(all).toMatchObject({ code: 0, stdout: "" })
  expect(all.stderr).toBe("No records but archived ones: `healthcrypt records list --archived`.\n")
})

test("absent and forbidden look the same", async () => {
  const bea = desk(server.url, folder, "bea")
  await bea.register("Bea", "Bloom")
  const commands = (record: string) => [
    ["records", "show", record],
    ["records", "history", record],
    ["records", "archive", record],
    ["export", record, "-o", "-"],
    ["token", record, "--yes"],
  ]
  const absent = "AAAAAAAAAAAAAAAAAAAAAA"
  for (const [i, command] of commands(id).entries()) {
    const forbidden = await bea.run(command)
    expect(forbidden).toMatchObject({
      code: 1,
      stdout: "",
      stderr: expect.stringContaining("nothing here that you may"),
    })
    expect((await bea.run(commands(absent)[i]!)).stderr).toBe(forbidden.stderr)
  }
  expect(await bea.list()).toEqual([])
})

test("token gives what any Fernet implementation opens: the frame of one entry's body", async () => {
  for (const [args, seq, holds] of [
    [["--seq", "0"], 0, '"Hypertension"'],
    [["--seq", "1"], 1, "Essential hypertension"],
    [[], 6, "Ada Byron"],
  ] as const) {
    const { code, stdout, stderr } = await ada.run(["token", id, "--yes", ...args])
    expect({ code, stderr }).toEqual({ code: 0, stderr: "" })
    const match = /^key ([A-Za-z0-9_-]{43}=)\ntoken (gAAAAA[A-Za-z0-9_-]+={0,2})\n$/.exec(stdout)
    expect(match, `entry ${seq}`).not.toBeNull()
    const frame = Buffer.from(await decrypt(await importKey(parseKey(match![1]!)), parseToken(match![2]!)))
    expect(frame[0]).toBe(0)
    expect(frame.length).toBeGreaterThanOrEqual(256)
    expect(frame.subarray(5, 5 + frame.readUInt32BE(1)).toString("utf8")).toContain(holds)
  }
  expect(await ada.run(["token", id, "--yes", "--seq", "7"])).toMatchObject({ code: 1, stdout: "" })
})

describe("export", () => {
  test("writes a FHIR bundle that its owner alone can read, whole or not at all", async () => {
    const file = join(folder, "beer.json")
    const outcome = await ada.run(["export", id, "-o", file])
    expect(outcome).toMatchObject({ code: 0, stdout: "", stderr: expect.stringContaining("not encrypted") })
    const text = await readFile(file, "utf8")
    expect((await stat(file)).mode & 0o777).toBe(0o600)
    const bundle = JSON.parse(text)
    expect(bundle).toMatchObject({ resourceType: "Bundle", type: "collection" })
    const types = bundle.entry.map((entry: { resource: { resourceType: string } }) => entry.resource.resourceType)
    expect(types.sort()).toEqual(["Condition", "Patient"])
    expect(await ada.run(["export", id, "-o", "-"])).toMatchObject({ code: 0, stdout: text, stderr: "" })
    await writeFile(file, "something else")
    const taken = await ada.run(["export", id, "-o", file])
    expect(taken).toMatchObject({ code: 1, stdout: "", stderr: expect.stringContaining("--force") })
    expect(await readFile(file, "utf8")).toBe("something else")
    expect(await ada.run(["export", id, "-o", file, "--force"])).toMatchObject({ code: 0, stdout: "" })
    expect(await readFile(file, "utf8")).toBe(text)
    expect((await stat(file)).mode & 0o777).toBe(0o600)
    const nowhere = await ada.run(["export", id, "-o", join(folder, "no/such/folder/x.json")])
    expect(nowhere).toMatchObject({ code: 1, stdout: "", stderr: expect.stringContaining("There is no folder") })
  })
})

test("times and days are the terminal's, and say so", async () => {
  const [newest] = JSON.parse(await ada.must(["records", "history", id, "--json"]))
  for (const [TZ, zone] of [
    ["Asia/Tokyo", "+09:00"],
    ["America/St_Johns", "-0[23]:30"],
    ["UTC", "Z"],
  ] as const) {
    const { stdout } = await ada.run(["records", "history", id], { env: { TZ } })
    const [, moment] = new RegExp(`^6  (\\S+${zone.replace("+", "\\+")})  Ada Byron$`, "m").exec(stdout)!
    expect(Date.parse(moment!)).toBe(Math.floor(Date.parse(newest.time) / 1000) * 1000)
  }
})

test("a line in the list that says something else than the record is told, until the next change", async () => {
  const lied = await ada.add(beer)
  const { username, password } = ada.where
  const program = await openClient(server.url, join(folder, "a program"), username, password)
  await appendLie(program, lied as RecordId, "Somebody Else")
  program.close()
  const said = "The list of patients shows something else than this record"
  expect(await ada.must(["records", "show", lied])).toContain(said)
  expect((await ada.list()).find((row) => row.id === lied)).toMatchObject({ lastName: "Somebody Else" })
  await ada.must(["records", "edit", lied], { diagnosis: "Gout" })
  expect(await ada.must(["records", "show", lied])).not.toContain(said)
  expect((await ada.list()).find((row) => row.id === lied)).toMatchObject({ lastName: "Beer" })
})

test("what comes from a record does not steer the terminal", async () => {
  const evil = { firstName: "Eve\u001b[31m", lastName: "Evil\u0007\u202e", birthDate: "1961-07-09", diagnosis: "Gout" }
  expect(await ada.run(["records", "add"], { input: evil })).toMatchObject({ code: 1, stdout: "" })
  const file = join(folder, "evil.json")
  const [patient, condition] = [crypto.randomUUID(), crypto.randomUUID()]
  const bundle = {
    resourceType: "Bundle",
    type: "collection",
    entry: [
      {
        resource: { resourceType: "Patient", id: patient, name: [{ family: evil.lastName, given: [evil.firstName] }] },
      },
      {
        resource: {
          resourceType: "Condition",
          id: condition,
          code: { text: "Gout\u001b]0;x\u0007\u009b2J" },
          subject: { reference: `Patient/${patient}` },
        },
      },
    ],
  }
  await writeFile(file, JSON.stringify(bundle))
  const imported = await ada.run(["import", file])
  expect(imported.code).toBe(0)
  const [record] = (await ada.list()).filter((row) => row.lastName.startsWith("Evil"))
  const commands = [["list"], ["show", record!.id], ["history", record!.id]]
  const outcomes = await Promise.all(commands.map((command) => ada.run(["records", ...command])))
  for (const { code, stdout, stderr } of [imported, ...outcomes]) {
    expect(code).toBe(0)
    // biome-ignore lint/suspicious/noControlCharactersInRegex: that is what must not be there
    expect(stdout + stderr).not.toMatch(/[\u0000-\u0009\u000b-\u001f\u007f-\u009f\u202a-\u202e]/)
  }
  expect(outcomes[1]!.stdout).toContain("Gout")
})

test("the shell sees tokens alone, and verify is content", async () => {
  const shell = await ada.run(["shell", "--data", server.dataDir, "-e", "await Record.all()"])
  expect(shell).toMatchObject({ code: 0, stderr: "" })
  expect(shell.stdout).toContain(id)
  expect(shell.stdout).toContain("gAAAAA")
  expect(shell.stdout).not.toMatch(/Beer|Bier|Gout|Hypertension|1961/)
  const verify = await ada.run(["verify", "--data", server.dataDir])
  expect(verify).toMatchObject({ code: 0, stderr: "" })
  expect(verify.stdout).toMatch(/entries/)
})
