import { readFile } from "node:fs/promises"
import { join } from "node:path"
import { afterAll, beforeAll, describe, expect, test, vi } from "vitest"
import { changePassword } from "../../src/client/account.ts"
import { desk } from "../cli.ts"
import { Restoring, password as restoringPassword } from "../restoring.ts"
import { type LiveServer, removeFolder, serve, tempFolder } from "../server.ts"
import { hasTerminal, openTerminal } from "../terminal.ts"

vi.setConfig({ testTimeout: 300_000, hookTimeout: 300_000 })

describe.skipIf(!hasTerminal)("on a terminal", () => {
  let folder: string
  let server: LiveServer
  const password = "correct horse battery"
  const env = () => ({ HEALTHCRYPT_SERVER: server.url, HEALTHCRYPT_HOME: join(folder, "home-ada") })

  beforeAll(async () => {
    folder = await tempFolder()
    server = await serve({ dataDir: join(folder, "data"), args: ["--log-level", "warn"] })
  })
  afterAll(async () => {
    await server.stop()
    await removeFolder(folder)
  })

  test("register asks for everything, shows no password, and has three words typed", async () => {
    const words = join(folder, "words")
    const terminal = openTerminal(["register"], env(), words)
    for (const [question, answer] of [
      ["Username", "ada"],
      ["First name", "Ada"],
      ["Last name", "Byron"],
      ["New password", password],
      ["The same again", password],
    ] as const) {
      await terminal.asks(question)
      terminal.types(`${answer}\r`)
    }
    for (let i = 0; i < 3; i++) {
      const asked = await terminal.asks("Word ")
      const word = (await readFile(words, "utf8")).split("\n")[Number(asked) - 1]!
      terminal.types(`${word}\r`)
    }
    expect(await terminal.ended).toBe(0)
    expect(terminal.screen()).not.toContain(password)
    expect(await readFile(words, "utf8")).toMatch(/^([a-z]{3,8}\n){24}$/)
    expect(await desk(server.url, folder, "ada", password).list()).toEqual([])
  })

  test("words on a screen are numbered, as the page's sheet numbers them", async () => {
    const username = "bea"
    const named = { ...env(), HEALTHCRYPT_USERNAME: username, HEALTHCRYPT_PASSWORD: password }
    const terminal = openTerminal(["register"], named)
    await terminal.asks("First name")
    terminal.types("Bea\r")
    await terminal.asks("Last name")
    terminal.types("Beta\r")
    await terminal.asks("Word ")
    terminal.types("\u0003")
    expect(await terminal.ended).toBe(2)
    const words = Array.from(terminal.screen().matchAll(/^ ?(\d+) {2}[a-z]{3,8}\r?$/gm), ([, number]) => Number(number))
    expect(words).toEqual(Array.from({ length: 24 }, (_, i) => i + 1))
  })

  test("add asks for the fields, and for username and password where the environment has none", async () => {
    const id = join(folder, "id")
    const terminal = openTerminal(["records", "add"], env(), id)
    for (const [question, answer] of [
      ["First name", "Bea"],
      ["Last name", "Beer"],
      ["Date of birth", "27.2.1938"],
      ["Diagnosis", "Gout"],
      ["Username", "ada"],
      ["Password", password],
    ] as const) {
      await terminal.asks(question)
      terminal.types(`${answer}\r`)
    }
    expect(await terminal.ended).toBe(0)
    expect(terminal.screen()).not.toContain(password)
    const shown = await desk(server.url, folder, "ada", password).show((await readFile(id, "utf8")).trimEnd())
    expect(shown).toMatchObject({ firstName: "Bea", lastName: "Beer", birthDate: "1938-02-27", diagnosis: "Gout" })
  })

  test("Ctrl+C stops before anything is changed, with exit code 2", async () => {
    const terminal = openTerminal(["records", "add"], env())
    await terminal.asks("First name")
    terminal.types("\u0003")
    expect(await terminal.ended).toBe(2)
    expect(terminal.screen()).toContain("Nothing was changed")
  })

  /** Types a new password and its repetition. */
  const typesTwice = async (terminal: ReturnType<typeof openTerminal>, first: string, second = first) => {
    for (const [question, typed] of [
      ["New password", first],
      ["The same again", second],
    ] as const) {
      await terminal.asks(question)
      terminal.types(`${typed}\r`)
    }
  }

  test("a new password that was mistyped is asked for again, up to three times", async () => {
    const named = { ...env(), HEALTHCRYPT_USERNAME: "ada", HEALTHCRYPT_PASSWORD: password }
    const right = openTerminal(["password"], named)
    await typesTwice(right, "a new long password", "a new lonk password")
    await right.reads("The two differ")
    await typesTwice(right, "short")
    await right.reads("at least 12 characters")
    await typesTwice(right, password)
    expect(await right.ended, right.screen()).toBe(0)
    const wrong = openTerminal(["password"], named)
    for (let i = 0; i < 3; i++) await typesTwice(wrong, "a new long password", "a new lonk password")
    expect(await wrong.ended).toBe(1)
    expect(wrong.screen()).toContain("Nothing was changed")
  })

  test("after a restore the code is asked for before a new password, and nothing is confirmed before both are there", async () => {
    const practice = await Restoring.start()
    try {
      await practice.register("cyd")
      await practice.backUp("night", true)
      const cyd = await practice.open("cyd")
      await changePassword(cyd.session, restoringPassword, "a password of since")
      await practice.putAway(cyd)
      const { code } = await practice.restore("night")
      const named = {
        HEALTHCRYPT_SERVER: practice.url,
        HEALTHCRYPT_HOME: practice.home("cyd"),
        HEALTHCRYPT_USERNAME: "cyd",
        HEALTHCRYPT_PASSWORD: restoringPassword,
      }
      const stopped = openTerminal(["restored"], named)
      await stopped.asks("The code of 30 digits")
      stopped.types(`${code}\r`)
      await stopped.asks("New password")
      stopped.types("\u0003")
      expect(await stopped.ended).toBe(2)
      const again = openTerminal(["restored"], named)
      await again.asks("The code of 30 digits")
      again.types(`${code}\r`)
      await typesTwice(again, "one more long password", "one more lonk password")
      await typesTwice(again, "one more long password")
      expect(await again.ended, again.screen()).toBe(0)
      await practice.open("cyd", "cyd", "one more long password")
    } finally {
      await practice.close()
    }
  })

  test("the shell is a prompt", async () => {
    const terminal = openTerminal(["shell", "--data", server.dataDir], {})
    await terminal.reads("healthcrypt>")
    terminal.types("await Record.all()\r")
    await terminal.reads("gAAAAA")
    terminal.types("await Physician.count()\r")
    await terminal.reads("\n2")
    terminal.types("\u0004")
    expect(await terminal.ended).toBe(0)
    expect(terminal.screen()).not.toMatch(/Beer|Gout/)
  })
})
