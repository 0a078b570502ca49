import { checkNewAccount, confirmWords, register as makeAccount, registrationOf } from "../client/account.ts"
import type { RecoverySheet } from "../client/views.ts"
import { AppError } from "../errors.ts"
import { ask, fieldsFrom, newPasswordFrom, secretFrom, UsageError, usernameFrom } from "./ask.ts"
import { endAfter, noteLog, withServer } from "./client.ts"
import type { CliCommand, Io } from "./command.ts"

const asked = 3
const questions = { firstName: "First name", lastName: "Last name" }

export const register: CliCommand = {
  name: "register",
  summary:
    "Sign up, with an invitation code where the server wants one: reads firstName and lastName, prints 24 recovery words: numbered on a terminal, elsewhere one a line",
  options: [],
  async run(io) {
    const username = await usernameFrom(io)
    if (!io.isTerminal && !io.env.HEALTHCRYPT_PASSWORD)
      throw new UsageError("Set HEALTHCRYPT_PASSWORD; standard input is for first and last name.")
    const names = namesOf(await fieldsFrom(io, questions))
    const password = await newPasswordFrom(io, ["HEALTHCRYPT_PASSWORD"])
    const given = checkNewAccount({ username, password, invite: io.env.HEALTHCRYPT_INVITE?.trim() ?? "", ...names })
    return withServer(io, async (around) => {
      const asks = !given.invite && (await registrationOf(around)) === "invited"
      const invite = asks ? await secretFrom(io, "HEALTHCRYPT_INVITE", "Invitation code") : given.invite
      const account = { ...given, invite }
      const { sheet, enter } = await makeAccount(around, account)
      await printWords(io, sheet)
      const session = await enter()
      await noteLog(io, session)
      return endAfter(session, async () => {
        if (io.isTerminal) await askWords(io, sheet.words)
        await confirmWords(session, true)
        return 0
      })
    })
  },
}

/** The words alone go to standard output, one a line, numbered where somebody copies them from a screen; what to do with them goes to
 * standard error. `recover` reads both forms. */
export async function printWords(io: Io, sheet: RecoverySheet): Promise<void> {
  const lines = sheet.words.map((word, i) => (io.out.isTerminal ? `${String(i + 1).padStart(2)}  ${word}` : word))
  await io.out.lines(lines)
  await io.err.line(
    "Write these 24 words down and keep them safe. They are the only way back if you forget your password:",
  )
  await io.err.line("nobody can reset it, because nobody else can read your records.")
  await io.err.line("For whoever checks the server; you need not type it:")
  await io.err.line(`Practice ${sheet.practice}, log ${sheet.origin}, log key ${sheet.logKey}`)
}

/** @throws BAD_INPUT_FORM for a field that there is not, or that is no text */
function namesOf(given: Readonly<Record<string, unknown>>): { firstName: string; lastName: string } {
  const fields: Record<string, string> = {}
  for (const [name, value] of Object.entries(given)) {
    if (!Object.hasOwn(questions, name))
      fields[name] = `There is no such field. Use ${Object.keys(questions).join(", ")}.`
    else if (typeof value !== "string") fields[name] = "Give this as text."
  }
  if (Object.keys(fields).length > 0) throw new AppError("BAD_INPUT_FORM", undefined, { fields })
  return { firstName: "", lastName: "", ...given }
}

async function askWords(io: Io, words: readonly string[]): Promise<void> {
  const places = new Set<number>()
  while (places.size < asked) places.add(crypto.getRandomValues(new Uint32Array(1))[0]! % words.length)
  for (const place of [...places].sort((a, b) => a - b)) {
    const typed = await ask(io, `Word ${place + 1}`)
    if (typed.trim().toLowerCase() !== words[place])
      throw new AppError(
        "BAD_INPUT_WORDS",
        "That is another word. Your account exists; make new words in Settings once you are signed in.",
      )
  }
}
