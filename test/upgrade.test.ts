import { join } from "node:path"
import { DatabaseSync } from "node:sqlite"
import { afterAll, beforeAll, describe, expect, test, vi } from "vitest"
import { Desk, runCli } from "./cli.ts"
import { openClient } from "./client.ts"
import { copyOldPractice, type OldPractice, oldRequests } from "./old-practice.ts"
import { type LiveServer, serve } from "./server.ts"

vi.setConfig({ testTimeout: 300_000, hookTimeout: 300_000 })

/** A practice of version 0.2 is opened, migrated, and goes on. The tests follow each other. */
let old: OldPractice
let server: LiveServer
let ada: Desk
let bea: Desk

beforeAll(async () => {
  old = await copyOldPractice()
  server = await serve({ dataDir: old.dataDir, args: ["--log-level", "warn"] })
  const desk = (username: "ada" | "bea") =>
    new Desk({ server: server.url, username, password: old.people[username].password, home: old.home(username) })
  ada = desk("ada")
  bea = desk("bea")
})
afterAll(async () => {
  await server.stop()
  await old.remove()
})

const rows = (sql: string) => {
  const database = new DatabaseSync(join(old.dataDir, "healthcrypt.db"), { readOnly: true })
  const found = database.prepare(sql).all()
  database.close()
  return found.map((row) => ({ ...row }))
}
const unsigned = () =>
  rows("select username from physician where keyring_statement is null or profile_statement is null").map(
    ({ username }) => username,
  )

describe("a practice of version 0.2", () => {
  test("is migrated, checks, and is signed for by nobody yet", async () => {
    const { code, stdout } = await runCli(["verify", "--data", old.dataDir])
    expect({ code, stdout }).toMatchObject({
      code: 0,
      stdout: expect.stringContaining("Everything is as it was signed"),
    })
    expect(unsigned()).toEqual(["ada", "bea", "cyd"])
  })

  test("lets both in with their pins, to every record that they had", async () => {
    const names = async (desk: Desk) => (await desk.list()).map(({ lastName }) => lastName).sort()
    expect(await names(ada)).toEqual(["Byrne", "Cole", "Ely", "Kuhlman"])
    expect(await names(bea)).toEqual(["Byrne", "Dorn", "Kuhlman"])
    expect(await ada.show(old.records.own)).toMatchObject({ diagnosis: "Healed fracture" })
    expect(await bea.show(old.records.shared)).toMatchObject({ diagnosis: "Penicillin allergy" })
    expect((await ada.must(["physicians", "show", "bea", "--json"])) as string).toContain('"verified"')
  })

  test("is signed for after each one's next save", async () => {
    expect(unsigned()).toEqual(["cyd"])
    const { people } = old
    const cyd = {
      server: server.url,
      username: "cyd",
      password: people.cyd.password,
      home: join(old.dataDir, "../cyd"),
    }
    await new Desk(cyd).list()
    expect(unsigned()).toEqual([])
  })

  test("goes on: both write, an invitation of before is accepted, somebody is removed and comes back", async () => {
    await ada.must(["records", "edit", old.records.shared], { diagnosis: "Asthma" })
    await bea.must(["records", "edit", old.records.shared], { diagnosis: "Gout" })
    expect(await ada.show(old.records.shared)).toMatchObject({ diagnosis: "Gout" })
    await bea.must(["shares", "accept", old.records.waiting])
    expect(await bea.show(old.records.waiting)).toMatchObject({ lastName: "Ely" })
    await ada.must(["unshare", old.records.shared, "bea"])
    await ada.must(["share", old.records.shared, "bea", "--role", "reader"])
    await bea.must(["shares", "accept", old.records.shared])
    expect(await bea.show(old.records.shared)).toMatchObject({ diagnosis: "Gout" })
  })

  test("folds its roster: the segments of before go with the keyring that no longer lists them", async () => {
    const { home, username, password } = ada.where
    const before = rows("select id from segment").map(({ id }) => id)
    const work = await openClient(server.url, home, username, password)
    await work.roster.fold(true)
    await work.session.end()
    work.close()
    const after = rows("select id from segment where statement is not null").map(({ id }) => id)
    expect(after.length).toBeGreaterThan(0)
    expect(before.every((id) => !after.includes(id))).toBe(true)
    expect(await ada.list()).toHaveLength(4)
  })

  test("lets them in with words and on a new machine", async () => {
    const env = { HEALTHCRYPT_NEW_PASSWORD: "a third password of bea" }
    const recovered = await bea.run(["recover"], { env, input: old.people.bea.words.join(" ") })
    expect(recovered).toMatchObject({ code: 0 })
    const anew = bea.with({ password: env.HEALTHCRYPT_NEW_PASSWORD, home: join(old.dataDir, "../bea-anew") })
    expect(await anew.list()).toHaveLength(4)
    expect((await runCli(["verify", "--data", old.dataDir])).code).toBe(0)
  })

  test("tells a client of version 0.2 to update, whatever it asks to be stored, and stores nothing", async () => {
    const requests = await oldRequests()
    expect(requests.map(({ method, path }) => `${method} ${path}`)).toEqual(
      expect.arrayContaining([
        "POST /api/login/start",
        "POST /api/register/start",
        "PUT /api/keyring",
        "POST /api/self-grants",
        expect.stringMatching(/^PUT \/api\/segments\//),
      ]),
    )
    const work = await openClient(server.url, ada.where.home, "ada", ada.where.password)
    const { bearer } = work.session.around.transport
    const { size } = work.session.pins.tree
    for (const { method, path, type, body } of requests.filter((one) => one.method !== "DELETE")) {
      const response = await fetch(server.url + path, {
        method,
        headers: { "content-type": type, authorization: `Bearer ${bearer}` },
        body: Buffer.from(body, "base64"),
      })
      const answer = (await response.json()) as { code: string; message: string }
      // A code that 0.2 knows: its own words for it are to update.
      expect({ path, ...answer }).toMatchObject({
        code: "BAD_INPUT_STATEMENT",
        message: expect.stringMatching(/^Update Healthcrypt/),
      })
    }
    await work.roster.sync()
    expect(work.session.pins.tree.size).toBe(size)
    await work.session.end()
    work.close()
  })
})
