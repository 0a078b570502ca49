import { setTimeout as sleep } from "node:timers/promises"
import { type AskedWitness, parseWitness } from "../client/ask-witness.ts"
import { type Finding, findingOf } from "../client/log-findings.ts"
import { knownLogs, type LogTarget, rememberLog } from "../client/log-target.ts"
import { type Monitor, type Round, withMonitor } from "../client/monitor.ts"
import { followRestored, restoredLog } from "../client/restored-log.ts"
import { AppError } from "../errors.ts"
import { codeFrom, reading, UsageError } from "./ask.ts"
import type { CliCommand, Io } from "./command.ts"
import { wholeNumber, wordsOf } from "./ids.ts"
import {
  connectPublic,
  expectLog,
  givenLog,
  logOptions,
  mistyped,
  type PublicLog,
  withPublicLog,
} from "./log-address.ts"
import { printFinding } from "./log-finding.ts"
import { nextSignal } from "./process.ts"
import { momentOf } from "./times.ts"

const everySeconds = 60

export const logMonitor: CliCommand = {
  name: "log monitor",
  summary: "Follow the log and see that nothing in it is ever changed, dropped or repeated; needs no account",
  options: [
    ...logOptions,
    { flags: "--once", description: "look once, then end" },
    { flags: "--interval <seconds>", description: "time between two looks", default: String(everySeconds) },
    { flags: "--all", description: "fetch every known leaf again at each look, not at the first alone" },
    { flags: "--restored", description: "the server was put back: read its code on standard input, then go on" },
    { flags: "--witness <vkey...>", description: "demand this witness's word; VKEY=URL: ask it there" },
  ],
  async run(io, options) {
    const given = givenLog(options)
    const seconds = wholeNumber(options.interval, "--interval")
    if (seconds === null || seconds < 1 || seconds > 86_400)
      throw new UsageError("--interval takes a number of seconds from 1 to 86400.")
    const witnesses = wordsOf(options.witness).map(parseAsked)
    const once = options.once === true
    const code = options.restored === true ? await codeFrom(io) : null
    if (code !== null && given !== null)
      throw new UsageError("--restored goes on from the log that this machine knows.")
    const ending = new AbortController()
    if (!once) nextSignal().then(() => ending.abort())
    const asked = witnesses.map((witness) => reach(io, witness))
    return withPublicLog(io, async (log) => {
      let target = await patiently(io, ending.signal, once, seconds, () => expectLog(io, log, given))
      if (target === null) return 0
      if (code !== null) {
        const restored = await restoredLog(log.send, [target.log, ...(await knownLogs(log.storage))], code)
        await followRestored(log.storage, restored)
        await rememberLog(log.storage, log.address, restored.log)
        target = { ...target, log: restored.log }
      }
      return withMonitor(
        { storage: log.storage, log: target.log, witnesses: asked.map(({ witness }) => witness), now: Date.now },
        (monitor) =>
          follow(io, log, monitor, {
            slips: (finding) => slipsIn(finding, target, witnesses),
            look: async (audit) => {
              const round = await monitor.round(log.send, audit)
              await rememberLog(log.storage, log.address, target.log)
              return round
            },
            all: options.all === true,
            once,
            seconds,
            ending: ending.signal,
          }),
      )
    }).finally(() => {
      for (const { close } of asked) close()
    })
  },
}

/** Nothing is known yet but what stands on the command line. */
function slipsIn(finding: Finding, { typed }: LogTarget, witnesses: readonly NamedWitness[]): string[] {
  if (witnesses.some(({ vkey }) => finding.expected.includes(vkey)))
    return ["Check first that you typed --witness as its operator gave it to you, and that this server shows its word."]
  return typed ? [mistyped] : []
}

interface NamedWitness {
  readonly vkey: string
  readonly key: AskedWitness["key"]
  readonly url: URL | null
}

/** VKEY or VKEY=URL. @throws UsageError */
function parseAsked(text: string): NamedWitness {
  const cut = text.indexOf("=")
  const vkey = cut < 0 ? text : text.slice(0, cut)
  const key = reading("--witness", () => parseWitness(vkey))
  if (cut < 0) return { vkey, key, url: null }
  if (!URL.canParse(text.slice(cut + 1))) throw new UsageError("--witness takes VKEY or VKEY=https://ADDRESS.")
  return { vkey, key, url: new URL(text.slice(cut + 1)) }
}

/** Opens a connection to a witness that is asked. @throws UsageError */
function reach(io: Io, { key, url }: NamedWitness): { readonly witness: AskedWitness; close(): void } {
  if (url === null) return { witness: { key, at: null }, close: () => {} }
  const { send, close } = reading("--witness", () => connectPublic(io, url.href, "--witness"))
  return { witness: { key, at: { send, prefix: url.pathname.replace(/\/+$/, "") } }, close }
}

interface Following {
  /** What may have been mistyped, where that looks like this finding. */
  slips(finding: Finding): string[]
  look(audit: boolean): Promise<Round>
  readonly all: boolean
  readonly once: boolean
  readonly seconds: number
  readonly ending: AbortSignal
}

/** Looks again and again. @returns the exit code */
async function follow(io: Io, log: PublicLog, monitor: Monitor, following: Following): Promise<number> {
  const { look, all, once, seconds, ending } = following
  let first = true
  try {
    for (; ; first = false) {
      const round = await patiently(io, ending, once, seconds, () => look(first || all))
      if (round === null) return 0
      if (first || round.tree.size > round.before) await printRound(io, round, first)
      if (once) return 0
      await pause(seconds, ending)
    }
  } catch (error) {
    if (!(error instanceof AppError && error.is("TAMPERED"))) throw error
    for (const slip of first ? following.slips(findingOf(error)) : []) await io.err.line(slip)
    return printFinding(io, error, log.pathOf(await monitor.keepEvidence(error)))
  }
}

/** Tries until an answer comes; with `once` a single time. @returns null where it was told to end meanwhile */
async function patiently<T>(
  io: Io,
  ending: AbortSignal,
  once: boolean,
  seconds: number,
  work: () => Promise<T>,
): Promise<T | null> {
  for (let quiet = false; !ending.aborted; quiet = true) {
    try {
      const result = await work()
      if (quiet) await io.err.line(`${now()} The server answers again.`)
      return result
    } catch (error) {
      if (once || !(error instanceof AppError && error.is("UNAVAILABLE"))) throw error
      if (!quiet) await io.err.line(`${now()} ${error.message} Trying on.`)
    }
    await pause(seconds, ending)
  }
  return null
}

/** One line a change; the first look gets one too. */
async function printRound(io: Io, { before, tree, root, audited }: Round, first: boolean): Promise<void> {
  const held = first && before > 0 ? `, ${audited} as they were` : ""
  await io.out.line(`${now()} ${tree.size} leaves, ${tree.size - before} new${held}, root ${root}`)
}

function now(): string {
  return momentOf(Date.now())
}

async function pause(seconds: number, ending: AbortSignal): Promise<void> {
  await sleep(seconds * 1000, undefined, { signal: ending }).catch(() => {})
}
