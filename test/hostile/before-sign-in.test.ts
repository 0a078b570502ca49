import { mkdtemp, rm } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { client as opaqueClient } from "@serenity-kit/opaque"
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import { encodeBase64url } from "../../src/encoding/base64.ts"
import { newId } from "../../src/encoding/ids.ts"
import { pageHeader, paths, protocolHeader, protocolVersion } from "../../src/protocol/paths.ts"
import { bytesNeedle, type Needle, Search } from "../leaks.ts"
import { assemble, type Cast, resume } from "./cast.ts"
import { openWorld, type World } from "./world.ts"

/** What whoever knocks is told before they have proved anything. */
let folder: string
let world: World
let cast: Cast
let search: Search

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "healthcrypt-before-"))
  world = await openWorld(join(folder, "data"))
  cast = await assemble(world.url, join(folder, "homes"))
  const { open, close } = await resume(world.url, cast.signedIn.ben, join(folder, "packing"))
  await (await open()).roster.fold(true)
  close()
  search = new Search(needles(world))
})
afterAll(async () => {
  await world?.close()
  await rm(folder, { recursive: true, force: true })
})

/** What the public log consists of; everything else that is stored as bytes is nobody's business. */
const open = new Set(["leaf.data", "node.hash"])
const piece = 24

/** Of every value in every column of bytes: its end, and a piece in between. */
function needles({ sql }: World): Needle[] {
  const found: Needle[] = []
  const tables = sql<{ name: string }>(
    "select name from sqlite_schema where type = 'table' and name not like 'sqlite_%'",
  )
  for (const { name: table } of tables)
    for (const { name: column, type } of sql<{ name: string; type: string }>(
      "select * from pragma_table_info(?)",
      table,
    )) {
      if (type.toLowerCase() !== "blob" || open.has(`${table}.${column}`)) continue
      for (const { value } of sql<{ value: Uint8Array }>(
        `select distinct ${column} as value from ${table} where length(${column}) >= 16 and ${column} != zeroblob(32)`,
      ))
        for (const [at, bytes] of [
          value.slice(-piece),
          value.slice(value.length >> 1, (value.length >> 1) + piece),
        ].entries())
          if (bytes.length >= 16) found.push(bytesNeedle(`${table}.${column} ${at}`, new Uint8Array(bytes)))
    }
  return found
}

/** Every address, with ids that exist. */
function addresses(): string[] {
  const [segment] = world.sql<{ id: string }>("select id from segment")
  const fill: Record<string, string> = {
    ":record": cast.records.shared,
    ":segment": segment!.id,
    ":seq": "0",
    ":username": "ben",
    ":physician": cast.ids.ben,
    ":session": newId(),
  }
  const tiles = ["0/000", "0/000.p/9", "entries/000", "entries/000.p/9", "1/000"]
  return Object.values(paths).flatMap((pattern) => {
    const path = pattern.replace(/:\w+/g, (name) => fill[name] ?? expect.fail(`${pattern} has a place of its own kind`))
    return path.endsWith("*") ? tiles.map((tile) => path.replace("*", tile)) : [path]
  })
}

const bodies = (username: string): readonly unknown[] => [
  {},
  { username },
  { username, startLoginRequest: opaqueClient.startLogin({ password: "a password" }).startLoginRequest },
  { username, registrationRequest: opaqueClient.startRegistration({ password: "a password" }).registrationRequest },
  { registrationRequest: opaqueClient.startRegistration({ password: "a password" }).registrationRequest },
  { username, nonce: zeros(32), signature: zeros(64), carrier: "bearer" },
  { to: 5, sizes: [1, 2, 3] },
  { act: "read" },
  { signed: { statement: zeros(100), signature: zeros(64) }, tokens: [zeros(105)] },
]
const zeros = (count: number) => encodeBase64url(new Uint8Array(count))
const query = "?since=0&pinned=0&limit=1000&before=9007199254740991&from=0"
const strangers = (): readonly Record<string, string>[] => [
  {},
  { authorization: `Bearer ${zeros(32)}` },
  {
    cookie: `healthcrypt-${world.store.practice}=${zeros(32)}`,
    [pageHeader]: zeros(32),
    "sec-fetch-site": "same-origin",
  },
]

async function ask(method: string, path: string, headers: Record<string, string>, body?: unknown) {
  const response = await fetch(world.url + path, {
    method,
    headers: {
      [protocolHeader]: protocolVersion,
      ...headers,
      ...(body === undefined ? {} : { "content-type": "application/json" }),
    },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  })
  const text = Buffer.from(await response.arrayBuffer())
  return { status: response.status, said: Buffer.concat([Buffer.from(JSON.stringify([...response.headers])), text]) }
}

describe("before anybody has signed in", () => {
  it("no answer, at whatever address, holds a byte of what is sealed or signed", async () => {
    const leaks: string[] = []
    let answers = 0
    for (const path of addresses())
      for (const method of ["GET", "POST", "PUT", "DELETE"])
        for (const headers of strangers()) {
          const given = method === "POST" || method === "PUT" ? bodies("ben") : [undefined]
          for (const body of given) {
            const { said } = await ask(method, method === "GET" ? path + query : path, headers, body)
            answers++
            leaks.push(...search.find(said).map(({ needle }) => `${method} ${path}: ${needle}`))
          }
        }
    expect(answers).toBeGreaterThan(1000)
    expect(leaks).toEqual([])
  })

  it("and the search finds it in what a session is told", async () => {
    const headers = { authorization: `Bearer ${cast.signedIn.ben.bearer}` }
    const told = new Set<string>()
    for (const path of addresses()) {
      // That answer goes on for ever, and says nothing.
      if (path === paths.events) continue
      const { said } = await ask("GET", path + query, headers)
      for (const { needle } of search.find(said)) told.add(needle.replace(/ \d$/, ""))
    }
    expect([...told].sort()).toEqual(
      expect.arrayContaining([
        "entry.body",
        "entry.signature",
        "entry.statement",
        "entry.summary",
        "identity.statement",
        "leaf.salt",
        "physician.keyring",
        "physician.profile",
        "sealed_grant.token",
        "segment.token",
        "self_grant.token",
        "unlock.token",
      ]),
    )
  })

  it("a username that nobody has is answered like one that somebody has", async () => {
    for (const path of [paths.loginStart, paths.recoverStart]) {
      const shapes = await Promise.all(
        ["ben", "nobody-here"].map(async (username) => {
          const { startLoginRequest } = opaqueClient.startLogin({ password: "a password" })
          const body = path === paths.loginStart ? { username, startLoginRequest } : { username }
          const response = await fetch(world.url + path, {
            method: "POST",
            headers: { [protocolHeader]: protocolVersion, "content-type": "application/json" },
            body: JSON.stringify(body),
          })
          const told = Object.entries((await response.json()) as Record<string, string>)
          return [response.status, [...response.headers.keys()], told.map(([name, text]) => [name, text.length])]
        }),
      )
      expect(shapes[1], path).toEqual(shapes[0])
      expect(shapes[0]![0], path).toBe(200)
    }
  })

  it("a wrong ending is refused in the same words, whoever was named", async () => {
    for (const username of ["ben", "nobody-here"]) {
      const nonce = await fetch(world.url + paths.recoverStart, {
        method: "POST",
        headers: { [protocolHeader]: protocolVersion, "content-type": "application/json" },
        body: JSON.stringify({ username }),
      }).then(async (response) => ((await response.json()) as { nonce: string }).nonce)
      const body = { username, nonce, signature: zeros(64), carrier: "bearer" }
      const { status, said } = await ask("POST", paths.recoverFinish, {}, body)
      expect([status, said.toString().includes('"code":"NOT_ALLOWED_RECOVERY"')], username).toEqual([401, true])
    }
  })
})
