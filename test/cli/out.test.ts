import { readdir, readFile } from "node:fs/promises"
import { join } from "node:path"
import { describe, expect, it } from "vitest"
import { isTestCode } from "../boundaries/rules.ts"
import { membersOf, scan } from "../boundaries/scan.ts"

/** The one file that holds a stream to write to. */
const door = "out.ts"
const folder = join(import.meta.dirname, "../../src/cli")

/** Of these modules none writes to a terminal by itself, as they are used here. A new line is one that somebody has looked at. */
const modules: readonly string[] = [
  "commander", // its output is configured in main.ts
  "kysely",
  "node:fs",
  "node:fs/promises",
  "node:http",
  "node:https",
  "node:net",
  "node:os",
  "node:path",
  "node:readline", // in shell.ts, on an input alone
  "node:sqlite",
  "node:stream",
  "node:timers/promises",
  "node:tls",
  "node:url",
  "node:util",
  "node:vm",
]
const ofTheDoor = ["@clack/prompts", "cli-progress", "node:repl"]
const ofTheProcess = "argv channel env exit exitCode kill on once pid removeAllListeners removeListener".split(" ")

/** By what a file of the command line could write past the door. */
function waysPast(name: string, text: string): string[] {
  const { specifiers, globals, unclear } = scan(name, text)
  const isDoor = name === door
  const foreign = specifiers.filter((from) => !from.startsWith("."))
  const past = foreign.filter((from) => !modules.includes(from) && !(isDoor && ofTheDoor.includes(from)))
  const others = globals.filter((global) => !["process", "fetch"].includes(global))
  const process = membersOf(name, text, "process").filter(
    (member) => !ofTheProcess.includes(member) && !(isDoor && ["stdin", "stdout", "stderr", "this"].includes(member)),
  )
  const words = text.match(/\/dev\/|\/proc\/|\bwriteSync\b|\bcreateWriteStream\b|\bWriteStream\b|\boutput: /g) ?? []
  return [
    ...unclear,
    ...past.map((from) => `imports ${from}`),
    ...others.map((global) => `uses ${global}`),
    ...process.map((member) => `uses process.${member}`),
    ...(isDoor ? [] : words.map((word) => `says ${word}`)),
  ]
}

describe("the one way out of the command line", async () => {
  const names = (await readdir(folder, { recursive: true })).filter((name) => name.endsWith(".ts") && !isTestCode(name))
  const files = await Promise.all(
    names.sort().map(async (name) => [name, await readFile(join(folder, name), "utf8")] as const),
  )

  it("is taken by every file", () => {
    expect(files.length).toBeGreaterThan(30)
    expect(files.flatMap(([name, text]) => waysPast(name, text).map((way) => `${name} ${way}`))).toEqual([])
  })

  it("is the only file that has a stream to write to", () => {
    const text = new Map(files).get(door)!
    expect(waysPast("other.ts", text)).toEqual(
      expect.arrayContaining(["imports @clack/prompts", "imports node:repl", "uses process.this"]),
    )
  })

  it.each([
    ["process.stdout.write('x')", "uses process.stdout"],
    ["process['std' + 'err'].write('x')", "uses process.[…]"],
    ["const { stdout } = process", "uses process.this"],
    ["export const p = process", "uses process.this"],
    ["process.emitWarning('x')", "uses process.emitWarning"],
    ["console.log('x')", "uses console"],
    ["globalThis.console.log('x')", "uses globalThis"],
    ["import { text } from '@clack/prompts'", "imports @clack/prompts"],
    ["import { SingleBar } from 'cli-progress'", "imports cli-progress"],
    ["const { start } = await import('node:repl')", "imports node:repl"],
    ["import { stdout } from 'node:process'", "imports node:process"],
    ["import { WriteStream } from 'node:tty'", "imports node:tty"],
    ["import { log } from 'node:console'", "imports node:console"],
    ["import { spawn } from 'node:child_process'", "imports node:child_process"],
    ["import { writeSync } from 'node:fs'", "says writeSync"],
    ["import { open } from 'node:fs/promises'\nopen('/dev/tty', 'w')", "says /dev/"],
  ])("would refuse %s", (code, way) => {
    expect(waysPast("records.ts", `${new Map(files).get("records.ts")}\n${code}\n`)).toContain(way)
  })
})
