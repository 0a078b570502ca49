import { readFile } from "node:fs/promises"
import { Command, CommanderError } from "commander"
import { AppError } from "../errors.ts"
import type { CliCommand, Io } from "./command.ts"

const commands: readonly (() => Promise<CliCommand>)[] = [async () => (await import("./serve.ts")).serve]

const io: Io = {
  stdin: process.stdin,
  stdout: process.stdout,
  stderr: process.stderr,
  env: process.env,
  isTerminal: process.stdin.isTTY === true && process.stderr.isTTY === true,
}
process.exitCode = await main(io, process.argv.slice(2))

async function main(io: Io, argv: readonly string[]): Promise<number> {
  const { version } = JSON.parse(await readFile(new URL("../../package.json", import.meta.url), "utf8"))
  const program = new Command("healthcrypt").version(version).exitOverride()
  program.description("An electronic medical record that its own server cannot read")
  let exitCode = 0
  for (const load of commands) {
    const command = await load()
    const sub = program.command(command.name).description(command.summary).exitOverride()
    if (command.arguments) sub.arguments(command.arguments)
    for (const option of command.options) sub.option(option.flags, option.description, option.default)
    sub.version(version)
    sub.action(async () => {
      exitCode = await command.run(io, sub.opts(), sub.args)
    })
  }
  try {
    await program.parseAsync(argv, { from: "user" })
    return exitCode
  } catch (error) {
    if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : 2
    if (!(error instanceof AppError)) throw error
    io.stderr.write(`${error.message}\n`)
    return error.is("TAMPERED") ? 3 : 1
  }
}
