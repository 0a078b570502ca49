import { Awaiting } from "../client/awaiting.ts"
import { acceptInvitations, declineInvitations, listInvitations } from "../client/invitations.ts"
import {
  confirmMany,
  confirmMembers,
  type Many,
  share as shareRecords,
  unshare as unshareRecord,
  viewSharing,
} from "../client/sharing.ts"
import type { ManyReport, ReaderView, Role, SharingView, WaitingRecord } from "../client/views.ts"
import type { Workspace } from "../client/workspace.ts"
import { dayOf, endOfDay } from "../clinical/days.ts"
import type { RecordId } from "../encoding/ids.ts"
import { AppError } from "../errors.ts"
import { readInput, UsageError } from "./ask.ts"
import { withWorkspace } from "./client.ts"
import type { CliCommand, Io } from "./command.ts"
import { changedWord, colleagueFrom, recordIdFrom, suspendedWord, wordsOf } from "./ids.ts"

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
    const ids = await idsFrom(io, args)
    if (until !== null && until <= Date.now()) throw new UsageError("--until takes a day that is still to come.")
    // One record that is named is given just what is said; of many, nothing is taken from who has more.
    const mode = args[0] === "-" ? "add" : "set"
    return withWorkspace(io, (work) =>
      many(io, ["Shared", "shared so already"], (how) => shareRecords(work, ids, username, role, until, how, mode)),
    ).catch((error) => {
      throw error instanceof AppError && unpinned.has(error.code)
        ? new AppError(error.code, `${error.message} To do so: ${verifying(username)}`, { cause: error })
        : error
    })
  },
}

const list: CliCommand = {
  name: "shares list",
  summary: "List the records that colleagues have shared with you and that you have not accepted",
  options: [json],
  run: (io, options) =>
    withWorkspace(io, async (work) => {
      const { invitations, unlisted, more } = await listInvitations(work)
      if (options.json)
        await io.out.json(
          invitations.map(({ from, until, time, ...rest }) => ({
            ...rest,
            from: from.username,
            name: from.name,
            verified: from.state === "verified",
            until: until === null ? null : dayOf(until),
            time: new Date(time).toISOString(),
          })),
        )
      else if (invitations.length === 0) await io.err.line("No invitations.")
      else {
        // What somebody calls themself stands behind what we say of them, and moves nothing out of its column.
        const head = ["Record", "From", "Verified", "Role", "Until", "Name, as they give it", "Can be accepted"]
        const rows = invitations.map(({ id, from, role, until, problem }) => [
          id,
          from.username,
          from.state === "verified" ? "yes" : "no",
          role,
          until === null ? "" : dayOf(until),
          from.name,
          problem === null
            ? "yes"
            : unpinned.has(problem.code)
              ? `not yet: first ${verifying(from.username)}`
              : problem.message,
        ])
        await io.out.table(head, rows)
      }
      if (unlisted > 0)
        await io.err.line(
          `${more ? "At least " : ""}${unlisted} more, of senders whom you have not verified. Verify a colleague, and theirs are listed.`,
        )
      return invitations.some(({ problem }) => problem?.code.startsWith("TAMPERED")) ? 3 : 0
    }),
}

const accept: CliCommand = {
  name: "shares accept",
  summary: "Accept records that a verified colleague shared with you",
  arguments: "<id...>",
  options: [],
  run: (io, _, args) => onMany(io, args, acceptOrSayHow, ["Accepted", "yours already"]),
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
  summary:
    "Show who can read a record, and, after a restore, confirm it; `-` with --confirm reads many ids from standard input",
  arguments: "<id>",
  options: [
    json,
    { flags: "--confirm", description: "After a restore: these may read it from now on, under a fresh key" },
    { flags: "--without <username...>", description: "with --confirm: but not these" },
    { flags: "--keep <username...>", description: "with --confirm: these too, although they had been removed" },
  ],
  async run(io, options, args) {
    const [without, keep] = [wordsOf(options.without), wordsOf(options.keep)]
    if (without.length + keep.length > 0 && options.confirm !== true)
      throw new UsageError("--without and --keep go with --confirm.")
    if (args[0] === "-") {
      if (options.confirm !== true || options.json === true || without.length + keep.length > 0)
        throw new UsageError("With - goes --confirm, and nothing else: name the record to say more.")
      const ids = await idsFrom(io, args)
      return withWorkspace(io, (work) => confirmAll(io, work, ids))
    }
    const id = recordIdFrom(args)
    return withWorkspace(io, async (work) => {
      const before = await viewSharing(work, id)
      if (options.confirm === true) await confirmReaders(io, work, before, without, keep)
      const sharing = options.confirm === true ? await viewSharing(work, id) : before
      const plain = sharing.members.map(({ colleague, you, role, until, accepted, suspended, keysChanged }) => ({
        username: colleague.username,
        name: colleague.name,
        role,
        until: until === null ? null : dayOf(until),
        you,
        verified: colleague.state === "verified",
        accepted,
        suspended,
        keysChanged,
      }))
      if (options.json) await io.out.json(plain)
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
        await io.out.table(head, rows)
      }
      for (const { username, suspended } of plain) if (suspended) await io.err.line(suspendedWord(username))
      const changed = plain
        .filter(({ keysChanged }) => keysChanged)
        .map(({ username }) => username)
        .sort()
      if (changed.length > 0) await io.err.line(changedWord(changed))
      if (sharing.keyChanges) await io.err.line("Somebody has left: the next change gets a fresh key.")
      if (sharing.confirmFirst) await io.err.line(confirmAdvice(sharing))
      return 0
    })
  },
}

/** After a restore: who may read a record from now on. */
async function confirmReaders(
  io: Io,
  work: Workspace,
  sharing: SharingView,
  leftOut: readonly string[],
  kept: readonly string[],
): Promise<void> {
  const undecided = sharing.members
    .filter(({ returned }) => returned)
    .map(({ colleague }) => colleague.username)
    .filter((username) => !leftOut.includes(username) && !kept.includes(username))
  if (undecided.length > 0)
    throw new UsageError(
      `You or another owner had removed ${undecided.join(", ")}, or given them less, before the server was put back. Say --without or --keep of each.`,
    )
  const changed = sharing.members
    .filter(({ keysChanged, colleague }) => keysChanged && !leftOut.includes(colleague.username))
    .map(({ colleague }) => colleague.username)
  if (changed.length > 0)
    throw new UsageError(
      `The keys of ${changed.join(", ")} have changed since you verified them, so that no fresh key can be given to them. Say --without of each. You can share the record with them again once you have compared the safety number.`,
    )
  const without = leftOut.map((username) => {
    const member = sharing.members.find(({ colleague }) => colleague.username === username)
    if (member !== undefined) return member.colleague.physician
    throw new AppError("NOT_ALLOWED", "Nobody with this username can read this record. See `healthcrypt members`.")
  })
  const done = await confirmMembers(work, sharing, without)
  const said =
    done === "done"
      ? "Confirmed, under a fresh key: nobody else opens what is written from now on. Entries of yours that waited are sent with `healthcrypt restored`."
      : "There is nothing to confirm."
  await io.err.line(said)
}

/** Confirms many records, each for the list that this program saw. Who is back in one is decided about by name. */
async function confirmAll(io: Io, work: Workspace, ids: readonly RecordId[]): Promise<number> {
  const waiting = new Map((await new Awaiting(work).list()).map((one) => [one.id, one]))
  const asked = [...new Set(ids)]
  const found = asked.flatMap((id) => waiting.get(id) ?? [])
  const apart = found.filter((one) => one.mine && one.apart)
  const nothing = asked.filter((id) => !waiting.has(id))
  const ready = found.filter((one) => !apart.includes(one))
  const code = ready.length === 0 ? 0 : await many(io, confirmed, (how) => confirmMany(work, ready, how))
  for (const one of apart) await io.err.line(`${one.id}: ${whatWas(one.members)} To confirm it: ${confirmCommand(one)}`)
  if (nothing.length > 0) await io.err.line(`Nothing to confirm in ${nothing.length} of these.`)
  return code !== 0 ? code : apart.length > 0 ? 1 : 0
}

const confirmed: Words = ["Confirmed, each under a fresh key", "confirmed already"]

function confirmAdvice({ id, members }: SharingView): string {
  const who = members.some(({ returned, keysChanged }) => returned || keysChanged) ? ` ${whatWas(members)}` : ""
  return `This record takes nothing until an owner has confirmed its members.${who} To do so: ${confirmCommand({ id, members })}`
}

/** Why a record is decided by itself. */
function whatWas(members: readonly ReaderView[]): string {
  const back = backIn(members)
  const changed = changedIn(members)
  const said = [
    ...(back.length === 0
      ? []
      : [`You or another owner had removed ${back.join(", ")}, or given them less, before the server was put back.`]),
    ...(changed.length === 0 ? [] : [`The keys of ${changed.join(", ")} have changed since you verified them.`]),
  ]
  return said.length === 0
    ? "This device had seen another list of members before the server was put back."
    : said.join(" ")
}

function confirmCommand({ id, members }: Pick<WaitingRecord, "id" | "members">): string {
  const out = new Set([...backIn(members), ...changedIn(members)])
  return `healthcrypt members ${id} --confirm${[...out].map((username) => ` --without ${username}`).join("")}`
}

function backIn(members: readonly ReaderView[]): string[] {
  return members.filter(({ returned }) => returned).map(({ colleague }) => colleague.username)
}

function changedIn(members: readonly ReaderView[]): string[] {
  return members.filter(({ keysChanged }) => keysChanged).map(({ colleague }) => colleague.username)
}

export const unshare: CliCommand = {
  name: "unshare",
  summary:
    "Remove a member, and all whose keys have changed, or leave a record yourself. What they have read, they have read",
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
      const also = await unshareRecord(work, id, member.colleague.physician)
      await io.err.line(
        member.you
          ? "You have left this record."
          : "Removed. What they have read, they have read; what is written from now on, they cannot open.",
      )
      if (also.length > 0)
        await io.err.line(
          `Removed with them, because their keys have changed since you verified them: ${also.join(", ")}. You can share the record with them again once you have compared the safety number.`,
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

/** What verifying a colleague mends. */
const unpinned = new Set<string>(["NOT_ALLOWED_UNVERIFIED", "NOT_ALLOWED_CHANGED_KEY"])

function verifying(username: string): string {
  return `\`healthcrypt physicians verify ${username}\``
}

/** Accepts, and names the command that has to come first where whoever shared is not verified. */
const acceptOrSayHow: typeof acceptInvitations = async (work, ids, how) => {
  const report = await acceptInvitations(work, ids, how)
  if (!report.refused.some(({ code }) => unpinned.has(code))) return report
  const { invitations } = await listInvitations(work)
  const refused = report.refused.map((one) => {
    const from = unpinned.has(one.code) ? invitations.find(({ id }) => id === one.id)?.from : undefined
    return from === undefined ? one : { ...one, message: `not yet: first ${verifying(from.username)}` }
  })
  return { ...report, refused }
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

/** The record that is named, or those on standard input. */
async function idsFrom(io: Io, args: readonly string[]): Promise<RecordId[]> {
  const words = args[0] === "-" ? (await readInput(io)).split(/\s+/).filter((word) => word !== "") : [args[0] ?? ""]
  if (words.length === 0) throw new UsageError("No record's id came on standard input. See `healthcrypt records list`.")
  return words.map((_, at) => recordIdFrom(words, at))
}

/** Runs work on many records: Ctrl+C stops it after the one at hand, and asking again goes on there. */
async function many(io: Io, words: Words, act: (how: Many) => Promise<ManyReport>): Promise<number> {
  const signal = { aborted: false }
  const stop = () => {
    signal.aborted = true
  }
  process.once("SIGINT", stop)
  const bar = await io.err.bar("", "records")
  try {
    const result = await act({
      signal,
      progress: ({ done, total }) => {
        if (total > 1) bar.tick(done, total)
      },
    })
    bar.stop()
    return await report(io, result, words)
  } finally {
    bar.stop()
    process.removeListener("SIGINT", stop)
  }
}

async function report(
  io: Io,
  { done, already, refused, cancelled, problem }: ManyReport,
  [word, before]: Words,
): Promise<number> {
  for (const { id, code, message } of refused)
    await io.err.line(unpinned.has(code) ? `${id}: ${message}` : `${id}: ${code}. ${message}`)
  const said = [
    ...(done > already ? [`${word}: ${done - already}.`] : []),
    ...(already > 0 ? [`${already} ${already === 1 ? "was" : "were"} ${before}.`] : []),
  ]
  if (said.length > 0) await io.err.line(said.join(" "))
  if (problem !== null) await io.err.line(problem.message)
  if (cancelled) await io.err.line("Stopped. The same command goes on from here.")
  if (refused.some(({ code }) => code.startsWith("TAMPERED"))) return 3
  return refused.length > 0 || cancelled || problem !== null ? 1 : 0
}

function lastDay(day: string): number {
  const end = endOfDay(day)
  if (end === null) throw new UsageError("Write a day that the calendar has as YYYY-MM-DD.")
  return end
}
