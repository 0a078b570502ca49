import { readdir, readFile, stat } from "node:fs/promises"
import { join } from "node:path"
import { DatabaseSync } from "node:sqlite"
import { wordlist } from "@scure/bip39/wordlists/english.js"
import { afterAll, beforeAll, describe, expect, test, vi } from "vitest"
import { signIn } from "../../src/client/account.ts"
import { type Desk, desk } from "../cli.ts"
import { openClient, surroundings } from "../client.ts"
import { type LiveServer, removeFolder, serve, tempFolder } from "../server.ts"

vi.setConfig({ testTimeout: 300_000, hookTimeout: 300_000 })

let folder: string
let server: LiveServer
beforeAll(async () => {
  folder = await tempFolder()
  server = await serve({ dataDir: join(folder, "data") })
})
afterAll(async () => {
  await server.stop()
  await removeFolder(folder)
})

const at = (username: string, password?: string): Desk => desk(server.url, folder, username, password)
const names = { firstName: "Ada", lastName: "Byron" }
const patient = { firstName: "Bea", lastName: "Beer", birthDate: "1938-02-27", diagnosis: "Podagra" }
const wrong = "Username and password do not match. Check both, or use your recovery words.\n"
const tooMany = /^Too many attempts/

function query(sql: string): unknown[] {
  const database = new DatabaseSync(join(server.dataDir, "healthcrypt.db"), { readOnly: true, timeout: 10_000 })
  const rows = database.prepare(sql).all()
  database.close()
  return rows
}

describe("register", () => {
  test("prints 24 recovery words, one a line, nothing else; what to do with them goes to standard error", async () => {
    const { code, stdout, stderr } = await at("ada").run(["register"], { input: names })
    expect(code).toBe(0)
    expect(stdout).toMatch(/^([a-z]{3,8}\n){24}$/)
    for (const word of stdout.trimEnd().split("\n")) expect(wordlist).toContain(word)
    expect(stderr).toMatch(/Write these 24 words down/)
    expect(stderr).toMatch(/Practice [\w-]{22}, log healthcrypt\/[\w-]{22}, log key [0-9a-f]{64}/)
  })

  test("refuses a taken username, in whatever case, and makes nothing", async () => {
    for (const username of ["ada", "ADA"]) {
      const outcome = await at(username, "quite another password").run(["register"], { input: names })
      expect(outcome).toMatchObject({ code: 1, stdout: "", stderr: expect.stringContaining("This username is taken.") })
    }
    expect(query("select username from physician")).toHaveLength(1)
  })

  test("names each field once, and refuses one that there is not", async () => {
    const short = await at("ivy", "elevenchars").run(["register"], { input: { firstName: "Ivy", lastName: "" } })
    expect(short).toMatchObject({ code: 1, stdout: "" })
    expect(short.stderr).toBe(
      "Correct these fields, then try again:\n" +
        "  lastName: Enter your last name, up to 200 characters.\n" +
        "  password: Choose a password of at least 12 characters.\n",
    )
    const strange = await at("ivy").run(["register"], { input: { ...names, middleName: "Q", lastName: 7 } })
    expect(strange).toMatchObject({ code: 1, stdout: "" })
    expect(strange.stderr).toContain("  middleName: There is no such field. Use firstName, lastName.\n")
    expect(strange.stderr).toContain("  lastName: Give this as text.\n")
    const empty = await at("ada").run(["records", "add"], { input: {} })
    expect(empty).toMatchObject({ code: 1, stdout: "" })
    expect(empty.stderr).toMatch(
      /^Correct these fields, then try again:\n( {2}(firstName|lastName|birthDate): .+\n){3}$/,
    )
    expect(query("select username from physician")).toHaveLength(1)
  })

  test("takes the password in any Unicode form, and names in any script", async () => {
    const composed = "Zwölf Bäume für Zoë".normalize("NFC")
    const zoe = at("zoe", composed)
    await zoe.must(["register"], { firstName: "Ζωή", lastName: "Ångström 李" })
    const id = await zoe.with({ password: composed.normalize("NFD") }).add(patient)
    const history = JSON.parse(await zoe.must(["records", "history", id, "--json"]))
    expect(history[0].author).toBe("Ζωή Ångström 李")
  })

  test("keeps what it has seen for itself alone", async () => {
    expect(await readFile(join(folder, "home-ada/device"), "utf8")).toHaveLength(22)
    for (const entry of await readdir(join(folder, "home-ada"), { recursive: true })) {
      const { mode } = await stat(join(folder, "home-ada", entry))
      expect(mode & 0o077).toBe(0)
    }
  })
})

describe("signing in", () => {
  test("with a wrong password or an unknown username fails in the same words", async () => {
    expect(await at("ada", "not the password").run(["records", "list"])).toMatchObject({
      code: 1,
      stdout: "",
      stderr: wrong,
    })
    expect(await at("nobody").run(["records", "list"])).toMatchObject({ code: 1, stdout: "", stderr: wrong })
    expect(await at("no body").run(["records", "list"])).toMatchObject({ code: 1, stdout: "", stderr: wrong })
  })

  test("takes the username in any case", async () => {
    expect(await at("ada").with({ username: "ADA" }).list()).toEqual([])
  })

  test("shows the password in no command line and on no screen", async () => {
    let pid = 0
    const running = at("ada").run(["records", "list"], {
      started: (started) => {
        pid = started
      },
    })
    const cmdline = await readFile(`/proc/${pid}/cmdline`, "utf8")
    const { stdout, stderr } = await running
    expect(cmdline).toContain("records")
    for (const text of [cmdline, stdout, stderr]) expect(text).not.toContain("correct horse")
  })

  test("leaves no session behind", async () => {
    await at("ada").list()
    expect(
      query("select session.id from session join physician on physician.id = session.physician where username = 'ada'"),
    ).toEqual([])
  })
})

describe("guessing", () => {
  test("is stopped after ten wrong passwords, for a known and an unknown username alike; nobody else is", async () => {
    await at("bea").register("Bea", "Bloom")
    for (const username of ["bea", "unknown"]) {
      const guesses = await Promise.all(
        [0, 1].map(async (half) => {
          const outcomes = []
          for (let i = 0; i < 5; i++) outcomes.push(await at(username, `guess ${half} ${i}`).run(["records", "list"]))
          return outcomes
        }),
      )
      for (const outcome of guesses.flat()) expect(outcome).toMatchObject({ code: 1, stdout: "", stderr: wrong })
      for (const password of ["guess eleven", "correct horse battery"]) {
        const outcome = await at(username, password).run(["records", "list"])
        expect(outcome).toMatchObject({ code: 1, stdout: "", stderr: expect.stringMatching(tooMany) })
      }
    }
    expect(await at("ada").list()).toEqual([])
  })

  test("recovery words is stopped as well, and leaves the log-in alone", async () => {
    await at("cyd").register("Cyd", "Charm")
    const other = await at("dee").register("Dee", "Dover")
    const guess = () => at("cyd").run(["recover"], { input: other.join("\n") })
    for (let i = 0; i < 10; i++)
      expect(await guess()).toMatchObject({ code: 1, stdout: "", stderr: expect.stringContaining("do not match") })
    expect(await guess()).toMatchObject({ code: 1, stdout: "", stderr: expect.stringMatching(tooMany) })
    expect(await at("cyd").list()).toEqual([])
  })

  test("is not what thirty sign-ins at once are, nor many one after the other", async () => {
    const eve = at("eve")
    await eve.register("Eve", "Ember")
    const once = (_: unknown, i: number) =>
      eve.with({ home: join(folder, `eve-${i}`) }).run(["records", "list", "--json"])
    for (const outcome of await Promise.all(Array.from({ length: 30 }, once)))
      expect(outcome).toMatchObject({ code: 0, stdout: "[]\n", stderr: "" })
    for (let i = 0; i < 15; i++) {
      const { around, close } = surroundings(server.url, join(folder, "eve-in-process"))
      await (await signIn(around, "eve", eve.where.password)).end()
      close()
    }
  })
})

describe("password", () => {
  const tokensOf = () => query("select record, seq, statement, summary, body from entry order by record, seq")

  test("changes it, ends other sessions, and touches no record", async () => {
    const fay = at("fay")
    await fay.register("Fay", "Field")
    const id = await fay.add(patient)
    const other = await openClient(server.url, join(folder, "fay-2"), "fay", "correct horse battery")
    const before = tokensOf()
    const changed = await fay.run(["password"], { env: { HEALTHCRYPT_NEW_PASSWORD: "staple of another kind" } })
    expect(changed).toMatchObject({ code: 0, stdout: "", stderr: expect.stringContaining("Your password is changed") })
    expect(tokensOf()).toEqual(before)
    expect(await fay.run(["records", "list"])).toMatchObject({ code: 1, stdout: "", stderr: wrong })
    expect((await at("fay", "staple of another kind").list()).map((row) => row.id)).toEqual([id])
    await expect(other.roster.sync()).rejects.toMatchObject({ code: "NOT_ALLOWED_SESSION" })
    other.close()
  })

  test("takes the new one as one line of standard input, too", async () => {
    await at("fay", "staple of another kind").must(["password"], "and a third one, typed\n")
    expect(await at("fay", "and a third one, typed").list()).toHaveLength(1)
  })

  test("is refused when the current one is wrong or the new one too short, and stays", async () => {
    const refused = await at("fay", "not the password").run(["password"], { input: "long enough to be one" })
    expect(refused).toMatchObject({ code: 1, stdout: "", stderr: wrong })
    const short = await at("fay", "and a third one, typed").run(["password"], { input: "elevenchars" })
    expect(short).toMatchObject({ code: 1, stdout: "", stderr: expect.stringContaining("12 characters") })
    expect(await at("fay", "and a third one, typed").list()).toHaveLength(1)
  })
})

describe("recover", () => {
  test("sets a new password and prints new words; old password and old words stop working", async () => {
    const gus = at("gus")
    const words = await gus.register("Gus", "Grove")
    const id = await gus.add(patient)
    const other = await openClient(server.url, join(folder, "gus-2"), "gus", "correct horse battery")
    const renewed = at("gus", "a password after the flood")
    const typed = words.map((word, i) => `${i + 1}. ${word.toUpperCase()}`).join("\n")
    const { code, stdout, stderr } = await renewed.run(["recover"], { input: typed })
    expect(code).toBe(0)
    expect(stdout).toMatch(/^([a-z]{3,8}\n){24}$/)
    expect(stderr).toMatch(/Write these 24 words down/)
    expect(stdout.trimEnd().split("\n")).not.toEqual(words)

    expect((await renewed.list()).map((row) => row.id)).toEqual([id])
    expect(await gus.run(["records", "list"])).toMatchObject({ code: 1, stdout: "", stderr: wrong })
    const again = await at("gus", "yet another password").run(["recover"], { input: words.join(" ") })
    expect(again).toMatchObject({ code: 1, stdout: "", stderr: expect.stringContaining("do not match") })
    await expect(other.roster.sync()).rejects.toMatchObject({ code: "NOT_ALLOWED_SESSION" })
    other.close()

    const newest = at("gus", "yet another password")
    await newest.must(["recover"], stdout)
    expect((await newest.list()).map((row) => row.id)).toEqual([id])
  })

  test("refuses the words of another, an unknown username, and a short new password, in the same way to the outside", async () => {
    const words = (await at("hal").register("Hal", "Heath")).join(" ")
    const refused = {
      code: 1,
      stdout: "",
      stderr: expect.stringContaining("Username and recovery words do not match."),
    }
    expect(await at("ada", "a password of somebody").run(["recover"], { input: words })).toMatchObject(refused)
    expect(await at("nobody-2", "a password of somebody").run(["recover"], { input: words })).toMatchObject(refused)
    const short = await at("hal", "elevenchars").run(["recover"], { input: words })
    expect(short).toMatchObject({ code: 1, stdout: "", stderr: expect.stringContaining("12 characters") })
    expect(await at("hal").list()).toEqual([])
  })
})

describe("the server", () => {
  test("wrote of all this no username, no address, no password and no id into its log", () => {
    const log = server.log()
    expect(log).toContain("/api/login/finish")
    expect(log).not.toMatch(/\b(ada|bea|gus|zoe)\b|127\.0\.0\.1"|correct horse|remoteAddress|authorization|bearer/i)
    const [row] = query("select id from record limit 1") as { id: string }[]
    expect(log).not.toContain(row!.id)
  })
})
