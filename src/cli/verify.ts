import { AppError } from "../errors.ts"
import { type Audit, auditDatabase } from "../server/audit/audit.ts"
import { findDataFolder } from "../server/data-folder.ts"
import { findLogPublicKey } from "../server/secrets.ts"
import { textOf } from "./ask.ts"
import type { CliCommand, Io } from "./command.ts"

const shownFindings = 100

/** Checks a stopped or running server's database without any key that opens something. */
export const verify: CliCommand = {
  name: "verify",
  summary: "Check every chain, signature, stored hash and log node of a server's database",
  options: [
    { flags: "--data <folder>", description: "the folder that serve was given", default: "./healthcrypt-data" },
  ],
  async run(io, options) {
    const folder = await findDataFolder(textOf(options.data, "--data")!)
    const logKey = await findLogPublicKey(folder)
    const audit = await auditDatabase(folder.database, logKey).catch((cause) => {
      throw cause instanceof AppError ? cause : unreadable(folder.database, cause)
    })
    await report(io, audit, logKey !== null)
    return audit.findings.length === 0 ? 0 : 3
  },
}

async function report(io: Io, { practice, counts, findings }: Audit, signatureChecked: boolean): Promise<void> {
  const width = Math.max(8, ...counts.map(({ name }) => name.length))
  await io.out.line(`${"practice".padEnd(width)}  ${practice ?? "?"}`)
  await io.out.lines(counts.map(({ name, count }) => `${name.padEnd(width)}  ${count}`))
  for (const { row, what } of findings.slice(0, shownFindings)) await io.err.line(`TAMPERED ${row}: ${what}`)
  if (findings.length > shownFindings) await io.err.line(`and ${findings.length - shownFindings} more`)
  if (!signatureChecked)
    await io.err.line("The checkpoint's signature was not checked: the log's key lies in secrets/, which is not here.")
  if (findings.length === 0)
    await io.out.line(`Everything ${signatureChecked ? "" : "else "}is as it was signed and logged.`)
  else
    await io.err.line(
      "This database was changed behind Healthcrypt's back. Stop the server, keep a copy of the folder as evidence, and " +
        "compare it with your backups.",
    )
}

function unreadable(path: string, cause: unknown): AppError {
  const advice =
    `${path} cannot be read as Healthcrypt's database: it is damaged, of another program or of another version. ` +
    "Check the path and the version; otherwise put your copy of it back."
  return new AppError("UNAVAILABLE_STORAGE", advice, { cause })
}
