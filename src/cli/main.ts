import { readFile } from "node:fs/promises"
import { Command, CommanderError } from "commander"
import { AppError } from "../errors.ts"
import { UsageError } from "./ask.ts"
import type { CliCommand, Io } from "./command.ts"
import { clean } from "./print.ts"
import { endWithParent, hideExperimentNotices } from "./process.ts"

/** First word of a command line → the commands that begin with it. Only what is asked for is loaded. */
const commands: Readonly<Record<string, () => Promise<readonly CliCommand[]>>> = {
  serve: async () => [(await import("./serve.ts")).serve],
  register: async () => [(await import("./register.ts")).register],
  password: async () => [(await import("./password.ts")).password],
  recover: async () => [(await import("./recover.ts")).recover],
  records: async () => [...(await import("./records.ts")).records, (await import("./watch.ts")).watch],
  physicians: async () => (await import("./physicians.ts")).physicians,
  share: async () => [(await import("./sharing.ts")).share],
  shares: async () => (await import("./sharing.ts")).shares,
  members: async () => [(await import("./sharing.ts")).members],
  unshare: async () => [(await import("./sharing.ts")).unshare],
  import: async () => [(await import("./import.ts")).importCommand],
  export: async () => [(await import("./export.ts")).exportCommand],
  token: async () => [(await import("./token.ts")).token],
  log: async () => (await import("./log.ts")).log,
  shell: async () => [(await import("./shell.ts")).shell],
  verify: async () => [(await import("./verify.ts")).verify],
}

const summaries: Readonly<Record<string, string>> = {
  records: "List, show, add, edit, archive, watch records, and see their history",
  physicians: "Show a colleague's safety number, and verify them",
  shares: "List, accept and decline what colleagues share with you",
  log: "See that the practice's log only grows: checkpoint, prove, monitor, witness",
}

const environment = `
Environment:
  HEALTHCRYPT_SERVER        the server's address (http://localhost:5000)
  HEALTHCRYPT_USERNAME      who you are; asked for on a terminal
  HEALTHCRYPT_PASSWORD      your password; asked for on a terminal
  HEALTHCRYPT_NEW_PASSWORD  for password and recover; asked for on a terminal
  HEALTHCRYPT_HOME          where this machine remembers what it has seen (~/.healthcrypt)
  HEALTHCRYPT_CA            a certificate authority to trust besides the system's

Times and days are local. A time names its distance from UTC; with --json it is
in UTC.

Exit codes: 0 done, 1 refused, 2 usage, 3 tampered.`

const io: Io = {
  stdin: process.stdin,
  stdout: process.stdout,
  stderr: process.stderr,
  env: process.env,
  isTerminal: process.stdin.isTTY === true && process.stderr.isTTY === true,
}
process.stdout.on("error", (error: NodeJS.ErrnoException) => {
  if (error.code === "EPIPE") process.exit(0)
})
hideExperimentNotices()
endWithParent()
process.exitCode = await main(process.argv.slice(2))

async function main(argv: readonly string[]): Promise<number> {
  const { version } = JSON.parse(await readFile(new URL("../../package.json", import.meta.url), "utf8"))
  const program = new Command("healthcrypt").version(version).exitOverride().showHelpAfterError("(--help says more)")
  program.description("An electronic medical record that its own server cannot read").addHelpText("after", environment)
  const asked = commands[argv[0] ?? ""]
  const loaded =
    asked === undefined ? await Promise.all(Object.values(commands).map((load) => load())) : [await asked()]
  let exitCode = 0
  for (const command of loaded.flat()) {
    const sub = place(program, command.name, version).description(command.summary)
    if (command.arguments) sub.arguments(command.arguments)
    for (const option of command.options) sub.option(option.flags, option.description, option.default)
    sub.action(async () => {
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

/** The commander command for a name of one or two words. */
function place(program: Command, name: string, version: string): Command {
  const [first, second] = name.split(" ") as [string, string | undefined]
  const add = (parent: Command, word: string) => parent.command(word).version(version).exitOverride()
  if (second === undefined) return add(program, first)
  const group = program.commands.find((command) => command.name() === first)
  return add(group ?? add(program, first).description(summaries[first] ?? ""), second)
}

function report(error: unknown): number {
  if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : 2
  if (error instanceof UsageError) {
    io.stderr.write(`${error.message}\n`)
    return 2
  }
  if (!(error instanceof AppError)) throw error
  const fields = Object.entries(error.fields ?? {}).map(([name, message]) => `  ${name}: ${message}`)
  // The message of a form speaks of marks that only a page has, or repeats what its fields say.
  const message = fields.length > 0 ? ["Correct these fields, then try again:"] : error.message.split("\n")
  io.stderr.write(`${[...message, ...fields].map(clean).join("\n")}\n`)
  return error.is("TAMPERED") ? 3 : 1
}
