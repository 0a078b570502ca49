import { changePassword } from "../client/account.ts"
import { newPasswordFrom, secretFrom, usernameFrom } from "./ask.ts"
import { withSession } from "./client.ts"
import type { CliCommand } from "./command.ts"

export const password: CliCommand = {
  name: "password",
  summary: "Change your password: reads the new one from HEALTHCRYPT_NEW_PASSWORD or one line of standard input",
  options: [],
  async run(io) {
    const username = await usernameFrom(io)
    const current = await secretFrom(io, "HEALTHCRYPT_PASSWORD", "Current password")
    const next = await newPasswordFrom(io, ["HEALTHCRYPT_NEW_PASSWORD"])
    const env = { ...io.env, HEALTHCRYPT_USERNAME: username, HEALTHCRYPT_PASSWORD: current }
    return withSession({ ...io, env }, async (session) => {
      await changePassword(session, current, next)
      await io.err.line("Your password is changed. Your other sessions have ended; no record was touched.")
      return 0
    })
  },
}
