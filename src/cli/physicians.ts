import { cleanUsername } from "../client/username.ts"
import type { ColleagueView } from "../client/views.ts"
import { dayOf } from "../clinical/days.ts"
import { AppError } from "../errors.ts"
import { ask, readInput } from "./ask.ts"
import { withWorkspace } from "./client.ts"
import type { CliCommand } from "./command.ts"
import { colleagueFrom, suspendedWord } from "./ids.ts"

const yourself = "This is your own username. Enter your colleague's."
const json = { flags: "--json", description: "Print JSON" }

const show: CliCommand = {
  name: "physicians show",
  summary: "Show a colleague's keys and the safety number to compare with them",
  arguments: "<username>",
  options: [json],
  async run(io, options, args) {
    const username = colleagueFrom(args, 0)
    return withWorkspace(io, async ({ session }) => {
      const found = await session.people.find(username)
      if (found.physician === session.physician) throw new AppError("BAD_INPUT_USERNAME", yourself)
      const view = session.people.view(found)
      if (options.json) {
        const { physician, name, state, verified, fingerprint, safetyNumber, suspended } = view
        const when = verified && { time: new Date(verified.time).toISOString(), how: verified.how }
        await io.out.json({ physician, username, name, state, verified: when, fingerprint, safetyNumber, suspended })
      } else await io.out.lines(asText(view))
      if (view.suspended) await io.err.line(suspendedWord(view.username))
      return 0
    })
  },
}

const verify: CliCommand = {
  name: "physicians verify",
  summary: "Verify a colleague: reads the 60 digits that they read out to you",
  arguments: "<username>",
  options: [],
  async run(io, _, args) {
    const username = colleagueFrom(args, 0)
    if (username === cleanUsername(io.env.HEALTHCRYPT_USERNAME ?? ""))
      throw new AppError("BAD_INPUT_USERNAME", yourself)
    const given = io.isTerminal ? null : await readInput(io)
    return withWorkspace(io, async ({ session }) => {
      const identity = await session.people.find(username)
      if (identity.physician === session.physician) throw new AppError("BAD_INPUT_USERNAME", yourself)
      const number =
        given ?? (await ask(io, `The 60 digits that ${identity.username} reads out, by telephone or face to face`))
      const digits = number.normalize("NFKC").replace(/\D/g, "").length
      if (number.trim() === "")
        throw new AppError(
          "BAD_INPUT_SAFETY_NUMBER",
          "Give the 60 digits that your colleague reads out on standard input.",
        )
      if (digits !== 60)
        throw new AppError(
          "BAD_INPUT_SAFETY_NUMBER",
          `${digits === 1 ? "This is 1 digit" : `These are ${digits} digits`}; it takes 60 digits.`,
        )
      const view = await session.people.verify(username, number, "digits")
      await io.err.line(`Verified: ${view.username}. You can share records with them now.`)
      return 0
    })
  },
}

export const physicians: readonly CliCommand[] = [show, verify]

function asText(view: ColleagueView): string[] {
  const groups = view.safetyNumber.match(/\d{5}/g) ?? []
  const [first, ...rows] = [0, 4, 8].map((at) => groups.slice(at, at + 4).join(" "))
  const said = { unverified: "Not verified", changed: "Keys changed since you verified them: compare the number again" }
  const next =
    view.state === "verified"
      ? []
      : [
          `Next: have ${view.username} read these 60 digits to you, by telephone or face to face, and type what you hear:`,
          `  healthcrypt physicians verify ${view.username}`,
        ]
  return [
    view.name === "" ? view.username : `${view.username}, who calls themself ${view.name}`,
    view.state === "verified"
      ? `Verified ${view.verified ? `on ${dayOf(view.verified.time)}` : ""}`.trim()
      : said[view.state],
    `Fingerprint    ${view.fingerprint}`,
    `Safety number  ${first}`,
    ...rows.map((row) => `               ${row}`),
    ...next,
  ]
}
