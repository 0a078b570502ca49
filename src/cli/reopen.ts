import { reopen as reopenAccount } from "../client/account.ts"
import { secretFrom, usernameFrom } from "./ask.ts"
import { endAfter, noteLog, withRoster, withServer } from "./client.ts"
import type { CliCommand } from "./command.ts"

export const reopen: CliCommand = {
  name: "reopen",
  summary: "Get into your account with an earlier keyring, where the newest does not open",
  options: [],
  async run(io) {
    const username = await usernameFrom(io)
    await io.err.lines(warning)
    const password = await secretFrom(io, "HEALTHCRYPT_PASSWORD", "Password")
    return withServer(io, async (around) => {
      const { session, from } = await reopenAccount(around, username, password)
      await noteLog(io, session)
      return endAfter(session, async () => {
        if (session.restoration !== null) await withRoster(io, session, async () => {})
        await io.err.lines(from === null ? ["Your account opens as it is. Nothing was changed."] : done)
        return 0
      })
    })
  },
}

const warning = [
  "If your newest keyring does not open, this takes only your keys and your practice from an earlier one.",
  "Whoever runs the server may have damaged the newest to make you go back: call them first.",
  "Nobody counts as verified afterwards, and the list of your records is made anew from the log.",
]

const done = [
  "Your account is open again, and saved.",
  "Compare the safety number with each of your colleagues before you share anything, and see that all of your records are there.",
]
