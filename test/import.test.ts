import { execFileSync, spawnSync } from "node:child_process"
import { existsSync, readdirSync } from "node:fs"
import { mkdir, open, readFile, writeFile } from "node:fs/promises"
import { basename, join } from "node:path"
import { DatabaseSync } from "node:sqlite"
import { afterAll, beforeAll, describe, expect, test, vi } from "vitest"
import { importFile } from "../src/client/imports.ts"
import { type JsonNode, memberOf, scanJson, stringAt } from "../src/clinical/json-spans.ts"
import { type Desk, desk, type ListedRow, type Outcome } from "./cli.ts"
import { openClient } from "./client.ts"
import { type LiveServer, removeFolder, serve, tempFolder } from "./server.ts"

vi.setConfig({ testTimeout: 600_000, hookTimeout: 600_000 })

const synthea = join(process.env.HEALTHCRYPT_SHARED ?? "../shared", "data/synthea")
const files = existsSync(synthea)
  ? readdirSync(synthea)
      .filter((name) => /_[0-9a-f-]{36}\.json$/.test(name))
      .map((name) => join(synthea, name))
  : []
const hasPython = spawnSync("python3", ["--version"]).status === 0

let folder: string
let server: LiveServer
beforeAll(async () => {
  folder = await tempFolder()
  server = await serve({ dataDir: join(folder, "data"), args: ["--log-level", "warn"] })
})
afterAll(async () => {
  await server.stop()
  await removeFolder(folder)
})

async function physician(username: string): Promise<Desk> {
  const made = desk(server.url, folder, username)
  await made.register("Ada", "Byron")
  return made
}

interface Resource {
  readonly key: string
  readonly text: string
}

/** The resources of a bundle as the very text that stands in the file. */
function resourcesOf(text: string): Resource[] {
  const entries = memberOf(scanJson(text), "entry")!
  return entries.items.map((entry: JsonNode) => {
    const resource = memberOf(entry, "resource")!
    const key = `${stringAt(text, memberOf(resource, "resourceType"))}/${stringAt(text, memberOf(resource, "id"))}`
    return { key, text: text.slice(resource.start, resource.end) }
  })
}

/** One line a file, of standard output and standard error together. */
const linesOf = ({ stdout, stderr }: Outcome) => `${stdout}${stderr}`.trimEnd().split("\n")

describe.skipIf(files.length === 0)("the 13 patients of Synthea", () => {
  let ada: Desk
  let rows: ListedRow[]
  const exported = new Map<string, string>()

  beforeAll(async () => {
    ada = await physician("ada")
  })

  test("import, one record a patient, and say so", async () => {
    expect(files).toHaveLength(13)
    const outcome = await ada.run(["import", ...files])
    expect(outcome).toMatchObject({ code: 0, stderr: "" })
    const lines = linesOf(outcome)
    expect(lines).toHaveLength(13)
    for (const [i, file] of files.entries()) {
      const { length } = resourcesOf(await readFile(file, "utf8"))
      expect(lines[i]).toMatch(new RegExp(`: added 1 record with ${length} resources.*  [A-Za-z0-9_-]{22}$`))
      expect(lines[i]!.startsWith(file)).toBe(true)
    }
  })

  test("show: each with the name and birth date of its file", async () => {
    rows = await ada.list()
    expect(rows).toHaveLength(13)
    for (const file of files) {
      const patient = JSON.parse(await readFile(file, "utf8")).entry[0].resource
      const official = patient.name.find((name: { use: string }) => name.use === "official")
      expect(rows).toContainEqual(
        expect.objectContaining({
          firstName: official.given.join(" "),
          lastName: official.family,
          birthDate: patient.birthDate,
        }),
      )
    }
    expect(rows.flatMap((row) => row.diagnoses)).toContain("Prediabetes")
    const shown = await ada.show(rows[0]!.id)
    expect(shown).toMatchObject({ id: rows[0]!.id, lastName: rows[0]!.lastName })
    // The record shows what is over, too.
    expect(shown.diagnoses).toEqual(expect.arrayContaining([...rows[0]!.diagnoses]))
  })

  test("export equal to the letter of each resource, in the order in which they came", async () => {
    for (const { id } of rows) {
      const file = join(folder, `${id}.exported.json`)
      await ada.must(["export", id, "-o", file])
      exported.set(id, await readFile(file, "utf8"))
    }
    const known = new Map<string, string>()
    for (const file of files) {
      const text = await readFile(file, "utf8")
      const resources = resourcesOf(text)
      known.set(resources[0]!.key, file)
      const patient = resources.find(({ key }) => key.startsWith("Patient/"))!
      const [back, ...more] = [...exported.values()].filter((bundle) => bundle.includes(patient.text))
      expect(more).toEqual([])
      expect(resourcesOf(back!)).toEqual(resources)
    }
    expect(known.size).toBe(13)
  })

  test.skipIf(!hasPython)("Python reads the same from both, every digit of every number included", async () => {
    const pairs: string[][] = []
    for (const [id, text] of exported) {
      const back = join(folder, `${id}.json`)
      await writeFile(back, text)
      const { lastName } = rows.find((row) => row.id === id)!
      const file = files.find((name) => basename(name).split("_")[1] === lastName)!
      pairs.push([file, back])
    }
    const script = `
import json, sys
def read(path):
    with open(path, encoding="utf-8") as f:
        number = lambda text: ["number", text]
        bundle = json.load(f, parse_float=number, parse_int=number, object_pairs_hook=lambda pairs: ["object", pairs])
    members = dict(bundle[1])
    return [dict(entry[1])["resource"] for entry in members["entry"]]
count = 0
for before, after in json.load(sys.stdin):
    one, two = read(before), read(after)
    assert one == two, before
    count += len(one)
print(count)`
    const count = Number(execFileSync("python3", ["-c", script], { input: JSON.stringify(pairs) }).toString())
    expect(pairs).toHaveLength(13)
    expect(count).toBe([...exported.values()].reduce((sum, text) => sum + resourcesOf(text).length, 0))
    expect(count).toBeGreaterThan(2000)
  })

  test("import again as nothing new, exit 0, and nothing is written", async () => {
    const heads = async () =>
      JSON.parse(
        await ada.must([
          "shell",
          "--data",
          server.dataDir,
          "-e",
          "JSON.stringify([await Entry.count(), await Record.count()])",
        ]),
      )
    const before = await heads()
    const outcome = await ada.with({ home: join(folder, "another-machine") }).run(["import", ...files])
    expect(outcome).toMatchObject({ code: 0, stderr: "" })
    for (const line of linesOf(outcome)) expect(line).toMatch(/: nothing new/)
    expect(linesOf(outcome)).toHaveLength(13)
    expect(await heads()).toEqual(before)
  })

  test("what was exported imports as nothing new, too", async () => {
    const [id, text] = [...exported][0]!
    const file = join(folder, "again.json")
    await writeFile(file, text)
    const outcome = await ada.run(["import", file])
    expect(outcome.stdout).toMatch(new RegExp(`: nothing new  ${id}\n$`))
    expect(outcome.code).toBe(0)
  })

  test("an edited diagnosis stays when the file is imported once more", async () => {
    const [row] = rows
    await ada.must(["records", "edit", row!.id], { firstName: "Edited" })
    const file = files.find((name) => basename(name).split("_")[1] === row!.lastName)!
    expect(await ada.run(["import", file])).toMatchObject({ code: 0, stdout: expect.stringContaining("nothing new") })
    expect(await ada.show(row!.id)).toMatchObject({ firstName: "Edited" })
  })

  test("a newer file of a known patient adds what is new, and changes what changed", async () => {
    const file = files[1]!
    const text = await readFile(file, "utf8")
    const bundle = JSON.parse(text)
    const uuid = crypto.randomUUID()
    bundle.entry.push({
      fullUrl: `urn:uuid:${uuid}`,
      resource: {
        resourceType: "Condition",
        id: uuid,
        clinicalStatus: { coding: [{ code: "active" }] },
        code: { text: "Morbus novus" },
        subject: { reference: bundle.entry[0].fullUrl },
        onsetDateTime: "2026-01-01",
      },
    })
    const newer = join(folder, "newer.json")
    await writeFile(newer, JSON.stringify(bundle))
    const outcome = await ada.run(["import", newer])
    expect(outcome.code).toBe(0)
    expect(outcome.stdout).toMatch(/: 1 added, /)
    const patient = bundle.entry[0].resource
    const row = (await ada.list()).find(({ birthDate }) => birthDate === patient.birthDate)
    expect(row!.diagnoses).toContain("Morbus novus")
  })

  test("and every chain verifies", async () => {
    expect(await ada.run(["verify", "--data", server.dataDir])).toMatchObject({ code: 0, stderr: "" })
  })
})

describe("what is not taken", () => {
  let bea: Desk
  let place: string
  beforeAll(async () => {
    bea = await physician("bea")
    place = join(folder, "files")
    await mkdir(place)
  })

  const uuid = "6f0c1d2e-0000-4000-8000-000000000001"
  const patient = (id: string, family = "Beer") => ({
    fullUrl: `urn:uuid:${id}`,
    resource: { resourceType: "Patient", id, name: [{ family, given: ["Bea"] }], birthDate: "1938-02-27" },
  })
  const bundle = (...entry: unknown[]) =>
    JSON.stringify({ resourceType: "Bundle", type: "transaction", entry }, null, 2)
  const put = async (name: string, content: string | Uint8Array) => {
    const path = join(place, name)
    await writeFile(path, content)
    return path
  }
  const observation = (id: string, subject: string) => ({
    fullUrl: `urn:uuid:${id}`,
    resource: { resourceType: "Observation", id, status: "final", subject: { reference: `urn:uuid:${subject}` } },
  })

  const refusals: readonly (readonly [string, () => string | Uint8Array, RegExp])[] = [
    ["a file that was cut off", () => bundle(patient(uuid)).slice(0, -30), /line \d+, column \d+.*cut off/],
    ["a comma too many", () => bundle(patient(uuid)).replace("]", ",]"), /line \d+, column \d+/],
    ["a name twice", () => '{"resourceType":"Bundle","resourceType":"Bundle"}', /line 1, column 26.*twice/],
    ["an empty file", () => "", /empty/],
    ["XML", () => "<Bundle xmlns='http://hl7.org/fhir'/>", /XML/],
    ["a zip", () => Uint8Array.from([0x50, 0x4b, 3, 4, 0, 0]), /compressed/],
    ["an image", () => Uint8Array.from([0x89, 0x50, 0x4e, 0x47, 0xff, 0xfe]), /not text/],
    ["another JSON", () => '{"name":"healthcrypt"}', /not FHIR/],
    ["no patient", () => bundle(observation(uuid, uuid)), /no patient/],
    ["an empty bundle", () => bundle(), /no patient/],
    ["a history bundle", () => bundle(patient(uuid)).replace("transaction", "history"), /line \d+.*type of bundle/],
    [
      "a resource without a type",
      () => bundle(patient(uuid), { resource: { id: "x" } }),
      /entry 2 \(line \d+, column \d+\)/,
    ],
    ["an entry without a resource", () => bundle(patient(uuid), { fullUrl: "urn:uuid:x" }), /entry 2/],
    ["the same resource twice", () => bundle(patient(uuid), patient(uuid)), /entry 2.*entry 1/],
    [
      "an STU3 resource",
      () => bundle(patient(uuid), { resource: { resourceType: "MedicationStatement", id: "m", taken: "y" } }),
      /entry 2.*R4/,
    ],
    ["nesting without end", () => `{"resourceType":"Bundle","x":${"[".repeat(5000)}`, /nested deeper/],
  ]
  let refused: Outcome
  const paths = new Map<string, string>()

  test("is refused with exit 1, a line a file, and stores nothing", async () => {
    for (const [name, make] of refusals) paths.set(name, await put(`${name.replaceAll(" ", "-")}.json`, make()))
    refused = await bea.run(["import", ...paths.values()])
    expect(refused).toMatchObject({ code: 1, stdout: "" })
    expect(linesOf(refused)).toHaveLength(refusals.length)
    expect(refused.stderr).not.toMatch(/1938|Beer|^\s+at /m)
    expect(await bea.list()).toEqual([])
  })

  test.each(refusals)("%s: named with its place", (name, _, says) => {
    const line = linesOf(refused).find((one) => one.startsWith(`${paths.get(name)}: refused. `))
    expect(line).toMatch(says)
  })

  test("a file that is too large is refused before it is read", async () => {
    const path = join(place, "huge.json")
    const handle = await open(path, "w")
    await handle.truncate(65 * 1024 * 1024)
    await handle.close()
    const outcome = await bea.run(["import", path])
    expect(outcome).toMatchObject({ code: 1, stdout: "", stderr: expect.stringContaining("larger than") })
  })

  test("a file that is not there, or a folder, is named", async () => {
    for (const path of [join(place, "nothing.json"), place])
      expect(await bea.run(["import", path])).toMatchObject({
        code: 1,
        stdout: "",
        stderr: expect.stringContaining(`${path}: refused. `),
      })
  })

  test("one bad file does not hold up the others: they go on, exit 1", async () => {
    const bad = await put("bad.json", bundle(patient(uuid)).slice(0, -10))
    const one = await put("one.json", bundle(patient("6f0c1d2e-0000-4000-8000-00000000000a", "Uno")))
    const two = await put("two.json", bundle(patient("6f0c1d2e-0000-4000-8000-00000000000b", "Duo")))
    const outcome = await bea.run(["import", one, bad, two])
    expect(outcome.code).toBe(1)
    expect(outcome.stdout).toMatch(/one\.json: added[^\n]*\n[^\n]*two\.json: added[^\n]*\n$/)
    expect(outcome.stderr).toMatch(/^[^\n]*bad\.json: refused[^\n]*\n$/)
    expect((await bea.list()).map((row) => row.lastName)).toEqual(["Duo", "Uno"])
  })

  test("a file of two patients of which one does not fit is not taken at all", async () => {
    const [a, b] = ["6f0c1d2e-0000-4000-8000-0000000000c1", "6f0c1d2e-0000-4000-8000-0000000000c2"]
    // Random text does not shrink, so the second patient's body stays above 16 MiB.
    const parts = Array.from({ length: 300 }, (_, i) => ({
      resource: {
        resourceType: "Binary",
        id: `b${i}`,
        contentType: "text/plain",
        securityContext: { reference: `urn:uuid:${b}` },
        data: Buffer.from(crypto.getRandomValues(new Uint8Array(65_536))).toString("base64"),
      },
    }))
    const file = await put("two-patients.json", bundle(patient(a, "Small"), patient(b, "Large"), ...parts))
    const before = await bea.list()
    const outcome = await bea.run(["import", file])
    expect(outcome).toMatchObject({ code: 1, stdout: "", stderr: expect.stringContaining("larger than") })
    expect(await bea.list()).toEqual(before)
  })

  test("stopping counts between patients: one that was begun is taken whole, and the same file goes on from there", async () => {
    const [a, b] = ["6f0c1d2e-0000-4000-8000-0000000000b1", "6f0c1d2e-0000-4000-8000-0000000000b2"]
    const bytes = Buffer.from(bundle(patient(a, "Begun"), patient(b, "Finished"), observation(uuid, a)))
    const work = await openClient(server.url, join(folder, "stopping"), "bea", bea.where.password)
    const signal = { aborted: true }
    const none = await importFile(work, "a.json", bytes, () => {}, signal)
    expect(none).toMatchObject({ outcome: "cancelled", records: [] })
    signal.aborted = false
    const stop = (done: number) => {
      signal.aborted ||= done > 0
    }
    const one = await importFile(work, "a.json", bytes, stop, signal)
    expect(one).toMatchObject({ outcome: "cancelled", added: 2, records: [{ name: "Bea Begun" }] })
    expect((await work.records.open(one.records[0]!.id)).chart.resources.size).toBe(2)
    const rest = await importFile(work, "a.json", bytes, () => {}, { aborted: false })
    expect(rest).toMatchObject({
      outcome: "added",
      added: 1,
      records: [{ id: one.records[0]!.id }, { name: "Bea Finished" }],
    })
    await work.session.end()
    work.close()
    expect((await bea.list()).map((row) => row.lastName)).toEqual(expect.arrayContaining(["Begun", "Finished"]))
  })

  test("stopping counts while a file is read and checked: nothing of it is stored", async () => {
    const long = "x".repeat(400_000)
    const ids = Array.from({ length: 20 }, (_, i) => `6f0c1d2e-0000-4000-8000-0000000010${String(i).padStart(2, "0")}`)
    const bytes = Buffer.from(bundle(...ids.map((id, i) => patient(id, `Checked${i} ${long}`))))
    const work = await openClient(server.url, join(folder, "checking"), "bea", bea.where.password)
    const rows = work.roster.rows.size
    const signal = { aborted: false }
    setTimeout(() => {
      signal.aborted = true
    })
    let told = false
    const tick = () => {
      told = true
    }
    expect(await importFile(work, "a.json", bytes, tick, signal)).toMatchObject({ outcome: "cancelled", records: [] })
    expect(told).toBe(false)
    expect(work.roster.rows.size).toBe(rows)
    await work.session.end()
    work.close()
  })

  test("Ctrl+C says how far it came, leaves whole records, and the same command goes on from there", async () => {
    const ids = Array.from({ length: 250 }, (_, i) => `6f0c1d2e-0000-4000-8000-000000002${String(i).padStart(3, "0")}`)
    const parts = ids.flatMap((id, i) => [patient(id, `Many${i}`), observation(id.replace("-0000-", "-0001-"), id)])
    const file = await put("many.json", bundle(...parts))
    const before = (await bea.list()).length
    const database = new DatabaseSync(join(folder, "data/healthcrypt.db"), { readOnly: true })
    const stored = () => Number(database.prepare("select count(*) as n from record").get()!.n)
    const from = stored()
    const interrupt = (pid: number) => {
      const timer = setInterval(() => {
        if (stored() < from + 5) return
        clearInterval(timer)
        process.kill(pid, "SIGINT")
      }, 10)
    }
    const outcome = await bea.run(["import", file], { started: interrupt })
    expect(outcome).toMatchObject({ code: 1, stderr: "" })
    const taken = Number(/stopped; (\d+) records taken\. Import the file again to go on/.exec(outcome.stdout)?.[1])
    expect(taken).toBeGreaterThanOrEqual(5)
    expect(taken).toBeLessThan(250)
    expect(stored()).toBe(from + taken)
    database.close()
    const rows = await bea.list()
    expect(rows).toHaveLength(before + taken)
    const again = await bea.run(["import", file])
    expect(again.code, again.stderr).toBe(0)
    expect(again.stdout).toContain(`with ${(250 - taken) * 2} resources`)
    expect(await bea.list()).toHaveLength(before + 250)
  })

  test("two patients in one file become two records, each with what is theirs", async () => {
    const [a, b] = ["6f0c1d2e-0000-4000-8000-0000000000d1", "6f0c1d2e-0000-4000-8000-0000000000d2"]
    const [x, y] = ["6f0c1d2e-0000-4000-8000-0000000000e1", "6f0c1d2e-0000-4000-8000-0000000000e2"]
    const text = bundle(patient(a, "Alpha"), patient(b, "Beta"), observation(x, a), observation(y, b))
    expect(await bea.run(["import", await put("both.json", text)])).toMatchObject({ code: 0, stderr: "" })
    for (const [family, mine] of [
      ["Alpha", x],
      ["Beta", y],
    ] as const) {
      const row = (await bea.list()).find(({ lastName }) => lastName === family)!
      const keys = resourcesOf(await bea.must(["export", row.id, "-o", "-"])).map(({ key }) => key)
      expect(keys).toEqual([expect.stringMatching(/^Patient\//), `Observation/${mine}`])
    }
  })

  test("text comes back to the letter: digits, escapes, order, white space, and a byte order mark before it", async () => {
    const id = "6f0c1d2e-0000-4000-8000-0000000000f1"
    const odd = `{ "resourceType" : "Observation","id":"odd",\n\t"valueQuantity":{"value":0.10000000000000000000001e+02, "unit":"\\u00b5g \\"x\\" é"},
      "status":"final", "subject":{"reference":"Patient/${id}"}, "unknown": {"b":[1.0,-0,1E5],"a":null} }`
    const text = `{"resourceType":"Bundle","type":"collection","entry":[{"resource":${JSON.stringify(patient(id, "Odd").resource)}},{"resource":${odd}}]}`
    const file = await put("odd.json", `\ufeff${text}`)
    expect(await bea.run(["import", file])).toMatchObject({ code: 0, stderr: "" })
    const row = (await bea.list()).find(({ lastName }) => lastName === "Odd")!
    const out = join(folder, "odd.exported.json")
    await bea.must(["export", row.id, "-o", out])
    const back = resourcesOf(await readFile(out, "utf8"))
    expect(back[1]).toEqual({ key: "Observation/odd", text: odd })
  })
})
