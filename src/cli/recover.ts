import { checkPassword, demandConfirmed, type WayByWords, wayByWords } from "../client/account.ts"
import { lookBack } from "../client/after-restore.ts"
import { ask, newPasswordFrom, readInput, UsageError, usernameFrom } from "./ask.ts"
import { endAfter, withServer } from "./client.ts"
import type { CliCommand, Io } from "./command.ts"
import { newWords, withWords } from "./register.ts"
import { checkedCode, goOn, showLoss } from "./restored.ts"

export const recover: CliCommand = {
  name: "recover",
  summary:
    "Set a new password with your 24 recovery words, read from standard input; prints the 24 words that replace them",
  options: [
    {
      flags: "--reopen",
      description: "Take an earlier keyring, where the newest does not open: see `reopen`",
    },
    {
      flags: "--restored",
      description: "The server was put back: read its code as the first line of standard input, then the words",
    },
  ],
  async run(io, options) {
    const username = await usernameFrom(io)
    const given = io.isTerminal ? await ask(io, "Your 24 recovery words") : await readInput(io)
    const isRestored = options.restored === true
    const { code, words } = isRestored && !io.isTerminal ? parted(given) : { code: null, words: given }
    const password = io.env.HEALTHCRYPT_NEW_PASSWORD || io.env.HEALTHCRYPT_PASSWORD
    if (!io.isTerminal && !password)
      throw new UsageError("Set HEALTHCRYPT_NEW_PASSWORD or HEALTHCRYPT_PASSWORD to the new password.")
    const next = isRestored ? null : await newPassword(io)
    return withServer(io, async (around) => {
      const way = await wayByWords(around, username, words, options.reopen === true)
      if (!isRestored) demandConfirmed(way.session)
      return endAfter(way.session, async () => {
        // Also where another device has confirmed a restore.
        if (next === null || way.session.restoration !== null) await confirm(io, way, code, next)
        else await withWords(io, newWords, (show) => way.finish(next, show))
        return 0
      })
    })
  },
}

/** Confirms a restore of the server before anything is set anew, and goes on as `restored` does. */
async function confirm(io: Io, { session, finish }: WayByWords, given: string | null, next: string | null) {
  const { work, back } = await lookBack(session)
  // What a script keeps of this holds no name. Password and words are both set anew, whichever was changed since.
  const records = io.isTerminal ? back.records : back.records.map((one) => ({ ...one, name: "" }))
  await showLoss(io.err, { ...back, records, renew: [] }, session.restoration === null)
  const code = session.restoration?.confirmed === false ? (given ?? (await checkedCode(io, session))) : null
  const password = next ?? (await newPassword(io))
  if (code !== null) await session.confirmRestore(code)
  await withWords(io, newWords, (show) => finish(password, show))
  await goOn(io, work, back)
}

async function newPassword(io: Io): Promise<string> {
  const next = await newPasswordFrom(io, ["HEALTHCRYPT_NEW_PASSWORD", "HEALTHCRYPT_PASSWORD"])
  checkPassword(next)
  return next
}

/** The code of a restore in the first line, the words behind it. */
function parted(input: string): { readonly code: string; readonly words: string } {
  const [code = "", ...words] = input.trimStart().split(/\r?\n/)
  return { code, words: words.join("\n") }
}
