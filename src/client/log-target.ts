import { z } from "zod"
import { encodeHex, equal, parseUtf8, utf8 } from "../encoding/bytes.ts"
import { AppError } from "../errors.ts"
import { openNote } from "../proof/checkpoint.ts"
import { checkPublicKey } from "../proof/signature.ts"
import { practice } from "../protocol/accounts.ts"
import { paths } from "../protocol/paths.ts"
import type { LogIdentity } from "./log.ts"
import { readLogState } from "./monitor-memory.ts"
import type { ClientStorage } from "./storage.ts"
import { fetchCheckpoint } from "./tiles.ts"
import { type Send, Transport } from "./transport.ts"

/** Which log an address has, and why its key is believed: as it was given, as this machine remembers it, or on the server's own word. */
export interface LogTarget {
  readonly log: LogIdentity
  readonly trust: "given" | "remembered" | "first contact"
  /** Nothing but what was typed speaks for this log: a slip there looks like another log. */
  readonly typed: boolean
}

/** What stands on a recovery sheet: the log's origin, and its key as 64 hexadecimal digits. */
export interface GivenLog {
  readonly origin: string
  readonly key: string
}

/** Addresses → origins; origins → keys, in hexadecimal. Both are public, and lie open: they are needed without a password. */
const addresses = "monitor/addresses"
const keys = "monitor/keys"
/** What a log can call itself, as far as it is shown. */
const oneWord = /^[!-~]{1,200}$/
const known = z.record(z.string(), z.string())

/** Finds out which log to expect at an address. A key that this machine remembers is never given up for another that somebody names.
 * @param address the server's, such as http://localhost:5000
 * @throws BAD_INPUT_FORMAT where what is given contradicts what is remembered, or names a log that the server does not have;
 * TAMPERED_LOG where that one is not the one either that is remembered there; UNAVAILABLE_… when the server has to be asked and is silent */
export async function findLog(
  send: Send,
  storage: ClientStorage,
  address: string,
  given: GivenLog | null,
): Promise<LogTarget> {
  if (given !== null) {
    const log = { origin: given.origin, logKey: parseLogKey(given.key) }
    const known = await rememberedKeys(storage, given.origin)
    if (known.some((key) => !equal(key, log.logKey)))
      throw new AppError(
        "BAD_INPUT_FORMAT",
        "This machine remembers another key for this log. Compare both with a recovery sheet.",
      )
    if (known.length === 0) await demandOrigin(send, storage, address, given.origin)
    return { log, trust: "given", typed: known.length === 0 }
  }
  const origin = (await readKnown(storage, addresses)).get(address)
  const expected = origin === undefined ? null : await remembered(storage, origin)
  if (expected !== null) return expected
  const reply = await new Transport(send).call("GET", paths.practice, { reply: practice.reply })
  try {
    checkPublicKey(reply.logKey)
  } catch (cause) {
    throw new AppError("TAMPERED_PRACTICE", undefined, { cause })
  }
  const log = { origin: reply.origin, logKey: reply.logKey }
  return (await remembered(storage, reply.origin)) ?? { log, trust: "first contact", typed: false }
}

/** From now on this is the log that is expected at an address, and this its key. A key that is remembered is never replaced. */
export async function rememberLog(storage: ClientStorage, address: string, log: LogIdentity): Promise<void> {
  await storage.exclusive(addresses, async () => {
    await putKnown(storage, keys, log.origin, encodeLogKey(log.logKey), false)
    await putKnown(storage, addresses, address, log.origin, true)
  })
}

/** Every log of which this machine knows the key. */
export async function knownLogs(storage: ClientStorage): Promise<LogIdentity[]> {
  const all = await readKnown(storage, keys)
  return Array.from(all, ([origin, key]) => ({ origin, logKey: parseLogKey(key) }))
}

/** The same of the log that an account has pinned, where nothing is remembered at this address.
 * @param former origins of logs that this one goes on from */
export async function rememberPinned(
  storage: ClientStorage,
  address: string,
  log: LogIdentity,
  former: readonly string[] = [],
): Promise<void> {
  const known = (await readKnown(storage, addresses)).get(address)
  // After a restore that was confirmed; but a monitor on this machine takes the code itself, and compares all that it knows.
  const goesOn = known !== undefined && former.includes(known) && (await readLogState(storage, known)) === null
  if (known === undefined || goesOn) await rememberLog(storage, address, log)
}

/** An Ed25519 public key of 64 hexadecimal digits. @throws BAD_INPUT_FORMAT */
export function parseLogKey(text: string): Uint8Array {
  if (/^[0-9a-f]{64}$/i.test(text)) {
    const key = Uint8Array.from({ length: 32 }, (_, i) => Number.parseInt(text.slice(2 * i, 2 * i + 2), 16))
    try {
      checkPublicKey(key)
      return key
    } catch {
      // falls through to the refusal
    }
  }
  throw new AppError("BAD_INPUT_FORMAT", "This is not a log's key. Copy its 64 digits from a recovery sheet.")
}

export function encodeLogKey(key: Uint8Array): string {
  return encodeHex(key)
}

async function remembered(storage: ClientStorage, origin: string): Promise<LogTarget | null> {
  const [logKey, another] = await rememberedKeys(storage, origin)
  if (logKey === undefined) return null
  if (another !== undefined && !equal(logKey, another)) throw damaged(keys)
  return { log: { origin, logKey }, trust: "remembered", typed: false }
}

/** The monitor's key of a log, and the one that was remembered beside it: none, one or both. */
async function rememberedKeys(storage: ClientStorage, origin: string): Promise<Uint8Array[]> {
  const state = await readLogState(storage, origin)
  const noted = (await readKnown(storage, keys)).get(origin)
  try {
    return [...(state === null ? [] : [state.logKey]), ...(noted === undefined ? [] : [parseLogKey(noted)])]
  } catch (cause) {
    throw damaged(keys, cause)
  }
}

/** Demands that the server's log calls itself what was typed: another name is a slip, unless the log is not the one either that this
 * machine remembers at this address. What is no checkpoint is left to whoever verifies it. */
async function demandOrigin(send: Send, storage: ClientStorage, address: string, typed: string): Promise<void> {
  const before = (await readKnown(storage, addresses)).get(address)
  const note = await fetchCheckpoint(send)
  const [name = ""] = note.split("\n", 1)
  if (name === typed || !oneWord.test(name)) return
  const expected = before === undefined || before === typed ? null : await remembered(storage, before)
  // Throws where it is not that log.
  if (expected !== null) await openNote(note, expected.log.origin, expected.log.logKey)
  throw new AppError(
    "BAD_INPUT_FORMAT",
    `The server's log calls itself ${name}, and not ${typed}. Check that you typed it as it stands on the sheet. ` +
      "If you did, this is not the log of that sheet: stop, and call whoever runs your server.",
  )
}

async function readKnown(storage: ClientStorage, file: string): Promise<Map<string, string>> {
  const bytes = await storage.get(file)
  if (bytes === null) return new Map()
  try {
    return new Map(Object.entries(known.parse(JSON.parse(parseUtf8(bytes)))))
  } catch (cause) {
    throw damaged(file, cause)
  }
}

/** The caller holds the lock. */
async function putKnown(
  storage: ClientStorage,
  file: string,
  name: string,
  value: string,
  replace: boolean,
): Promise<void> {
  const all = await readKnown(storage, file)
  if (all.get(name) === value || (all.has(name) && !replace)) return
  await storage.put(file, utf8(`${JSON.stringify(Object.fromEntries(all.set(name, value)), null, 2)}\n`))
}

function damaged(file: string, cause?: unknown): AppError {
  const advice = `What this machine remembers of logs is damaged. Keep the file ${file} for whoever looks into it, and move it away.`
  return new AppError("CANNOT_OPEN", advice, { cause })
}
