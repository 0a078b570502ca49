import { spawn } from "node:child_process"
import { cp, writeFile } from "node:fs/promises"
import { join } from "node:path"
import { DatabaseSync } from "node:sqlite"
import { stripVTControlCharacters } from "node:util"
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest"
import type { CliCommand } from "../../src/cli/command.ts"
import { commands } from "../../src/cli/commands.ts"
import { importFile } from "../../src/client/imports.ts"
import { acceptInvitations } from "../../src/client/invitations.ts"
import { share } from "../../src/client/sharing.ts"
import { encodeBody } from "../../src/clinical/body.ts"
import { encodeSummary, summaryOf } from "../../src/clinical/summary.ts"
import type { RecordId } from "../../src/encoding/ids.ts"
import { entryPlace, summaryPlace } from "../../src/vault/places.ts"
import { seal } from "../../src/vault/seal.ts"
import { appendRaw } from "../append-raw.ts"
import { many, meet, physicians } from "../colleagues.ts"
import { type Door, openDoor } from "../hostile/door.ts"
import { type Between, openPractice, password } from "../practice.ts"
import { bareEnv, bin } from "../server.ts"
import { hasTerminal, openTerminal } from "../terminal.ts"

vi.setConfig({ testTimeout: 240_000, hookTimeout: 240_000 })

/** A line that only this program may print. */
const forged = "Signed by the key that you named."
/** Clear screen, clipboard, title, colour by C1; line breaks of every kind, each before a false line; directions; what cannot be seen. */
const evil = [
  "Mallory\u001b[2J\u001b[1;1H\u001b]52;c;Y3VybA==\u0007\u001b]0;x\u001b\\\u009b31m\u0090q\u009c\u007f\b\u0000",
  ...["\n", "\r", "\r\n", "\u0085", "\u2028", "\u2029", "\v", "\f"].map((end) => `${end}${forged}`),
  "\u202egpj.exe\u202c\u2066\u2067\u2068\u2069\u200e\u200f\u061c\ufeff\u200b\u2060\u00ad\u{e0001}\u{e0041}\u3164\t.",
].join("")
/** As much of it as goes into a text without control characters and line breaks, such as a username in a database. */
const short = `Mallory${evil.slice(7, 120)}`

/** What must stand in no output: all that steers, but for a joiner or a selector behind what it belongs to. */
const steering =
  /[\p{Cc}\p{Cs}\p{Zl}\p{Zp}\p{Bidi_Control}[\p{Default_Ignorable_Code_Point}--[\u200c\u200d\ufe00-\ufe0f\u{e0100}-\u{e01ef}]]]/v

function expectHarmless(output: string, what: string): void {
  for (const line of output.split("\n")) {
    expect(JSON.stringify(line.match(steering)?.[0] ?? ""), `${what}: ${JSON.stringify(line)}`).toBe('""')
    expect(line, what).not.toMatch(/^\s*"?(Signed by the key that you named|forged)/)
  }
}

const practice = await openPractice()
let door: Door
/** What a case has in hand. */
interface Scene {
  readonly id: RecordId
  readonly invited: RecordId
  /** A copy of the server's folder, whose database is hostile; and the folder of the server that runs. */
  readonly data: string
  readonly live: string
  readonly file: string
}
let scene: Scene
/** Somebody writes into a record while ada watches. */
let writeWatched: () => Promise<void>

/** What is done with a command beside its plain run. */
interface Case {
  readonly args?: (scene: Scene) => readonly string[]
  readonly input?: string | ((scene: Scene) => string)
  readonly env?: Readonly<Record<string, string>>
  /** It runs until it is told to end, which it is once this is printed. */
  readonly until?: RegExp
  /** Done once it watches. */
  readonly meanwhile?: () => Promise<void>
  /** The hostile text has to be in its output, or nothing is shown. */
  readonly shows?: boolean
}

const evilJson = JSON.stringify({ firstName: evil, lastName: evil, birthDate: evil, diagnosis: evil })
const shell = (expression: string): Case => ({ args: ({ data }) => ["--data", data, "-e", expression], shows: true })

/** What a command takes beyond what its own table says of it; several runs of one where there are several ways. A command without a line
 * here is run with what {@link plainArgs} makes of its table. */
const cases: Readonly<Record<string, readonly Case[]>> = {
  serve: [
    { args: ({ data }) => ["--port", "0", "--data", data], until: /ready/ },
    { args: () => ["--port", evil] },
    {
      args: ({ data }) => ["--port", "0", "--data", `${data}${evil.replaceAll("\0", "")}`, "--host", evil],
      until: /ready/,
    },
  ],
  register: [{ input: evilJson, env: { HEALTHCRYPT_USERNAME: "eve" } }, { env: { HEALTHCRYPT_USERNAME: evil } }],
  password: [{ env: { HEALTHCRYPT_NEW_PASSWORD: password } }],
  recover: [{ input: evil, env: { HEALTHCRYPT_NEW_PASSWORD: password } }],
  "records list": [{ shows: true }, { args: () => ["--json"], shows: true }],
  "records show": [{ shows: true }, { args: ({ id }) => [id, "--json"], shows: true }, { args: () => [evil] }],
  "records history": [{ shows: true }, { args: ({ id }) => [id, "--json"], shows: true }],
  "records add": [{ input: evilJson }],
  "records edit": [{ input: evilJson }, { args: ({ id }) => [id, "--seq", "0"], input: '{"diagnosis":"Gout"}' }],
  "records watch": [
    { until: /Mallory/, meanwhile: () => writeWatched(), shows: true },
    { args: () => ["--json"], until: /Mallory/, meanwhile: () => writeWatched(), shows: true },
  ],
  "physicians verify": [{ input: evil }],
  share: [
    { args: ({ id }) => [id, "bea", "--role", "reader"] },
    { args: ({ id }) => [id, evil, "--role", evil, "--until", evil] },
    { args: () => ["-", "bea", "--role", "reader"], input: evil },
  ],
  "shares list": [{ shows: true }, { args: () => ["--json"], shows: true }],
  members: [{ shows: true }, { args: ({ id }) => [id, "--json"], shows: true }],
  "accounts list": [{}, { args: ({ live }) => ["--data", live] }, { args: ({ live }) => ["--data", live, "--json"] }],
  "accounts invite": [{}, { args: ({ live }) => ["--data", live, "--json"] }],
  export: [{ args: ({ id }) => [id, "-o", "-"], shows: true }],
  token: [{ args: ({ id }) => [id, "--yes"] }],
  import: [{ args: ({ file }) => [file] }, { args: ({ file }) => [`${file}${evil.replaceAll("\0", "")}`] }],
  "log prove": [{ args: ({ id }) => [id] }, { args: ({ id }) => [id, "--json"] }, { args: () => ["--account"] }],
  "log checkpoint": [{}, { args: () => ["--json"] }, { args: () => ["--origin", evil, "--key", evil] }],
  "log monitor": [{ args: () => ["--once"] }, { args: () => ["--once", "--witness", evil] }],
  "log witness": [
    { args: () => ["--port", "0"], until: /ready/ },
    { args: () => ["--port", "0", "--name", "\u202e\u009bforged"], until: /ready/ },
  ],
  shell: [
    shell("await Physician.all()"),
    shell("(await Physician.all())[0].username"),
    shell("(await Physician.all()).map((row) => ({ ...row }))"),
    shell("(await Log.all())[0]"),
    shell("Promise.reject(new Error((await Physician.all())[0].username))"),
    shell("console.log((await Physician.all())[0].username)"),
    {
      args: ({ data }) => ["--data", data],
      input:
        "await Physician.all()\n(await Physician.all())[0].username\nthrow new Error((await Physician.all())[0].username)\n" +
        "console.log((await Physician.all())[0].username)\n",
      shows: true,
    },
    { args: ({ data }) => ["--data", data, "-e", `"${forged}\n(`] },
  ],
  verify: [{ args: ({ data }) => ["--data", data] }],
}

const loaded: readonly CliCommand[] = (await Promise.all(Object.values(commands).map((load) => load()))).flat()
const runs = loaded.flatMap((command) =>
  (cases[command.name] ?? [{}]).map((one, at) => [`${command.name} (${at + 1})`, command, one] as const),
)

/** A place for each argument, the data folder and JSON where a command has them. */
function plainArgs({ arguments: places = "", options }: CliCommand, { id, invited, data, file }: Scene): string[] {
  const values = { id, username: "bea", file }
  const given = Array.from(places.matchAll(/<(\w+)(?:\.\.\.)?>/g), ([, name]) =>
    name === "id" && places.includes("...")
      ? invited
      : (values[name as keyof typeof values] ?? evil.replaceAll("\0", "")),
  )
  const has = (flag: string) => options.some(({ flags }) => flags.startsWith(flag))
  return [...given, ...(has("--data") ? ["--data", data] : [])]
}

function wordsOf(command: CliCommand, one: Case): string[] {
  const args = one.args?.(scene) ?? plainArgs(command, scene)
  // No process is given an argument with a zero byte.
  return [...command.name.split(" "), ...args.map((word) => word.replaceAll("\0", ""))]
}

function envOf(one: Case): Record<string, string> {
  const env = {
    HEALTHCRYPT_SERVER: door.url,
    HEALTHCRYPT_USERNAME: "ada",
    HEALTHCRYPT_PASSWORD: password,
    HEALTHCRYPT_HOME: join(practice.folder, "devices/ada"),
    HEALTHCRYPT_BACKUP_PASSPHRASE: password,
    ...one.env,
  }
  return Object.fromEntries(Object.entries(env).map(([name, value]) => [name, value.replaceAll("\0", "")]))
}

/** Runs the real command in a pipe. @returns standard output and standard error */
async function inPipe(
  command: CliCommand,
  one: Case,
): Promise<{ stdout: string; stderr: string; code: number | null }> {
  let begun = false
  const child = spawn(process.execPath, [bin, ...wordsOf(command, one)], { env: { ...bareEnv, ...envOf(one) } })
  const output = { stdout: "", stderr: "" }
  for (const name of ["stdout", "stderr"] as const)
    child[name].setEncoding("utf8").on("data", (text: string) => {
      output[name] += text
      if (!begun && output.stderr.includes("Watching")) {
        begun = true
        one.meanwhile?.()
      }
      if (one.until?.test(output.stdout + output.stderr)) setTimeout(() => child.kill("SIGTERM"), 500)
    })
  const late = setTimeout(() => child.kill("SIGTERM"), 60_000)
  const killed = setTimeout(() => child.kill("SIGKILL"), 90_000)
  child.stdin.on("error", () => {})
  child.stdin.end(typeof one.input === "function" ? one.input(scene) : (one.input ?? ""))
  const code = await new Promise<number | null>((resolve) => child.once("close", resolve))
  clearTimeout(late)
  clearTimeout(killed)
  return { ...output, code }
}

beforeAll(async () => {
  door = await openDoor()
  door.open(practice.server.url, null, true)
  const [ada, bea] = await physicians(practice, "ada", "bea")
  await meet(ada!, bea!)
  Object.defineProperty(bea!.session, "fullName", { value: evil })
  const file = join(practice.folder, "evil.json")
  const ids: RecordId[] = []
  // One to read, one to accept, one to watch, and one that is never accepted.
  for (const at of [0, 1, 2, 3]) {
    const bytes = new TextEncoder().encode(JSON.stringify(bundleOf(evil, at)))
    const report = await importFile(bea!, "evil.json", bytes, () => {}, { aborted: false })
    ids.push(report.records[0]!.id)
    await writeFile(file, bytes)
  }
  const [id, invited, watched] = ids as [RecordId, RecordId, RecordId]
  for (const one of ids) await share(bea!, [one], "ada", "owner", null, many)
  await acceptInvitations(ada!, [id, watched], many)
  writeWatched = () => writeEvil(bea!, watched, [true])
  await writeEvil(bea!, id)
  await ada!.roster.sync()
  await ada!.roster.fold()
  await ada!.session.pins.save()
  const data = join(practice.folder, "hostile-data")
  await cp(join(practice.folder, "data"), data, { recursive: true, filter: (path) => !/lock\.db$|\.sock$/.test(path) })
  poison(join(data, "healthcrypt.db"))
  scene = { id, invited, data, live: join(practice.folder, "data"), file }
})
afterAll(() => door.close())

/** An entry with a note, and an author's name, that no honest client writes; and one that cannot be read. */
async function writeEvil(
  bea: Awaited<ReturnType<typeof practice.open>>,
  id: RecordId,
  kinds: readonly boolean[] = [true, false],
): Promise<void> {
  for (const readable of kinds) {
    const record = await bea.records.open(id)
    const seq = record.head.seq + 1
    const key = record.keys[0]!
    const body = encodeBody({ by: evil, changes: [], note: evil })
    const summary = encodeSummary({ ...summaryOf(record.chart), lastName: evil, firstName: evil, diagnoses: [evil] })
    const place = entryPlace(id, 0, readable ? seq : seq + 7, bea.session.physician)
    await appendRaw(bea, record, await seal(key, place, body), await seal(key, summaryPlace(id, 0, seq), summary))
  }
}

/** A patient of whom everything that can be a text is one and the same. */
function bundleOf(text: string, at: number) {
  const patient = `1111111${at}-1111-4111-8111-111111111111`
  const subject = { reference: `Patient/${patient}` }
  const coded = { text, coding: [{ system: "http://example.org", code: "x", display: text }] }
  const id = (n: number) => `2222222${n}-2222-4222-8222-22222222222${at}`
  const resources = [
    {
      resourceType: "Patient",
      id: patient,
      name: [{ family: text, given: [text], prefix: [text] }],
      birthDate: "1961-07-09",
      gender: "female",
      identifier: [{ type: { text }, system: text, value: text }],
      telecom: [{ system: "phone", value: text }],
      address: [{ text, line: [text], city: text }],
      contact: [{ relationship: [coded], name: { text }, telecom: [{ system: "phone", value: text }] }],
    },
    { resourceType: "Condition", id: id(1), subject, code: coded, note: [{ text }] },
    { resourceType: "AllergyIntolerance", id: id(2), patient: subject, code: coded },
    { resourceType: "Observation", id: id(3), subject, status: "final", code: coded, valueString: text },
    {
      resourceType: "MedicationRequest",
      id: id(4),
      subject,
      status: "active",
      intent: "order",
      medicationCodeableConcept: coded,
    },
    { resourceType: "Basic", id: id(5), subject, code: coded },
  ]
  return { resourceType: "Bundle", type: "collection", entry: resources.map((resource) => ({ resource })) }
}

/** Puts the hostile text into a row of every text column that takes it. */
function poison(path: string): void {
  const database = new DatabaseSync(path)
  database.exec("pragma ignore_check_constraints = on; pragma foreign_keys = off")
  const tables = database.prepare("select name from sqlite_schema where type = 'table'").all() as { name: string }[]
  let poisoned = 0
  for (const { name } of tables.filter(({ name }) => !/^(sqlite|kysely)_/.test(name)))
    for (const column of database.prepare(`pragma table_info("${name}")`).all() as { name: string; type: string }[]) {
      if (!/text/i.test(column.type)) continue
      try {
        const sql = `update "${name}" set "${column.name}" = ? where rowid = (select min(rowid) from "${name}")`
        poisoned += Number(database.prepare(sql).run(short).changes)
      } catch {
        // A column that is checked otherwise, or a table without rowid.
      }
    }
  database.close()
  expect(poisoned).toBeGreaterThan(5)
}

describe("in a pipe, with a hostile colleague, record and database", () => {
  it.each(runs)("%s", async (name, command, one) => {
    const { stdout, stderr } = await inPipe(command, one)
    expectHarmless(stdout, name)
    expectHarmless(stderr, name)
    expect(stdout + stderr).not.toContain("This is a fault of Healthcrypt")
    if (one.shows) expect(stdout + stderr, name).toContain("Mallory")
  })

  it("JSON loses nothing", async () => {
    const run = async (...words: string[]) => {
      const command = loaded.find(({ name }) => name === words.slice(0, 2).join(" ") || name === words[0])!
      const args = words.slice(command.name.split(" ").length)
      return JSON.parse((await inPipe(command, { args: () => args })).stdout)
    }
    const text = evil.normalize("NFC")
    expect((await run("records", "list", "--json"))[0].lastName).toBe(text)
    expect(JSON.stringify(await run("records", "history", scene.id, "--json"))).toContain(
      JSON.stringify(evil).slice(1, -1),
    )
    const [first] = (await run("export", scene.id, "-o", "-")).entry
    expect(first.resource.name[0].family).toBe(evil)
  })
})

/** What a hostile server says in the place of an honest one. */
const servers: Readonly<Record<string, Between>> = {
  "that adds lines to its checkpoints, and lies about itself": async (request, send) => {
    const answer = await send(request)
    const text = Buffer.from(answer.body).toString("utf8")
    if (request.path === "/log/checkpoint")
      return { ...answer, body: Buffer.from(`${text}${forged}\n${evil}\n— ${short.replace(/\s/g, "_")} AAAAAAAA\n`) }
    if (request.path !== "/api/practice") return answer
    return { ...answer, body: Buffer.from(JSON.stringify({ ...JSON.parse(text), version: evil, origin: evil })) }
  },
  "that refuses with words of its own, or answers with what is no answer": async (request, send) => {
    if (/^\/api\/(practice|login)/.test(request.path)) return send(request)
    if (request.method === "GET") return { status: 200, body: Buffer.from(`${evil}{"${evil}`) }
    const body = { code: "NOT_ALLOWED", message: evil, fields: { [evil]: evil }, error: evil }
    return { status: 403, body: Buffer.from(JSON.stringify(body)) }
  },
}

describe.each(Object.entries(servers))("before a server %s", (_, between) => {
  beforeAll(() => door.open(practice.server.url, between, true))
  afterAll(() => door.open(practice.server.url, null, true))

  const first = loaded.map((command) => [command.name, command, cases[command.name]?.[0] ?? {}] as const)
  it.each(first.filter(([name]) => !/^(serve|shell|verify|accounts|backup|restore$)/.test(name)))(
    "%s",
    async (name, command, one) => {
      const { stdout, stderr } = await inPipe(command, one)
      expectHarmless(stdout, name)
      expectHarmless(stderr, name)
      // Words of a server's are nowhere among ours, harmless or not.
      expect(stderr).not.toMatch(/Signed by the key that you named/)
    },
  )
})

it("a server that nobody has met has no name of words", async () => {
  door.open(practice.server.url, servers["that adds lines to its checkpoints, and lies about itself"]!, true)
  const command = loaded.find(({ name }) => name === "log checkpoint")!
  const fresh = { HEALTHCRYPT_HOME: join(practice.folder, "devices/fresh") }
  const { code, stdout, stderr } = await inPipe(command, { env: fresh })
  expect([code, stdout]).toEqual([1, ""])
  expect(stderr).toBe("The server's answer was not understood. Update this program.\n")
  const given = {
    args: () => [
      "--origin",
      "healthcrypt/another",
      "--key",
      "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
    ],
  }
  const named: Between = async () => ({
    status: 200,
    body: Buffer.from(`${evil.replace(/[\n\r].*/s, "")} ${forged}\n`),
  })
  door.open(practice.server.url, named, true)
  const other = await inPipe(command, { ...given, env: fresh })
  expectHarmless(other.stdout + other.stderr, "another name")
  expect(other.code).toBe(3)
  expect(other.stderr).not.toMatch(/Mallory|Signed by/)
  door.open(practice.server.url, null, true)
})

/** The moves of cursor and colour that prompts, bars and titles make. What a hostile text asks for is none of them. */
// biome-ignore lint/suspicious/noControlCharactersInRegex: those are what it is about
const ownMoves = /\u001b[78]|\u001b\[(?:\d*[A-GJK]|\?(?:7|25|2004)[lh]|\d+(?:;\d+)*m)/g

describe.skipIf(!hasTerminal)("on a terminal", () => {
  // What asks a person reads a pipe instead; of several runs of a command that speak to a server the first will do.
  const here = runs.filter(([name, , one]) => one.input === undefined && /^(shell|.*\(1\)$)/.test(name))
  it.each(here)("%s", async (name, command, one) => {
    const words = wordsOf(command, one)
    const terminal = openTerminal(words, envOf(one), undefined, 80)
    const late = setTimeout(() => terminal.types("\u0003"), 60_000)
    const go = async () => {
      if (one.meanwhile !== undefined) await terminal.reads("Watching").then(one.meanwhile)
      if (one.until === undefined) return
      await terminal.reads(one.until.source)
      setTimeout(() => terminal.types("\u0003"), 500)
    }
    // Where it ended before, that is looked at below.
    go().catch(() => {})
    await terminal.ended
    clearTimeout(late)
    const raw = terminal.raw()
    for (const asked of ["\u001b[2J", "\u001b[1;1H", "\u001b]52", "\u009b"]) expect(raw, name).not.toContain(asked)
    const shown = raw
      .replace(ownMoves, "")
      .replaceAll("\r\n", "\n")
      .replace(/\r(?=[^\n])/g, "\n")
    expect(stripVTControlCharacters(shown)).toBe(shown)
    expectHarmless(shown.replaceAll("^C", ""), name)
    if (one.shows) expect(shown, name).toContain("Mallory")
    // Where the terminal broke a line, the rest would stand at its beginning. JSON is not broken by us, or it were none.
    const isJson = words.some((word) => word === "--json" || word === "export")
    const long = shown.split("\n").filter((line) => line.length > 80 && line.includes("Mallory"))
    if (!isJson) expect(long, name).toEqual([])
  })
})
