import { checkNewAccount, confirmWords, register as makeAccount } from "../client/account.ts"
import type { RecoverySheet } from "../client/views.ts"
import { AppError } from "../errors.ts"
import { ask, fieldsFrom, newPasswordFrom, usernameFrom } from "./ask.ts"
import { endAfter, withServer } from "./client.ts"
import type { CliCommand, Io } from "./command.ts"
import { print, printLine } from "./print.ts"

const asked = 3

export const register: CliCommand = {
  name: "register",
  summary: "Sign up: reads firstName and lastName, prints 24 recovery words",
  options: [],
  async run(io) {
    const username = await usernameFrom(io)
    const names = await fieldsFrom(io, { firstName: "First name", lastName: "Last name" })
    const password = io.isTerminal
      ? await newPasswordFrom(io, ["HEALTHCRYPT_PASSWORD"])
      : await newPasswordFrom({ ...io, isTerminal: false }, ["HEALTHCRYPT_PASSWORD"])
    const text = (name: string) => (typeof names[name] === "string" ? names[name] : "")
    const account = checkNewAccount({ username, password, firstName: text("firstName"), lastName: text("lastName") })
    return withServer(io, async (around) => {
      const { sheet, enter } = await makeAccount(around, account)
      await printWords(io, sheet)
      const session = await enter()
      return endAfter(session, async () => {
        if (io.isTerminal) await askWords(io, sheet.words)
        await confirmWords(session, true)
        return 0
      })
    })
  },
}

/** The words alone go to standard output, one a line; what to do with them goes to standard error. */
export async function printWords(io: Io, sheet: RecoverySheet): Promise<void> {
  await print(io.stdout, `${sheet.words.join("\n")}\n`)
  await printLine(
    io.stderr,
    "Write these 24 words down and keep them safe. They are the only way back if you forget your password:",
  )
  await printLine(io.stderr, "nobody can reset it, because nobody else can read your records.")
  await printLine(io.stderr, `Practice ${sheet.practice}, log ${sheet.origin}, log key ${sheet.logKey}`)
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
