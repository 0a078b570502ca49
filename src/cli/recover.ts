import { recover as getBackIn } from "../client/account.ts"
import { ask, newPasswordFrom, readInput, UsageError, usernameFrom } from "./ask.ts"
import { endAfter, withServer } from "./client.ts"
import type { CliCommand } from "./command.ts"
import { printWords } from "./register.ts"

export const recover: CliCommand = {
  name: "recover",
  summary:
    "Set a new password with your 24 recovery words, read from standard input; prints the 24 words that replace them",
  options: [],
  async run(io) {
    const username = await usernameFrom(io)
    const words = io.isTerminal ? await ask(io, "Your 24 recovery words") : await readInput(io)
    const given = io.env.HEALTHCRYPT_NEW_PASSWORD || io.env.HEALTHCRYPT_PASSWORD
    if (!io.isTerminal && !given)
      throw new UsageError("Set HEALTHCRYPT_NEW_PASSWORD or HEALTHCRYPT_PASSWORD to the new password.")
    const next = await newPasswordFrom(io, ["HEALTHCRYPT_NEW_PASSWORD", "HEALTHCRYPT_PASSWORD"])
    return withServer(io, async (around) => {
      const { session, sheet } = await getBackIn(around, username, words, next)
      return endAfter(session, async () => {
        await printWords(io, sheet)
        return 0
      })
    })
  },
}
