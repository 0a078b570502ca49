import { stripVTControlCharacters } from "node:util"
import { describe, expect, it, vi } from "vitest"
import { hasTerminal, openTerminal } from "../terminal.ts"
import { envOf, inPipe, loaded, runs, wordsOf } from "./hostile-cases.ts"
import { evil, expectHarmless, openScene } from "./hostile-scene.ts"

vi.setConfig({ testTimeout: 240_000, hookTimeout: 240_000 })

const scene = await openScene()

describe("in a pipe, with a hostile colleague, record and database", () => {
  it.each(runs)("%s", async (name, command, one) => {
    const { stdout, stderr } = await inPipe(scene, command, one)
    expectHarmless(stdout, name)
    expectHarmless(stderr, name)
    expect(stdout + stderr).not.toContain("This is a fault of Healthcrypt")
    if (one.shows) expect(stdout + stderr, name).toContain("Mallory")
  })

  it("JSON loses nothing", async () => {
    const run = async (...words: string[]) => {
      const command = loaded.find(({ name }) => name === words.slice(0, 2).join(" ") || name === words[0])!
      const args = words.slice(command.name.split(" ").length)
      return JSON.parse((await inPipe(scene, command, { args: () => args })).stdout)
    }
    const text = evil.normalize("NFC")
    const [row] = await run("records", "list", "--json")
    // Of a name the list takes so much.
    expect([row.lastName, row.diagnoses[0]]).toEqual([text.slice(0, 200), text])
    expect(JSON.stringify(await run("records", "history", scene.id, "--json"))).toContain(
      JSON.stringify(evil).slice(1, -1),
    )
    const [first] = (await run("export", scene.id, "-o", "-")).entry
    expect(first.resource.name[0].family).toBe(evil)
  })
})

/** The moves of cursor and colour that prompts, bars and titles make. What a hostile text asks for is none of them. */
// biome-ignore lint/suspicious/noControlCharactersInRegex: those are what it is about
const ownMoves = /\u001b[78]|\u001b\[(?:\d*[A-GJK]|\?(?:7|25|2004)[lh]|\d+(?:;\d+)*m)/g

describe.skipIf(!hasTerminal)("on a terminal", () => {
  // What asks a person reads a pipe instead; of several runs of a command that speak to a server the first will do.
  const here = runs.filter(([name, , one]) => one.input === undefined && /^(shell|.*\(1\)$)/.test(name))
  it.each(here)("%s", async (name, command, one) => {
    const words = wordsOf(scene, command, one)
    const terminal = openTerminal(words, envOf(scene, one), undefined, 80)
    const late = setTimeout(() => terminal.types("\u0003"), 60_000)
    const go = async () => {
      if (one.meanwhile !== undefined) await terminal.reads("Watching").then(() => one.meanwhile?.(scene))
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
