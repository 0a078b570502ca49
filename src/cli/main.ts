import { readFile } from "node:fs/promises"
import { Command, CommanderError } from "commander"
import { AppError } from "../errors.ts"
import { UsageError } from "./ask.ts"
import type { Io } from "./command.ts"
import { commands, summaries } from "./commands.ts"
import { processStreams } from "./out.ts"
import { endWithParent, showFaults, showWarnings } from "./process.ts"

const environment = `
Environment:
  HEALTHCRYPT_SERVER        the server's address (http://localhost:5000)
  HEALTHCRYPT_USERNAME      who you are; asked for on a terminal
  HEALTHCRYPT_PASSWORD      your password; asked for on a terminal
  HEALTHCRYPT_NEW_PASSWORD  for password and recover; asked for on a terminal
  HEALTHCRYPT_INVITE        for register: the invitation code; asked for on a terminal
  HEALTHCRYPT_BACKUP_PASSPHRASE  seals and opens the secrets in a backup; asked for
                            on a terminal
  HEALTHCRYPT_HOME          where this machine remembers what it has seen (~/.healthcrypt)
  HEALTHCRYPT_CA            a certificate authority to trust besides the system's

Times and days are local. A time names its distance from UTC; with --json it is
in UTC.

Exit codes: 0 done, 1 refused, 2 usage, 3 tampered.`

/** Whether what runs is there for others than whoever reads its output. */
let goesOn = false
const io = openIo()
showFaults(io.err)
showWarnings(io.err)
endWithParent()
process.exitCode = await demandOutput(await main(process.argv.slice(2)))

function openIo(): Io {
  const { stdin, out, err } = processStreams()
  return { stdin, out, err, env: process.env, isTerminal: stdin.isTTY === true && err.isTerminal }
}

async function main(argv: readonly string[]): Promise<number> {
  const { version } = JSON.parse(await readFile(new URL("../../package.json", import.meta.url), "utf8"))
  const program = new Command("healthcrypt").version(version).exitOverride().showHelpAfterError("(--help says more)")
  program.configureOutput({
    writeOut: (text) => void io.out.lines(linesOf(text)),
    writeErr: (text) => void io.err.lines(linesOf(text)),
    // It quotes what was typed: what stands in several lines there is one here.
    outputError: (text) => void io.err.line(text.trim()),
  })
  program.description("An electronic medical record that its own server cannot read").addHelpText("after", environment)
  const [word = ""] = argv
  const asked = Object.hasOwn(commands, word) ? commands[word] : undefined
  const loaded =
    asked === undefined ? await Promise.all(Object.values(commands).map((load) => load())) : [await asked()]
  let exitCode = 0
  for (const command of loaded.flat()) {
    const sub = place(program, command.name, version).description(command.summary)
    if (command.arguments) sub.arguments(command.arguments)
    for (const option of command.options) sub.option(option.flags, option.description, option.default)
    sub.action(async () => {
      goesOn = command.isServer === true
      exitCode = await command.run(io, sub.opts(), sub.args)
    })
  }
  try {
    await program.parseAsync(argv, { from: "user" })
    return exitCode
  } catch (error) {
    return report(error)
  }
}

/** Who does not read on has had enough, and that is no failure; an output that was to be kept and could not be is one. */
async function demandOutput(code: number): Promise<number> {
  await io.out.settle()
  return code === 0 && io.out.failure !== null && !io.out.hasNoReader && !goesOn ? 1 : code
}

/** The commander command for a name of one or two words. */
function place(program: Command, name: string, version: string): Command {
  const [first, second] = name.split(" ") as [string, string | undefined]
  const add = (parent: Command, word: string) => parent.command(word).version(version).exitOverride()
  if (second === undefined) return add(program, first)
  const group = program.commands.find((command) => command.name() === first)
  return add(group ?? add(program, first).description(summaries[first] ?? ""), second)
}

/** Help is this program's own text. */
function linesOf(text: string): string[] {
  return text.replace(/\n$/, "").split("\n")
}

async function report(error: unknown): Promise<number> {
  if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : 2
  if (error instanceof UsageError) {
    await io.err.line(error.message)
    return 2
  }
  if (!(error instanceof AppError)) throw error
  const fields = Object.entries(error.fields ?? {}).map(([name, message]) => `  ${name}: ${message}`)
  // The message of a form speaks of marks that only a page has, or repeats what its fields say.
  await io.err.lines([fields.length > 0 ? "Correct these fields, then try again:" : error.message, ...fields])
  return error.is("TAMPERED") ? 3 : 1
}
