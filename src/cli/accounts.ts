import { AppError } from "../errors.ts"
import { findDataFolder } from "../server/data-folder.ts"
import { longestInviteDays } from "../server/operator.ts"
import { askOperator } from "../server/operator-socket.ts"
import { textOf, UsageError } from "./ask.ts"
import type { CliCommand } from "./command.ts"
import { momentOf } from "./times.ts"

const data = {
  flags: "--data <folder>",
  description: "the folder that serve was given",
  default: "./healthcrypt-data",
}
const json = { flags: "--json", description: "Print JSON" }

type Options = Readonly<Record<string, unknown>>
const folderOf = (options: Options) => findDataFolder(textOf(options.data, "--data")!)

const invite: CliCommand = {
  name: "accounts invite",
  summary: "Make an invitation with which one physician can sign up",
  options: [
    data,
    { flags: "--expires <days>", description: "how long it is good", default: "7" },
    {
      flags: "--url <address>",
      description: "under which physicians reach the server, where a proxy stands before it",
    },
    json,
  ],
  async run(io, options) {
    const days = Number(options.expires)
    if (!/^\d{1,3}$/.test(String(options.expires)) || days < 1 || days > longestInviteDays)
      throw new UsageError(`--expires takes a number of days from 1 to ${longestInviteDays}.`)
    const url = textOf(options.url, "--url")
    if (url !== null && !/^https?:$/.test(URL.canParse(url) ? new URL(url).protocol : ""))
      throw new UsageError("--url takes an address, like https://practice.example.")
    const made = await askOperator(await folderOf(options), { do: "invite", days, ...(url === null ? {} : { url }) })
    const unseen = "The invitation was made, and nobody can print its code again: make another one."
    if (options.json) {
      await io.out.json({ ...made, expires: new Date(made.expires).toISOString() })
      await io.out.demandWritten(unseen)
      return 0
    }
    await io.out.whole(`link     ${made.link}`)
    await io.out.whole(`code     ${made.code}`)
    await io.out.whole(`origin   ${made.origin}`)
    await io.out.whole(`log key  ${made.logKey}`)
    await io.out.demandWritten(unseen)
    await io.err.line(
      `Send the link, or the code, to one physician by a way that you trust: whoever has it can sign up, once, until ${momentOf(made.expires)}.`,
    )
    if (made.registration === "open")
      await io.err.line(
        "Anybody may sign up at this server, with an invitation or without: it runs with --registration open.",
      )
    return 0
  },
}

const list: CliCommand = {
  name: "accounts list",
  summary: "List every account: since when, in which state, and when it was last signed in to",
  options: [data, json],
  async run(io, options) {
    const { accounts, invites } = await askOperator(await folderOf(options), { do: "list" })
    const iso = (time: number | null) => (time === null ? null : new Date(time).toISOString())
    if (options.json) {
      await io.out.json({
        accounts: accounts.map(({ username, created, suspended, lastSignIn }) => ({
          username,
          since: iso(created),
          suspended: iso(suspended),
          lastSignIn: iso(lastSignIn),
        })),
        invitations: invites.map(({ created, expires }) => ({ made: iso(created), expires: iso(expires) })),
      })
      return 0
    }
    const rows = accounts.map(({ username, created, suspended, lastSignIn }) => [
      username,
      momentOf(created),
      suspended === null ? "active" : `suspended since ${momentOf(suspended)}`,
      lastSignIn === null ? "–" : momentOf(lastSignIn),
    ])
    await io.out.table(["Username", "Since", "State", "Last signed in"], rows)
    if (invites.length > 0)
      await io.err.line(
        `${invites.length === 1 ? "One invitation was" : `${invites.length} invitations were`} not used yet; the last expires ${momentOf(invites.reduce((last, { expires }) => Math.max(last, expires), 0))}.`,
      )
    return 0
  },
}

const suspend: CliCommand = {
  name: "accounts suspend",
  summary: "Let a physician do nothing at this server: ends their sessions, deletes nothing",
  arguments: "<username>",
  options: [data],
  async run(io, options, args) {
    const { changed } = await askOperator(await folderOf(options), { do: "suspend", username: nameFrom(args) })
    await io.err.line(
      changed
        ? "Suspended: all their sessions are over, and they cannot sign in. Nothing was deleted. Records that they share stay " +
            "shared: their owners remove them with unshare, which gives the rest a fresh key."
        : "This account was suspended already.",
    )
    return 0
  },
}

const resume: CliCommand = {
  name: "accounts resume",
  summary: "Let a suspended physician sign in again",
  arguments: "<username>",
  options: [data],
  async run(io, options, args) {
    const { changed } = await askOperator(await folderOf(options), { do: "resume", username: nameFrom(args) })
    await io.err.line(changed ? "They can sign in again." : "This account is not suspended.")
    return 0
  },
}

export const accounts: readonly CliCommand[] = [invite, list, suspend, resume]

/** The username among what was given, as it counts: without capitals. @throws UsageError */
function nameFrom([typed = ""]: readonly string[]): string {
  const username = typed.trim().replace(/[A-Z]/g, (letter) => letter.toLowerCase())
  if (!/^[a-z0-9._-]{3,64}$/.test(username)) throw new UsageError(new AppError("BAD_INPUT_USERNAME").message)
  return username
}
