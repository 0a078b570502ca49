import {
  checkNewAccount,
  confirmWords,
  register as makeAccount,
  registrationOf,
  type ShowWords,
} from "../client/account.ts"
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
      const { sheet, session } = await withWords(io, firstWords, async (show) => {
        const { sheet, enter } = await makeAccount(around, account, show)
        return { sheet, session: await enter() }
      })
      await noteLog(io, session)
      return endAfter(session, async () => {
        if (io.isTerminal) await askWords(io, sheet.words)
        await confirmWords(session, true)
        return 0
      })
    })
  },
}

/** What it means where words could not be written, and where they were and the work failed afterwards. */
interface Meaning {
  readonly unwritten: string
  readonly unsure: string
}

const firstWords: Meaning = {
  unwritten: "The recovery words could not be written, so no account was made.",
  unsure: "Sign in with your password: if that works, your account is there, and these are its words.",
}
export const newWords: Meaning = {
  unwritten: "The recovery words could not be written. They do not count; those that you had do.",
  unsure: "Nobody knows whether these words count: keep those that you had as well, and try both.",
}

/** Prints words before the server has them: nobody can show them again, and where they cannot be written, none are replaced. */
export async function withWords<T>(io: Io, meaning: Meaning, work: (show: ShowWords) => Promise<T>): Promise<T> {
  let isPrinted = false
  try {
    return await work(async (sheet) => {
      await printWords(io, sheet, meaning.unwritten)
      isPrinted = true
    })
  } catch (error) {
    if (isPrinted) await io.err.line(meaning.unsure)
    throw error
  }
}

/** The words alone go to standard output, one a line, numbered where somebody copies them from a screen; what to do with them goes to
 * standard error. `recover` reads both forms. */
async function printWords(io: Io, sheet: RecoverySheet, unwritten: string): Promise<void> {
  const lines = sheet.words.map((word, i) => (io.out.isTerminal ? `${String(i + 1).padStart(2)}  ${word}` : word))
  await io.out.lines(lines)
  await io.out.demandWritten(unwritten)
  await io.err.line(
    "Write these 24 words down and keep them safe. They are the only way back if you forget your password:",
  )
  await io.err.line("nobody can reset it, because nobody else can read your records.")
  await io.err.line("They count once this command ends without an error.")
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
