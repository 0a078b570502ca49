import { backUp } from "../server/backup/backup.ts"
import { newPassphraseFrom, textOf, UsageError } from "./ask.ts"
import type { CliCommand } from "./command.ts"
import { nextSignal } from "./process.ts"

/** Copies the database of a running or stopped server. */
export const backup: CliCommand = {
  name: "backup",
  summary: "Copy a server's database, running or stopped, into one file, and verify the copy",
  arguments: "<file>",
  options: [
    { flags: "--data <folder>", description: "the folder that serve was given", default: "./healthcrypt-data" },
    { flags: "--with-secrets", description: "put the secrets folder in as well, sealed under a passphrase" },
    { flags: "--force", description: "replace a file that is there" },
  ],
  async run(io, options, args) {
    const [file = ""] = args
    if (args.length !== 1 || file.trim() === "") throw new UsageError("Name one file to write the backup to.")
    const withSecrets = options.withSecrets === true
    const passphrase = withSecrets ? await newPassphraseFrom(io) : null
    const ending = new AbortController()
    nextSignal().then(() => ending.abort())
    const dataDir = textOf(options.data, "--data")!
    const made = await backUp({ dataDir, file, force: options.force === true, passphrase, signal: ending.signal })
    for (const { name, count } of made.audit.counts) await io.out.line(`${name.padEnd(14)}  ${count}`)
    await io.err.line(`${file} holds everything up to leaf ${made.size} of the log, and verifies.`)
    for (const name of made.leftOut)
      await io.err.line(`Left out of the secrets: ${name}. No server reads it; keep a copy of it if you need one.`)
    if (!withSecrets)
      await io.err.line(
        "The secrets folder is not in it. Keep a copy of that elsewhere: without it there is no restore.",
      )
    return 0
  },
}
