import { readFile } from "node:fs/promises"
import { join } from "node:path"
import { afterAll, beforeAll, describe, expect, test, vi } from "vitest"
import { desk } from "../cli.ts"
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
