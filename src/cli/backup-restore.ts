import { restore as putBack, type Restored, restoreCode, spanOf } from "../server/backup/restore.ts"
import { parseWitnessAddress } from "../server/witnesses.ts"
import { secretFrom, textOf, UsageError } from "./ask.ts"
import type { CliCommand, Io } from "./command.ts"
import { wordsOf } from "./ids.ts"

/** Puts a backup into a folder that no server runs on. */
export const restore: CliCommand = {
  name: "restore",
  summary: "Put a backup into a folder; every physician then confirms it with the code that this prints",
  arguments: "[file]",
  options: [
    {
      flags: "--data <folder>",
      description: "a new folder, or that of a stopped server",
      default: "./healthcrypt-data",
    },
    { flags: "--force", description: "restore although more is remembered than the backup holds" },
    { flags: "--witness <vkey=url...>", description: "ask this witness whether it has seen more" },
    { flags: "--code", description: "print the code of the last restore once more" },
  ],
  async run(io, options, args) {
    const dataDir = textOf(options.data, "--data")!
    if (options.code === true) {
      if (args.length > 0) throw new UsageError("--code takes no file.")
      const last = await restoreCode(dataDir)
      if (last === null) throw new UsageError("This folder was never restored, so there is no code.")
      await say(io, last)
      return 0
    }
    const [file = ""] = args
    if (args.length !== 1 || file.trim() === "") throw new UsageError("Name the backup to restore.")
    const witnesses = wordsOf(options.witness).map((text) => {
      const address = parseWitnessAddress(text)
      if (address !== null) return address
      throw new UsageError("--witness takes a witness's vkey, = and its address: name+0123abcd+BASE64=https://….")
    })
    const passphrase = () => secretFrom(io, "HEALTHCRYPT_BACKUP_PASSPHRASE", "The backup's passphrase")
    const done = await putBack({ file, dataDir, force: options.force === true, passphrase, witnesses, now: Date.now })
    if (done.aside !== null) await io.err.line(`What was there before lies in ${done.aside}.`)
    await sayLost(io, done.lost)
    await say(io, done)
    return 0
  },
}

/** What physicians will meet, and what to do about it, in order. */
async function sayLost(io: Io, lost: Restored["lost"]): Promise<void> {
  const { accounts } = lost
  await io.err.line(`What physicians will meet:${spanOf(lost)} What was written after that is missing.`)
  if (accounts === null) await io.err.line("- Accounts that were made since are gone; which, nobody can say here.")
  else if (accounts.length === 1) await io.err.line(`- 1 account that was made since is gone: ${accounts[0]}.`)
  else if (accounts.length > 1)
    await io.err.line(`- ${accounts.length} accounts that were made since are gone: ${accounts.join(", ")}.`)
  await io.err.line("- Passwords and recovery words of that time count again, and those that were set since do not.")
  await io.err.line(
    "- Accounts are suspended, or not, as they were then. Sessions have ended, and invitations are void.",
  )
  await io.err.line("What to do next:")
  await io.err.line("1. Start the server. Look at `healthcrypt accounts list`, and suspend anew who has to be.")
  await io.err.line(
    "2. Read the code below to every physician. They sign in with the password of that time, and type it.",
  )
  await io.err.line("3. Invite again whose account is gone: `healthcrypt accounts invite`. They sign up anew.")
}

async function say(io: Io, { succession, code }: Pick<Restored, "succession" | "code">): Promise<void> {
  const { kept, known, to } = succession
  await io.err.line(`The log goes on as ${to.origin}, from leaf ${kept.size} on.`)
  if (known.size > kept.size)
    await io.err.line(`It is known to have had ${known.size}: what was written after leaf ${kept.size} is lost here.`)
  await io.err.line(
    "Read this code to every physician, over the phone or face to face, and to whoever watches the log.",
  )
  await io.err.line("Until somebody types it, their devices refuse this server. --code prints it again.")
  await io.out.whole(code)
  await io.out.demandWritten(
    "The backup is in its place; nobody has its code yet: print it with `healthcrypt restore --code`.",
  )
}
