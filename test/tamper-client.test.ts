import { join } from "node:path"
import { DatabaseSync } from "node:sqlite"
import { afterAll, beforeAll, describe, expect, test, vi } from "vitest"
import { Desk, desk, type ListedRow, type Outcome } from "./cli.ts"
import { openClient } from "./client.ts"
import { type LiveServer, removeFolder, serve, tempFolder } from "./server.ts"

vi.setConfig({ testTimeout: 300_000, hookTimeout: 300_000 })

type Value = string | number
type Row = Readonly<Record<string, Value>>

const usernames = ["ada", "bea", "cyd"] as const
let folder: string
let server: LiveServer
/** What every physician has, while nobody has touched it. */
const honest = new Map<string, ListedRow[]>()
const words = new Map<string, string[]>()
let homes = 0

beforeAll(async () => {
  folder = await tempFolder()
  server = await serve({ dataDir: join(folder, "data"), args: ["--log-level", "warn"] })
  await Promise.all(usernames.map(fill))
})
afterAll(async () => {
  await server.stop()
  await removeFolder(folder)
})

/** Two identities, two ways to unlock, and three records of three entries each. */
async function fill(username: string): Promise<void> {
  const before = desk(server.url, folder, username)
  words.set(username, await before.register(`First-${username}`, `Last-${username}`))
  await before.must(["password"], `${passwordOf(username)}\n`)
  const { session, roster, records, close } = await openClient(
    server.url,
    join(folder, `client-${username}`),
    username,
    passwordOf(username),
  )
  const { createPatient, savePatient } = await import("../src/client/edits.ts")
  const work = { session, roster, records }
  for (const name of ["Uno", "Duo", "Tre"]) {
    const fields = {
      firstName: `${name}-${username}`,
      lastName: "Geheim",
      birthDate: "1938-02-27",
      diagnosis: "Podagra",
    }
    const { id } = await createPatient(work, fields)
    for (const [seq, diagnosis] of ["Podagra acuta", "Podagra chronica"].entries())
      await savePatient(work, id, seq, { ...fields, diagnosis })
  }
  await session.end()
  close()
  honest.set(username, await freshDesk(username).list())
}

function passwordOf(username: string): string {
  return `the second one of ${username}`
}

/** A machine that remembers nothing. */
function freshDesk(username: string): Desk {
  const home = join(folder, "fresh", String(homes++))
  return new Desk({ server: server.url, username, password: passwordOf(username), home })
}

/** Runs work while one byte of one stored value is another. Beside the running server: what the server itself thinks of it is
 * no protection. */
async function flipped<T>(
  column: Column,
  row: Row,
  place: "first" | "middle" | "last",
  work: () => Promise<T>,
): Promise<T> {
  const value = read(column, row)
  const at = { first: 0, middle: value.length >> 1, last: value.length - 1 }[place]
  const changed = value.slice()
  changed[at]! ^= 1 << (at % 8)
  write(column, row, changed)
  try {
    return await work()
  } finally {
    write(column, row, value)
  }
}

interface Column {
  readonly table: string
  readonly column: string
  readonly key: readonly string[]
}

function open(): DatabaseSync {
  return new DatabaseSync(join(server.dataDir, "healthcrypt.db"), { timeout: 10_000 })
}

function query<T>(sql: string, ...values: (Value | Uint8Array)[]): T[] {
  const database = open()
  const rows = database.prepare(sql).all(...values) as T[]
  database.close()
  return rows
}

function read({ table, column, key }: Column, row: Row): Uint8Array {
  const where = key.map((name) => `${name} = ?`).join(" and ")
  const [found] = query<{ value: Uint8Array }>(
    `select ${column} as value from ${table} where ${where}`,
    ...valuesOf(key, row),
  )
  return new Uint8Array(found!.value)
}

function write({ table, column, key }: Column, row: Row, value: Uint8Array): void {
  const where = key.map((name) => `${name} = ?`).join(" and ")
  query(`update ${table} set ${column} = ? where ${where}`, value, ...valuesOf(key, row))
}

function valuesOf(key: readonly string[], row: Row): Value[] {
  return key.map((name) => row[name]!)
}

/** First, middle and last row, each with another byte to flip. */
function threeRows(column: Column, where = "true"): { row: Row; place: "first" | "middle" | "last" }[] {
  const rows = query<Row>(
    `select ${column.key.join(", ")} from ${column.table} where ${where} order by ${column.key.join(", ")}`,
  )
  expect(rows.length).toBeGreaterThanOrEqual(3)
  const chosen = [rows[0]!, rows[rows.length >> 1]!, rows.at(-1)!]
  return (["first", "middle", "last"] as const).map((place, i) => ({ row: chosen[i]!, place }))
}

function usernameOf(physician: Value): string {
  return query<{ username: string }>("select username from physician where id = ?", physician)[0]!.username
}

function ownerOf(record: Value): string {
  return usernameOf(query<{ physician: string }>("select physician from member where record = ?", record)[0]!.physician)
}

/** Nothing of any patient. */
function expectSilent({ stdout, stderr }: Outcome): void {
  expect(stdout).toBe("")
  expect(stderr).not.toMatch(/Geheim|Podagra|1938|Uno|Duo|Tre/)
  expect(stderr.trim()).not.toBe("")
}

const accountKey = ["id"] as const
const accountColumns = [
  { table: "physician", column: "opaque_record", key: accountKey, command: ["records", "list"], code: 1, says: "" },
  {
    table: "physician",
    column: "profile",
    key: accountKey,
    command: ["records", "list"],
    code: 1,
    says: "cannot be opened",
  },
  {
    table: "physician",
    column: "keyring",
    key: accountKey,
    command: ["records", "list"],
    code: 1,
    says: "cannot be opened",
  },
  { table: "physician", column: "recovery_key", key: accountKey, command: ["recover"], code: 1, says: "do not match" },
  {
    table: "identity",
    column: "statement",
    key: ["physician", "seq"],
    command: ["records", "list"],
    code: 3,
    says: "",
  },
  {
    table: "identity",
    column: "signature",
    key: ["physician", "seq"],
    command: ["records", "list"],
    code: 3,
    says: "signature",
  },
  {
    table: "unlock",
    column: "token",
    key: ["physician", "method"],
    command: ["records", "list"],
    code: 3,
    says: "identity",
    where: "method = 'password'",
  },
  {
    table: "unlock",
    column: "token",
    key: ["physician", "method"],
    command: ["recover"],
    code: 3,
    says: "identity",
    where: "method = 'recovery'",
  },
] as const

describe("an account of which one byte was flipped is refused whole", () => {
  for (const { table, column, key, command, code, says, ...rest } of accountColumns) {
    const named = { table, column, key }
    test(`${table}.${column}, by ${command.join(" ")}`, async () => {
      const where = "where" in rest ? rest.where : "true"
      for (const { row, place } of threeRows(named, where)) {
        const username = usernameOf(row[key[0]]!)
        const outcome = await flipped(named, row, place, () =>
          freshDesk(username).run(command, {
            input: words.get(username)!.join(" "),
            env: { HEALTHCRYPT_NEW_PASSWORD: "a third one, that is not taken" },
          }),
        )
        expect(outcome).toMatchObject({ code, stderr: expect.stringContaining(says) })
        expectSilent(outcome)
      }
    })
  }

  test("and untouched again, every account is there", async () => {
    for (const username of usernames) expect(await freshDesk(username).list()).toEqual(honest.get(username))
  })
})

const entryColumns = [
  { column: "statement", listed: false, code: "TAMPERED" },
  { column: "signature", listed: false, code: "TAMPERED" },
  { column: "summary", listed: false, code: "TAMPERED_TOKEN" },
  // The list is made without bodies.
  { column: "body", listed: true, code: "TAMPERED_TOKEN" },
] as const

describe("a record of which one byte was flipped is refused, and every other one is there", () => {
  test.each(entryColumns)("entry.$column", async ({ column, listed, code }) => {
    const named = { table: "entry", column, key: ["record", "seq"] }
    for (const { row, place } of threeRows(named)) {
      const username = ownerOf(row.record!)
      const [record, others] = split(username, row.record!)
      await flipped(named, row, place, async () => {
        const list = await freshDesk(username).run(["records", "list", "--json"])
        expect(JSON.parse(list.stdout)).toEqual(listed ? honest.get(username) : others)
        expect(list.code).toBe(listed ? 0 : 3)
        if (!listed) expect(list.stderr).toContain(`${record.id}: ${code}`)
        expect(list.stderr).not.toContain(record.firstName)
        const show = await freshDesk(username).run(["records", "show", record.id])
        expect(show.code).toBe(3)
        expectSilent(show)
        if (place !== "middle") return
        const history = await freshDesk(username).run(["records", "history", record.id])
        expect(history.code).toBe(3)
        expectSilent(history)
        expect(await freshDesk(username).show(others[0]!.id)).toMatchObject({ firstName: others[0]!.firstName })
      })
    }
  })

  test("self_grant.token: the record's key does not open, so nothing does", async () => {
    const named = { table: "self_grant", column: "token", key: ["physician", "record", "epoch"] }
    for (const { row, place } of threeRows(named)) {
      const username = usernameOf(row.physician!)
      const [record, others] = split(username, row.record!)
      await flipped(named, row, place, async () => {
        const list = await freshDesk(username).run(["records", "list", "--json"])
        expect(JSON.parse(list.stdout)).toEqual(others)
        expect(list).toMatchObject({ code: 1, stderr: expect.stringContaining(`${record.id}: CANNOT_OPEN`) })
        const show = await freshDesk(username).run(["records", "show", record.id])
        expect(show.code).toBe(1)
        expectSilent(show)
        if (place !== "middle") return
        expect(await freshDesk(username).show(others[0]!.id)).toMatchObject({ firstName: others[0]!.firstName })
      })
    }
  })

  test("leaf.salt of a record's head: the log does not hold the entry that is shown", async () => {
    const named = { table: "leaf", column: "salt", key: ["idx"] }
    const heads = "stream = 'entry' and idx in (select head_leaf from record)"
    for (const { row, place } of threeRows(named, heads)) {
      const [{ subject }] = query<{ subject: string }>("select subject from leaf where idx = ?", row.idx!) as [
        { subject: string },
      ]
      const username = ownerOf(subject)
      const [record, others] = split(username, subject)
      await flipped(named, row, place, async () => {
        const list = await freshDesk(username).run(["records", "list", "--json"])
        expect(JSON.parse(list.stdout)).toEqual(others)
        expect(list).toMatchObject({ code: 3, stderr: expect.stringContaining(`${record.id}: TAMPERED_LOG`) })
        const show = await freshDesk(username).run(["records", "show", record.id])
        expect(show.code).toBe(3)
        expectSilent(show)
      })
    }
  })

  test("tokens that change places do not open in the other's", async () => {
    const named = (column: string) => ({ table: "entry", column, key: ["record", "seq"] })
    const [one, two] = honest.get("ada")!
    for (const column of ["body", "summary"]) {
      const [a, b] = [
        read(named(column), { record: one!.id, seq: 1 }),
        read(named(column), { record: two!.id, seq: 1 }),
      ]
      write(named(column), { record: one!.id, seq: 1 }, b)
      try {
        const show = await freshDesk("ada").run(["records", "show", one!.id])
        expect(show.code).toBe(3)
        expectSilent(show)
      } finally {
        write(named(column), { record: one!.id, seq: 1 }, a)
      }
    }
  })
})

/** One record of a physician's, and the others. */
function split(username: string, record: Value): [ListedRow, ListedRow[]] {
  const rows = honest.get(username)!
  return [rows.find(({ id }) => id === record)!, rows.filter(({ id }) => id !== record)]
}

describe("a packed roster", () => {
  const named = { table: "segment", column: "token", key: ["physician", "id"] }

  beforeAll(async () => {
    for (const username of usernames) {
      const home = join(folder, `packing-${username}`)
      const { roster, session, close } = await openClient(server.url, home, username, passwordOf(username))
      await roster.fold(true)
      await session.end()
      close()
    }
  })

  test("is used: the list comes from it alone", async () => {
    for (const username of usernames) {
      const [record] = honest.get(username)!
      const summary = { table: "entry", column: "summary", key: ["record", "seq"] }
      const list = await flipped(summary, { record: record!.id, seq: 2 }, "middle", () => freshDesk(username).list())
      expect(list).toEqual(honest.get(username))
    }
  })

  test("of which one byte was flipped costs time, never truth: it is made anew from the records", async () => {
    for (const { row, place } of threeRows(named)) {
      const username = usernameOf(row.physician!)
      await flipped(named, row, place, async () => {
        expect(await freshDesk(username).list()).toEqual(honest.get(username))
        const { id, firstName } = honest.get(username)![0]!
        expect(await freshDesk(username).show(id)).toMatchObject({ firstName })
      })
    }
  })

  test("hides no entry that was touched from whoever opens the record", async () => {
    const statement = { table: "entry", column: "statement", key: ["record", "seq"] }
    const [record] = honest.get("bea")!
    const show = await flipped(statement, { record: record!.id, seq: 0 }, "middle", () =>
      freshDesk("bea").run(["records", "show", record!.id]),
    )
    expect(show.code).toBe(3)
    expectSilent(show)
  })
})
