import { SingleBar } from "cli-progress"
import { acceptInvitations, declineInvitations, listInvitations } from "../client/invitations.ts"
import { type Many, share as shareRecords, unshare as unshareRecord, viewSharing } from "../client/sharing.ts"
import type { Colleague, ManyReport, Role } from "../client/views.ts"
import { dayOf, endOfDay } from "../clinical/days.ts"
import { AppError } from "../errors.ts"
import { readInput, UsageError } from "./ask.ts"
import { withWorkspace } from "./client.ts"
import type { CliCommand, Io } from "./command.ts"
import { colleagueFrom, recordIdFrom } from "./ids.ts"
import { clean, printJson, printLine, table } from "./print.ts"

const json = { flags: "--json", description: "Print JSON" }
const roles: readonly Role[] = ["owner", "writer", "reader"]

export const share: CliCommand = {
  name: "share",
  summary:
    "Share a record with a colleague whom you have verified, or change their role; `-` reads many ids from standard input",
  arguments: "<id> <username>",
  options: [
    { flags: "--role <role>", description: "reader, writer or owner" },
    { flags: "--until <date>", description: "Last day of their access, YYYY-MM-DD: it is the server that enforces it" },
  ],
  async run(io, options, args) {
    const username = colleagueFrom(args, 1)
    const role = roles.find((one) => one === options.role)
    if (role === undefined) throw new UsageError("--role takes reader, writer or owner.")
    const until = options.until === undefined ? null : lastDay(String(options.until))
    const words = args[0] === "-" ? (await readInput(io)).split(/\s+/).filter((word) => word !== "") : [args[0] ?? ""]
    if (until !== null && until <= Date.now()) throw new UsageError("--until takes a day that is still to come.")
    if (words.length === 0)
      throw new UsageError("No record's id came on standard input. See `healthcrypt records list`.")
    // One record that is named is given just what is said; of many, nothing is taken from who has more.
    const mode = args[0] === "-" ? "add" : "set"
    const ids = words.map((_, at) => recordIdFrom(words, at))
    return withWorkspace(io, (work) =>
      many(io, ["Shared", "shared so already"], (how) => shareRecords(work, ids, username, role, until, how, mode)),
    )
  },
}

const list: CliCommand = {
  name: "shares list",
  summary: "List the records that colleagues have shared with you and that you have not accepted",
  options: [json],
  run: (io, options) =>
    withWorkspace(io, async (work) => {
      const invitations = await listInvitations(work)
      if (options.json)
        await printJson(
          io.stdout,
          invitations.map(({ from, until, time, ...rest }) => ({
            ...rest,
            from: from.username,
            name: from.name,
            verified: from.state === "verified",
            until: until === null ? null : dayOf(until),
            time: new Date(time).toISOString(),
          })),
        )
      else if (invitations.length === 0) await printLine(io.stderr, "No invitations.")
      else {
        const head = ["Record", "From", "Role", "Until", "Can be accepted"]
        const rows = invitations.map(({ id, from, role, until, problem }) => [
          id,
          nameOf(from),
          role,
          until === null ? "" : dayOf(until),
          problem === null ? "yes" : `${problem.code}. ${problem.message}`,
        ])
        await printLine(io.stdout, table(head, rows, false))
      }
      return invitations.some(({ problem }) => problem?.code.startsWith("TAMPERED")) ? 3 : 0
    }),
}

const accept: CliCommand = {
  name: "shares accept",
  summary: "Accept records that a verified colleague shared with you",
  arguments: "<id...>",
  options: [],
  run: (io, _, args) => onMany(io, args, acceptInvitations, ["Accepted", "yours already"]),
}

const decline: CliCommand = {
  name: "shares decline",
  summary: "Decline records that were shared with you",
  arguments: "<id...>",
  options: [],
  run: (io, _, args) => onMany(io, args, declineUnlessAccepted, ["Declined", "not shared with you any more"]),
}

export const members: CliCommand = {
  name: "members",
  summary: "Show who can read a record",
  arguments: "<id>",
  options: [json],
  async run(io, options, args) {
    const id = recordIdFrom(args)
    return withWorkspace(io, async (work) => {
      const sharing = await viewSharing(work, id)
      const plain = sharing.members.map(({ colleague, you, role, until, accepted }) => ({
        username: colleague.username,
        name: colleague.name,
        role,
        until: until === null ? null : dayOf(until),
        you,
        verified: colleague.state === "verified",
        accepted,
      }))
      if (options.json) await printJson(io.stdout, plain)
      else {
        const head = ["Username", "Role", "Until", "Verified", "Accepted", "Name, as they give it"]
        const rows = plain.map((one) => [
          one.username,
          one.role,
          one.until ?? "",
          one.you ? "you" : one.verified ? "yes" : "no",
          one.accepted ? "yes" : "not yet",
          one.name,
        ])
        await printLine(io.stdout, table(head, rows, false))
      }
      if (sharing.keyChanges) await printLine(io.stderr, "Somebody has left: the next change gets a fresh key.")
      return 0
    })
  },
}

export const unshare: CliCommand = {
  name: "unshare",
  summary: "Remove a member, or leave a record yourself. What they have read, they have read",
  arguments: "<id> <username>",
  options: [],
  async run(io, _, args) {
    const id = recordIdFrom(args)
    const username = colleagueFrom(args, 1)
    return withWorkspace(io, async (work) => {
      const sharing = await viewSharing(work, id)
      const member = sharing.members.find(({ colleague }) => colleague.username === username)
      if (member === undefined)
        throw new AppError("NOT_ALLOWED", "Nobody with this username can read this record. See `healthcrypt members`.")
      await unshareRecord(work, id, member.colleague.physician)
      await printLine(
        io.stderr,
        member.you
          ? "You have left this record."
          : "Removed. What they have read, they have read; what is written from now on, they cannot open.",
      )
      return 0
    })
  },
}

export const shares: readonly CliCommand[] = [list, accept, decline]

/** What was done to records, and what is said of those of which it was so before. */
type Words = readonly [done: string, already: string]

function onMany(io: Io, args: readonly string[], act: typeof acceptInvitations, words: Words): Promise<number> {
  const ids = args.map((_, at) => recordIdFrom(args, at))
  return withWorkspace(io, (work) => many(io, words, (how) => act(work, ids, how)))
}

/** Declines, and says of what was accepted how it is left. */
const declineUnlessAccepted: typeof declineInvitations = async (work, ids, how) => {
  const report = await declineInvitations(work, ids, how)
  const refused = report.refused.map((one) => {
    if (!work.roster.rows.has(one.id) && !work.roster.refused.has(one.id)) return one
    const leave = `healthcrypt unshare ${one.id} ${work.session.username}`
    return { ...one, message: `You have accepted this record. To leave it: ${leave}` }
  })
  return { ...report, refused }
}

/** Runs work on many records: Ctrl+C stops it after the one at hand, and asking again goes on there. */
async function many(io: Io, words: Words, act: (how: Many) => Promise<ManyReport>): Promise<number> {
  const signal = { aborted: false }
  const stop = () => {
    signal.aborted = true
  }
  process.once("SIGINT", stop)
  const bar = io.isTerminal
    ? new SingleBar({ stream: io.stderr, format: "{bar} {value} of {total}, {eta_formatted} left" })
    : null
  try {
    const result = await act({
      signal,
      progress: ({ done, total }) => {
        if (total < 2) return
        if (done === 0) bar?.start(total, 0)
        else bar?.update(done)
      },
    })
    bar?.stop()
    return await report(io, result, words)
  } finally {
    bar?.stop()
    process.removeListener("SIGINT", stop)
  }
}

async function report(
  io: Io,
  { done, already, refused, cancelled, problem }: ManyReport,
  [word, before]: Words,
): Promise<number> {
  for (const { id, code, message } of refused) await printLine(io.stderr, clean(`${id}: ${code}. ${message}`))
  const said = [
    ...(done > already ? [`${word}: ${done - already}.`] : []),
    ...(already > 0 ? [`${already} ${already === 1 ? "was" : "were"} ${before}.`] : []),
  ]
  if (said.length > 0) await printLine(io.stderr, said.join(" "))
  if (problem !== null) await printLine(io.stderr, clean(problem.message))
  if (cancelled) await printLine(io.stderr, "Stopped. The same command goes on from here.")
  if (refused.some(({ code }) => code.startsWith("TAMPERED"))) return 3
  return refused.length > 0 || cancelled || problem !== null ? 1 : 0
}

function nameOf({ username, name, state }: Colleague): string {
  const known = name === "" ? username : `${username} (${name})`
  return state === "verified" ? known : `${known}, not verified`
}

function lastDay(day: string): number {
  const end = endOfDay(day)
  if (end === null) throw new UsageError("Write a day that the calendar has as YYYY-MM-DD.")
  return end
}
