import { readdir, readFile } from "node:fs/promises"
import { join } from "node:path"
import { DatabaseSync } from "node:sqlite"
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest"
import { renewWords, signIn } from "../../src/client/account.ts"
import { createPatient } from "../../src/client/edits.ts"
import { acceptInvitations } from "../../src/client/invitations.ts"
import type { Session, Surroundings } from "../../src/client/session.ts"
import { share } from "../../src/client/sharing.ts"
import { type HttpRequest, type Send, Transport } from "../../src/client/transport.ts"
import { type Workspace, workspaceOf } from "../../src/client/workspace.ts"
import { encodeBase64url, parseBase64url } from "../../src/encoding/base64.ts"
import { parseUtf8 } from "../../src/encoding/bytes.ts"
import { newId, type RecordId } from "../../src/encoding/ids.ts"
import { keyToken, paddedToken } from "../../src/encoding/token-form.fixture.ts"
import { isTokenForm } from "../../src/encoding/token-form.ts"
import { paths } from "../../src/protocol/paths.ts"
import { recover } from "../client.ts"
import { brady, give, many, meet, physicians } from "../colleagues.ts"
import { oldRequests } from "../old-practice.ts"
import { type Practice, password, startPractice } from "../practice.ts"

vi.setConfig({ testTimeout: 300_000, hookTimeout: 300_000 })

/** Somebody has the secret of a session, whole: bearer or cookie, with every header that goes with it. They try whatever writes, with what
 * they saw pass, with junk, and with what version 0.2 sent. Nothing that only the physician can make may be lost. */
let practice: Practice
let ada: Workspace
let words: string[]
const records: RecordId[] = []
let invited: RecordId
/** What ada's own client sent. */
const seen: HttpRequest[] = []

beforeAll(async () => {
  practice = await startPractice()
  const [, ben] = (await physicians(practice, "ada", "ben")) as [Workspace, Workspace]
  ada = await practice.open("ada", "ada", (request, send) => {
    seen.push(request)
    return send(request)
  })
  await meet(ada, ben)
  records.push((await createPatient(ada, brady)).id)
  const theirs = (await createPatient(ben, { ...brady, lastName: "Shared" })).id
  await give(ben, ada, theirs, "writer")
  records.push(theirs)
  await ada.roster.fold(true)
  await createPatient(ada, { ...brady, lastName: "Loose" }).then(({ id }) => records.push(id))
  await ada.roster.fold(true)
  invited = (await createPatient(ben, { ...brady, lastName: "Waiting" })).id
  expect(await share(ben, [invited], "ada", "reader", null, many)).toMatchObject({ done: 1 })
  words = [...(await renewWords(ada.session, password)).words]
})
afterAll(() => practice.close())

const open = async (session: Session): Promise<Workspace> => {
  const work = workspaceOf(session)
  await work.roster.load()
  await work.roster.sync()
  await work.roster.looked()
  return work
}

/** All that nobody could make again, as it lies in the database. */
function kept() {
  const database = new DatabaseSync(join(practice.folder, "data/healthcrypt.db"), { readOnly: true })
  const mine = ada.session.physician
  const all = (sql: string) =>
    database
      .prepare(sql)
      .all(mine)
      .map((row) => ({ ...row }))
  const segments = all("select id, token from segment where physician = ? order by id")
  const found = [
    all(
      "select keyring_number, keyring, profile_number, profile, opaque_record, recovery_key from physician where id = ?",
    ),
    all("select * from self_grant where physician = ? order by record, epoch"),
    all("select * from unlock where physician = ? order by method"),
    all("select * from identity where physician = ? order by seq"),
  ]
  database.close()
  return { found, segments }
}

/** Every write that can be thought of. @param stolen the headers that carry the session */
async function attack(stolen: Readonly<Record<string, string>>): Promise<Map<string, Set<number>>> {
  const tried = new Map<string, Set<number>>()
  const send = async (method: string, path: string, type: string, body?: Uint8Array) => {
    const response = await fetch(practice.server.url + path, {
      method,
      headers: { ...stolen, ...(body && { "content-type": type }) },
      ...(body && { body: body as Uint8Array<ArrayBuffer> }),
    })
    await response.arrayBuffer()
    const route = `${method} ${patternOf(path)}`
    tried.set(route, (tried.get(route) ?? new Set()).add(response.status))
  }
  const writes = seen.filter(({ method }) => method === "POST" || method === "PUT")
  for (const { method, path, headers, body } of writes) {
    if (body === undefined || door(path)) continue
    const type = headers["content-type"] ?? ""
    // Again, as it was; and with junk in the place of all that is sealed, under the old statement.
    await send(method, path, type, body)
    await send(method, path, type, type === "application/json" ? junkIn(body) : junkBytes(body))
  }
  const old = await oldRequests()
  for (const pattern of Object.values(paths)) {
    if (door(pattern) || pattern.startsWith("/log")) continue
    const fill: Record<string, string> = {
      ":record": records[0]!,
      ":segment": newId(),
      ":seq": "0",
      ":username": "ben",
      ":physician": ada.session.physician,
      ":session": newId(),
    }
    for (const record of [records[0]!, invited, newId()]) {
      const path = pattern.replace(/:\w+/g, (name) => (name === ":record" ? record : (fill[name] ?? "")))
      for (const method of ["POST", "PUT"]) {
        for (const body of junkBodies(record))
          await send(method, path, "application/json", Buffer.from(JSON.stringify(body)))
        await send(method, path, "application/octet-stream", paddedToken(2000))
        for (const one of old.filter((request) => patternOf(request.path) === pattern))
          await send(method, path, one.type, Buffer.from(one.body, "base64"))
      }
    }
    // What ends the stolen session itself comes last.
    const path = pattern.replace(/:\w+/g, (name) => fill[name] ?? "")
    if (pattern !== paths.session && pattern !== paths.sessionHalf) await send("DELETE", path, "")
  }
  const { roster } = ada.session.keyring
  for (const { id } of roster.segments) await send("DELETE", paths.segment.replace(":segment", id), "")
  for (const path of [paths.sessionHalf, paths.session]) await send("DELETE", path, "")
  return tried
}

/** Addresses where nobody needs a session: who comes to them has to prove something else. */
function door(path: string): boolean {
  return /^\/api\/(login|register|recover|practice)/.test(path)
}

function patternOf(path: string): string {
  const [plain = ""] = path.split("?")
  const fits = Object.values(paths).filter((pattern) =>
    new RegExp(`^${pattern.replace(/:\w+/g, "[^/]+")}$`).test(plain),
  )
  return fits[0] ?? plain
}

/** The same JSON with random tokens for every token in it. */
function junkIn(body: Uint8Array): Uint8Array {
  const change = (value: unknown): unknown => {
    if (Array.isArray(value)) return value.map(change)
    if (typeof value === "object" && value !== null)
      return Object.fromEntries(Object.entries(value).map(([name, field]) => [name, change(field)]))
    if (typeof value !== "string" || !/^[A-Za-z0-9_-]{100,}$/.test(value)) return value
    const bytes = parseBase64url(value)
    if (isTokenForm(bytes, "key")) return encodeBase64url(keyToken())
    if (isTokenForm(bytes, "padded")) return encodeBase64url(paddedToken(bytes.length - 400))
    return value
  }
  return Buffer.from(JSON.stringify(change(JSON.parse(parseUtf8(body)))))
}

/** A segment's statement before another token. */
function junkBytes(body: Uint8Array): Uint8Array {
  const token = paddedToken(2000)
  return Buffer.concat([body.subarray(0, Math.max(0, body.length - token.length)), token])
}

function junkBodies(record: string): unknown[] {
  const text = (bytes: Uint8Array) => encodeBase64url(bytes)
  const signed = { statement: text(new Uint8Array(300)), signature: text(new Uint8Array(64)) }
  const big = text(paddedToken(2000))
  return [
    {},
    { number: 1, token: text(new Uint8Array(3)), since: 0 },
    { number: ada.session.keyringNumber + 1, token: big, since: 0 },
    { token: big, signed, since: 0 },
    { token: big, signed },
    { signed, tokens: [text(keyToken())] },
    { records: [{ record, selfGrants: [{ epoch: 0, token: text(keyToken()) }] }] },
    { ...signed, body: big, summary: big, selfGrant: text(keyToken()), since: 0 },
    {
      identity: signed,
      password: { registrationRecord: "AAAA", generation: 1, token: text(keyToken()) },
      recovery: { recoveryKey: text(new Uint8Array(32)), generation: 2, token: text(keyToken()) },
      since: 0,
    },
  ]
}

/** A client that carries a cookie, and lets its headers be stolen. */
function cookieDevice(name: string): { around: Surroundings; stolen: () => Record<string, string> } {
  let cookie = ""
  let headers: Readonly<Record<string, string>> = {}
  const send: Send = async (request) => {
    const { method, path, body } = request
    headers = { ...request.headers, "sec-fetch-site": "same-origin" }
    const response = await fetch(practice.server.url + path, {
      method,
      headers: { ...headers, ...(cookie && { cookie }) },
      ...(body && { body: body as Uint8Array<ArrayBuffer> }),
    })
    cookie = response.headers.getSetCookie().at(-1)?.split(";")[0] ?? cookie
    return { status: response.status, body: new Uint8Array(await response.arrayBuffer()) }
  }
  const around = { ...practice.device(name), transport: new Transport(send), carrier: "cookie" } as const
  return {
    around,
    stolen: () => {
      const { "content-type": _, ...rest } = headers
      return { ...rest, cookie }
    },
  }
}

async function demandEverything(work: Workspace): Promise<void> {
  expect([...work.roster.rows.keys()].sort()).toEqual([...records].sort())
  expect([...work.roster.refused]).toEqual([])
  for (const id of records) expect((await work.records.open(id)).chart.resources.size).toBeGreaterThan(0)
}

describe("a stolen session", () => {
  it("is tried at every address that writes", async () => {
    const folder = join(import.meta.dirname, "../../src/server/routes")
    for (const name of (await readdir(folder)).filter((file) => file.endsWith(".ts") && !file.includes(".test.")))
      for (const [, place] of (await readFile(join(folder, name), "utf8")).matchAll(
        /app\.(?:post|put|delete|patch)\(\s*([^,]+),/g,
      ))
        expect(place, name).toMatch(/^paths\.\w+$/)
  })

  const steal: readonly [string, () => Promise<Record<string, string>>][] = [
    [
      "the secret of a program's session is stolen",
      async () => {
        const around = practice.device("stolen bearer")
        await signIn(around, "ada", password)
        const { bearer, session } = around.transport
        const { "x-healthcrypt-protocol": protocol } = seen[0]!.headers
        return {
          authorization: `Bearer ${bearer}`,
          "x-healthcrypt-protocol": protocol!,
          "x-healthcrypt-session": String(session),
        }
      },
    ],
    [
      "the cookie of a page is stolen, with every header that goes with it",
      async () => {
        const { around, stolen } = cookieDevice("stolen cookie")
        await signIn(around, "ada", password)
        return stolen()
      },
    ],
  ]

  for (const [name, take] of steal)
    it(name, async () => {
      const headers = await take()
      const works = await fetch(practice.server.url + paths.keyring, { headers })
      expect(works.status).toBe(200)
      const before = kept()
      const tried = await attack(headers)
      // Refused for what it said, not for who said it.
      for (const route of [
        `PUT ${paths.keyring}`,
        `POST ${paths.selfGrants}`,
        `PUT ${paths.segment}`,
        `PUT ${paths.profile}`,
        `POST ${paths.unlocks}`,
      ])
        expect(
          [...(tried.get(route) ?? [])].some((status) => status === 400 || status === 409),
          route,
        ).toBe(true)
      const after = kept()
      expect(after.found).toEqual(before.found)
      // One of ada's own that was packed anew may be put back by who saw it pass: no keyring lists it, and a later one clears it away.
      expect(after.segments).toEqual(expect.arrayContaining(before.segments))
      practice.pass(24 * 3_600_000)
      await demandEverything(await open(await signIn(practice.device(`fresh after: ${name}`), "ada", password)))
      await demandEverything(await open(await signIn(practice.device("ada"), "ada", password)))
    })

  it("leaves the words and the invitations alone, too", async () => {
    const { session, sheet } = await recover(practice.device("by words"), "ada", words.join(" "), password)
    expect(sheet.words).toHaveLength(24)
    const work = await open(session)
    await demandEverything(work)
    expect(await acceptInvitations(work, [invited], many)).toMatchObject({ done: 1, refused: [] })
    expect(work.roster.rows.has(invited)).toBe(true)
  })
})
