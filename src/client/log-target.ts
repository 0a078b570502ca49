import { z } from "zod"
import { encodeHex, equal, parseUtf8, utf8 } from "../encoding/bytes.ts"
import { AppError } from "../errors.ts"
import { checkPublicKey } from "../proof/signature.ts"
import { practice } from "../protocol/accounts.ts"
import { paths } from "../protocol/paths.ts"
import type { LogIdentity } from "./log.ts"
import { readLogState } from "./monitor-memory.ts"
import type { ClientStorage } from "./storage.ts"
import { type Send, Transport } from "./transport.ts"

/** Which log an address has, and why its key is believed: as it was given, as this machine remembers it, or on the server's own word. */
export interface LogTarget {
  readonly log: LogIdentity
  readonly trust: "given" | "remembered" | "first contact"
}

/** What stands on a recovery sheet: the log's origin, and its key as 64 hexadecimal digits. */
export interface GivenLog {
  readonly origin: string
  readonly key: string
}

const addresses = "monitor/addresses"
const known = z.record(z.string(), z.string())

/** Finds out which log to expect at an address. A key that this machine remembers is never given up for another that somebody names.
 * @param address the server's, such as http://localhost:5000
 * @throws BAD_INPUT_FORMAT where what is given contradicts what is remembered; UNAVAILABLE_… when the server has to be asked and is silent */
export async function findLog(
  send: Send,
  storage: ClientStorage,
  address: string,
  given: GivenLog | null,
): Promise<LogTarget> {
  if (given !== null) {
    const log = { origin: given.origin, logKey: parseLogKey(given.key) }
    const state = await readLogState(storage, given.origin)
    if (state !== null && !equal(state.logKey, log.logKey))
      throw new AppError(
        "BAD_INPUT_FORMAT",
        "This machine remembers another key for this log. Compare both with a recovery sheet.",
      )
    return { log, trust: "given" }
  }
  const origin = (await readAddresses(storage))[address]
  const expected = origin === undefined ? null : await remembered(storage, origin)
  if (expected !== null) return expected
  const reply = await new Transport(send).call("GET", paths.practice, { reply: practice.reply })
  try {
    checkPublicKey(reply.logKey)
  } catch (cause) {
    throw new AppError("TAMPERED_PRACTICE", undefined, { cause })
  }
  const log = { origin: reply.origin, logKey: reply.logKey }
  return (await remembered(storage, reply.origin)) ?? { log, trust: "first contact" }
}

/** From now on this is the log that is expected at an address. */
export async function rememberAddress(storage: ClientStorage, address: string, log: LogIdentity): Promise<void> {
  await storage.exclusive(addresses, async () => {
    const all = await readAddresses(storage)
    if (all[address] === log.origin) return
    await storage.put(addresses, utf8(`${JSON.stringify({ ...all, [address]: log.origin }, null, 2)}\n`))
  })
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
  const state = await readLogState(storage, origin)
  return state === null ? null : { log: { origin, logKey: state.logKey }, trust: "remembered" }
}

async function readAddresses(storage: ClientStorage): Promise<Record<string, string>> {
  const bytes = await storage.get(addresses)
  if (bytes === null) return {}
  try {
    return known.parse(JSON.parse(parseUtf8(bytes)))
  } catch (cause) {
    const advice = `What this machine remembers of logs is damaged. Keep the file ${addresses} for whoever looks into it, and move it away.`
    throw new AppError("CANNOT_OPEN", advice, { cause })
  }
}
