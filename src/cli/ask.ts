import { AppError } from "../errors.ts"
import type { Io } from "./command.ts"

const maxInputBytes = 4 * 1024 * 1024

/** Thrown when something that a command needs was not given, or cannot be what was meant: exit code 2. */
export class UsageError extends Error {
  override readonly name = "UsageError"
}

/** Reads what an option or an argument says. @throws UsageError where that is malformed */
export function reading<T>(option: string, read: () => T): T {
  try {
    return read()
  } catch (error) {
    if (error instanceof AppError && error.is("BAD_INPUT")) throw new UsageError(`${option}: ${error.message}`)
    throw error
  }
}

/** An option that has to say something; `null` where it was left out. An empty one is a variable that was not set. */
export function textOf(value: unknown, option: string): string | null {
  if (value === undefined) return null
  if (typeof value !== "string" || value.trim() === "") throw new UsageError(`${option} is empty.`)
  return value
}

/** A secret from the environment, or asked for on a terminal without showing it. Never from argv. */
export async function secretFrom(io: Io, variable: string, question: string): Promise<string> {
  const given = io.env[variable]
  if (given !== undefined && given !== "") return given
  if (!io.isTerminal) throw new UsageError(`Set ${variable}, or run this on a terminal to be asked.`)
  return answer(await io.err.askSecret(question))
}

/** A new password, asked for twice on a terminal; elsewhere from a variable or one line of standard input. */
export async function newPasswordFrom(io: Io, variables: readonly string[]): Promise<string> {
  for (const variable of variables) if (io.env[variable]) return io.env[variable]
  if (!io.isTerminal) {
    const line = (await readInput(io)).split(/\r?\n/)[0] ?? ""
    if (line !== "") return line
    throw new UsageError(`Give the new password as one line on standard input, or set ${variables[0]}.`)
  }
  return askTwice(io, "New password (12 characters or more)")
}

/** Asks for a new secret until it is long enough and was typed twice alike, up to three times. */
async function askTwice(io: Io, question: string): Promise<string> {
  for (let asked = 1; ; asked++) {
    const first = answer(await io.err.askSecret(question))
    const second = answer(await io.err.askSecret("The same again"))
    const isShort = [...first.normalize("NFC")].length < 12
    if (first === second && !isShort) return first
    const problem = first === second ? "Choose at least 12 characters." : "The two differ."
    if (asked === 3) throw new AppError("BAD_INPUT_PASSWORD", `${problem} Nothing was changed.`)
    await io.err.line(`${problem} Type it again.`)
  }
}

/** A passphrase for a backup's secrets: from the environment, or asked for twice on a terminal. */
export async function newPassphraseFrom(io: Io): Promise<string> {
  const variable = "HEALTHCRYPT_BACKUP_PASSPHRASE"
  const question = "A passphrase for the secrets (12 characters or more)"
  return io.env[variable] || !io.isTerminal ? secretFrom(io, variable, question) : askTwice(io, question)
}

export async function usernameFrom(io: Io): Promise<string> {
  const given = io.env.HEALTHCRYPT_USERNAME
  if (given !== undefined && given !== "") return given
  if (!io.isTerminal) throw new UsageError("Set HEALTHCRYPT_USERNAME, or run this on a terminal to be asked.")
  return ask(io, "Username")
}

/** One line from a person. @param initial what stands in the field already */
export async function ask(io: Io, question: string, initial = ""): Promise<string> {
  return answer(await io.err.ask(question, initial))
}

/** The code of a restore: one line of standard input, or asked for. */
export async function codeFrom(io: Io): Promise<string> {
  if (io.isTerminal) return ask(io, "The code of 30 digits that whoever runs the server gave you")
  const line = (await readInput(io)).split(/\r?\n/)[0] ?? ""
  if (line.trim() !== "") return line
  throw new UsageError("Give the code of 30 digits as one line on standard input. Nothing was changed.")
}

/** A JSON object from standard input; asked for field by field on a terminal. @throws BAD_INPUT_FORMAT */
export async function fieldsFrom(
  io: Io,
  questions: Readonly<Record<string, string>>,
  initial: Readonly<Record<string, string>> = {},
): Promise<Record<string, unknown>> {
  if (io.isTerminal) {
    const fields: Record<string, string> = {}
    for (const [name, question] of Object.entries(questions)) fields[name] = await ask(io, question, initial[name])
    return fields
  }
  const names = Object.keys(questions).join(", ")
  let value: unknown
  try {
    value = JSON.parse(await readInput(io))
  } catch {
    throw new AppError("BAD_INPUT_FORMAT", `Standard input has to be a JSON object with ${names}.`)
  }
  if (typeof value !== "object" || value === null || Array.isArray(value))
    throw new AppError("BAD_INPUT_FORMAT", `Standard input has to be a JSON object with ${names}.`)
  return value as Record<string, unknown>
}

/** All of standard input. @throws BAD_INPUT_SIZE above 4 MiB */
export async function readInput(io: Io): Promise<string> {
  const chunks: Buffer[] = []
  let size = 0
  for await (const chunk of io.stdin) {
    const bytes = Buffer.from(chunk)
    size += bytes.length
    if (size > maxInputBytes) throw new AppError("BAD_INPUT_SIZE")
    chunks.push(bytes)
  }
  return Buffer.concat(chunks).toString("utf8")
}

function answer(value: string | null): string {
  if (value === null) throw new UsageError("Stopped. Nothing was changed.")
  return value
}
