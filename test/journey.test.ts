import { readFile } from "node:fs/promises"
import { join } from "node:path"
import { afterAll, beforeAll, describe, expect, test, vi } from "vitest"
import { Desk } from "./cli.ts"
import { bytesNeedle, dateNeedles, type Needle, Search, textNeedle, wordNeedles } from "./leaks.ts"
import { type Found, searchFolder, searchMemory } from "./places.ts"
import { keyNeedles } from "./secrets.ts"
import { type LiveServer, removeFolder, serve, tempFolder } from "./server.ts"
import { recordWire, type Wire } from "./wire.ts"

/** Texts that stand nowhere in Healthcrypt, in Node or in a browser. */
const physician = { username: "doctor.q", firstName: "Perpetua", lastName: "Quillfeather" }
const password = "zwölf Pfähle im Moorwasser 77"
const patient = {
  firstName: "Wilhelmina",
  lastName: "Brågenthørpe",
  birthDate: "1938-02-27",
  diagnosis: "Morbus Quintessentialis",
}
const laterDiagnosis = "Syndroma Zephyrinum incipiens"

vi.setConfig({ testTimeout: 300_000 })

let folder: string
let server: LiveServer
let wire: Wire

beforeAll(async () => {
  folder = await tempFolder()
  server = await serve({ dataDir: join(folder, "data") })
  wire = await recordWire(server.port)
})
afterAll(async () => {
  await wire.close()
  await server.stop()
  await removeFolder(folder)
})

/** What a physician typed, read or was given: none of it may be anywhere but with them. */
function typedNeedles(words: readonly string[]): Needle[] {
  return [
    textNeedle("physician's first name", physician.firstName),
    textNeedle("physician's last name", physician.lastName),
    textNeedle("patient's first name", patient.firstName),
    textNeedle("patient's last name", patient.lastName),
    ...dateNeedles("birth date", patient.birthDate),
    textNeedle("first diagnosis", patient.diagnosis),
    textNeedle("its first word alone", patient.diagnosis.split(" ")[1]!),
    textNeedle("second diagnosis", laterDiagnosis),
    textNeedle("its middle word alone", laterDiagnosis.split(" ")[1]!),
    textNeedle("password", password),
    textNeedle("password, decomposed", password.normalize("NFD")),
    ...wordNeedles("recovery words", words),
  ]
}

/** The four places where a server, or somebody between, could read. */
async function everywhere(search: Search): Promise<{ leaks: Found[]; places: Record<string, number> }> {
  const memory = await searchMemory(search, server.pid)
  const stored = await searchFolder(search, server.dataDir)
  const streams = wire.recorded()
  const log = Buffer.from(server.log())
  return {
    leaks: [
      ...memory.found,
      ...stored.found,
      ...streams.flatMap((stream) => search.find(stream).map((leak) => ({ ...leak, where: "the wire" }))),
      ...search.find(log).map((leak) => ({ ...leak, where: "the server's log" })),
    ],
    places: {
      memory: memory.bytes,
      files: stored.files.length,
      wire: streams.reduce((sum, stream) => sum + stream.length, 0),
      log: log.length,
    },
  }
}

/** The same search finds what the server does know: without that, finding nothing would prove nothing. */
async function expectSeen(username: string, record: string): Promise<void> {
  const known = [textNeedle("username", username), textNeedle("record", record)]
  const { leaks } = await everywhere(new Search(known))
  for (const { name } of known) {
    const where = leaks.filter(({ needle, how }) => needle === name && how === "UTF-8").map((leak) => leak.where)
    expect(where, name).toContain("the wire")
    expect(where.some((place) => place.startsWith("memory"))).toBe(true)
    expect(where.some((place) => /healthcrypt\.db(-wal)?$/.test(place))).toBe(true)
  }
  const routes = new Search([textNeedle("route", "/api/records/:record/entries")])
  expect(routes.find(Buffer.from(server.log()))).not.toEqual([])
}

describe("by command line", () => {
  const at = (machine: string) =>
    new Desk({
      server: `http://127.0.0.1:${wire.port}`,
      username: physician.username,
      password,
      home: join(folder, machine),
    })
  let words: string[]
  let id: string

  test("sign up, add a patient, correct the diagnosis; a second machine signs in and sees it", async () => {
    const first = at("first")
    words = await first.register(physician.firstName, physician.lastName)
    expect(words).toHaveLength(24)
    id = await first.add(patient)
    await first.must(["records", "edit", id], { diagnosis: laterDiagnosis })
    const second = at("second")
    const { firstName, lastName, birthDate } = patient
    expect(await second.list()).toEqual([
      { id, firstName, lastName, birthDate, diagnoses: [laterDiagnosis], updated: expect.stringMatching(/^\d{4}-/) },
    ])
    expect(await second.show(id)).toMatchObject({ firstName, lastName, birthDate, diagnosis: laterDiagnosis, seq: 1 })
    const history = JSON.parse(await second.must(["records", "history", id, "--json"]))
    expect(history[0].author).toBe("Perpetua Quillfeather")
    expect(history[0].changes).toEqual([expect.objectContaining({ before: patient.diagnosis, after: laterDiagnosis })])
  })

  test("whoever reads files, log, memory or wire finds no name, date, diagnosis, password, word or key", async () => {
    const typed = typedNeedles(words)
    const keys = await keyNeedles(at("third").where.server, join(folder, "third"), physician.username, password, words)
    const printed = await at("second").must(["token", id, "--yes"])
    const entryKey = Buffer.from(/^key (\S+)$/m.exec(printed)![1]!, "base64url")
    expect(keys.filter(({ forms }) => forms.some(({ bytes }) => bytes.equals(entryKey)))).toHaveLength(1)
    expect(keys.length).toBeGreaterThanOrEqual(20)
    const search = new Search([...typed, ...keys, bytesNeedle("the printed key", entryKey)])
    const { leaks, places } = await everywhere(search)
    expect(leaks).toEqual([])
    expect(places.memory).toBeGreaterThan(20_000_000)
    expect(places.files).toBeGreaterThanOrEqual(6)
    await expectSeen(physician.username, id)
  })

  test("nor does whoever reads what the command line keeps on the physicians' machines", async () => {
    const search = new Search(typedNeedles(words))
    for (const machine of ["first", "second", "third"]) {
      const { found, files } = await searchFolder(search, join(folder, machine))
      expect(found).toEqual([])
      expect(files.length).toBeGreaterThanOrEqual(2)
    }
    expect(await readFile(join(folder, "first/device"), "utf8")).toHaveLength(22)
  })

  test("nor when the server has stopped and put everything into one file", async () => {
    await server.stop()
    const { found } = await searchFolder(new Search(typedNeedles(words)), server.dataDir)
    expect(found).toEqual([])
    server = await serve({ dataDir: server.dataDir, port: server.port })
  })
})
