import { homedir } from "node:os"
import { join } from "node:path"
import { encodeLogKey, findLog, type GivenLog, type LogTarget, parseLogKey } from "../client/log-target.ts"
import type { ClientStorage } from "../client/storage.ts"
import type { Send } from "../client/transport.ts"
import { reading, UsageError } from "./ask.ts"
import type { Io } from "./command.ts"
import { type Connection, connect } from "./http.ts"
import { fileStorage } from "./storage.ts"

/** No tile, and no checkpoint, is near this large. */
const limits = { bytes: 262_144, ms: 60_000 }

/** A server's log as nobody in particular sees it: without signing in. */
export interface PublicLog {
  readonly send: Send
  readonly storage: ClientStorage
  /** The server's address: what logs are remembered by. */
  readonly address: string
  /** Where a name in the storage lies. */
  pathOf(name: string): string
}

/** Runs work with the log of the server that HEALTHCRYPT_SERVER names. */
export async function withPublicLog<T>(io: Io, work: (log: PublicLog) => Promise<T>): Promise<T> {
  const address = serverOf(io)
  const connection = connectPublic(io, address, "HEALTHCRYPT_SERVER")
  const { home, storage } = memoryOf(io)
  try {
    const { origin } = new URL(address)
    return await work({ send: connection.send, storage, address: origin, pathOf: (name) => join(home, name) })
  } finally {
    connection.close()
  }
}

/** The server's address. */
export function serverOf(io: Io): string {
  return io.env.HEALTHCRYPT_SERVER || "http://localhost:5000"
}

/** A connection to somebody who is not trusted with more than a few answers of a bounded size.
 * @param from where the address was given: a variable or an option. @throws BAD_INPUT_FORMAT */
export function connectPublic(io: Io, address: string, from: string): Connection {
  return connect(address, io.env.HEALTHCRYPT_CA || undefined, limits, from)
}

/** What this machine remembers. */
export function memoryOf(io: Io): { readonly home: string; readonly storage: ClientStorage } {
  const home = io.env.HEALTHCRYPT_HOME || join(homedir(), ".healthcrypt")
  return { home, storage: fileStorage(home) }
}

export const logOptions = [
  { flags: "--key <hex>", description: "the log's key, as your recovery sheet has it" },
  { flags: "--origin <text>", description: "the log's origin, as your recovery sheet has it" },
]

/** Said first where a log was refused of which nothing is known but what was typed. */
export const mistyped = "Check first that you typed --origin and --key as they stand on the sheet."

/** The log that was named with --key and --origin. @throws UsageError where one is missing, or is none */
export function givenLog(options: Readonly<Record<string, unknown>>): GivenLog | null {
  const { key, origin } = options
  if ((key === undefined) !== (origin === undefined)) throw new UsageError("--key and --origin go together.")
  if (typeof key !== "string" || typeof origin !== "string") return null
  reading("--key", () => parseLogKey(key))
  if (!isOrigin(origin)) throw new UsageError("--origin takes a log's origin, as a recovery sheet has it.")
  return { key, origin }
}

/** Whether this can be a log's origin: it stands in a line of its own in every checkpoint, and as a word before the log's signature. */
export function isOrigin(text: string): boolean {
  return /^\S+$/.test(text)
}

/** Finds out which log to expect, and tells a person where only the server's own word stands for it. */
export async function expectLog(io: Io, log: PublicLog, given: GivenLog | null): Promise<LogTarget> {
  const target = await findLog(log.send, log.storage, log.address, given)
  if (target.trust === "first contact") {
    await io.err.line("This machine has not seen this log before: its key is taken on the server's own word.")
    await io.err.line("Compare these two with a recovery sheet, or name them with --origin and --key:")
    await io.err.line(`  log      ${target.log.origin}`)
    await io.err.line(`  log key  ${encodeLogKey(target.log.logKey)}`)
  }
  return target
}
