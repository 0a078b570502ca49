import { equal } from "../encoding/bytes.ts"
import { AppError } from "../errors.ts"
import type { TreeHead } from "../proof/checkpoint.ts"
import type { Identity } from "../proof/identity.ts"
import { keyringStep, parseDigits, sameLog, successionCode } from "../proof/succession.ts"
import type { AccountReply, PracticeReply } from "../protocol/accounts.ts"
import type { Keyring } from "../vault/keyring.ts"
import { fetchLine, inCommon, keptSince, type Line, logAfter, readLine, sameLine } from "./line.ts"
import type { Pins } from "./pins.ts"
import type { Hold, Transport } from "./transport.ts"

/** A practice's log was put back to an earlier state since this device last saw it. */
export interface Restoration {
  /** Every restore that led to the log that the server has now. */
  readonly line: Line
  /** What is left of the log that this device knew. */
  readonly kept: TreeHead
  /** Leaves of it that this device had seen, at least. */
  readonly seen: number
  /** When the server was restored, by its clock; milliseconds since 1970. */
  readonly time: number
  /** False until the physician has typed the operator's code, here or on another device. */
  readonly confirmed: boolean
}

/** Holds what a server says of an account against the pins, and moves them on: within the log that they are of, or, after a restore, from what
 * both logs have. @returns null where the log is the one that is pinned. @throws as {@link restorationOf} */
export async function holdToPins(
  transport: Transport,
  practice: PracticeReply,
  account: Pick<AccountReply, "identity" | "keyring">,
  identity: Identity,
  keyring: Keyring,
  pins: Pins,
): Promise<Restoration | null> {
  const { number } = account.keyring
  if (identity.seq < keyring.seen.identity) throw new AppError("TAMPERED_ROLLBACK")
  const found = await restorationOf(transport, practice, keyring, number, pins)
  if (found === null && number < pins.keyring) throw new AppError("TAMPERED_ROLLBACK")
  if (found === null) pins.moveIdentity(account.identity)
  else {
    pins.renew = pins.moveIdentityBack(account.identity, identity.unlocks, found.confirmed)
    pins.succeed(found.line, found.kept)
    pins.held = !found.confirmed
  }
  pins.keyring = number
  if (pins.renew.length === 0) pins.noteUnlocks(identity.unlocks)
  return found
}

/** What may be sent, as a restore stands. */
export function holdOf(restoration: Restoration | null, pins: Pins): Hold {
  if (restoration?.confirmed === false) return "unconfirmed"
  return pins.renew.length > 0 ? "renewing" : null
}

/** Where a server's log stands to what this device and the keyring know, once the keyring is opened.
 * @returns null where it is the log that is known, by the keyring or by the pins.
 * @throws TAMPERED_PRACTICE, TAMPERED_ROLLBACK, TAMPERED_FORK, TAMPERED_LOG where it is another and no succession leads there */
async function restorationOf(
  transport: Transport,
  practice: PracticeReply,
  keyring: Keyring,
  keyringNumber: number,
  pins: Pins,
): Promise<Restoration | null> {
  const known = keyring.practice
  if (known.id !== practice.practice || known.opaqueKey !== practice.opaqueKey) throw new AppError("TAMPERED_PRACTICE")
  const held = await readLine(keyring.successions ?? [])
  const pinned = pins.isNew ? held : await readLine(pins.line)
  if (sameLog(nameOf(known), practice)) {
    if (pins.isNew) pins.startAt(held)
    if (sameLine(held, pinned)) return null
    // Another device of the physician's has confirmed it; an older keyring than the pinned one says nothing of the kind.
    const common = inCommon(held, pinned)
    const goesOn = common === pinned.length
    const later = goesOn ? keyringNumber > pins.keyring : epochOf(keyringNumber) > epochOf(pins.keyring)
    const earlier = epochOf(keyringNumber) < epochOf(pins.keyring)
    if (!later && (goesOn || earlier || common === held.length)) throw new AppError("TAMPERED_ROLLBACK")
    // Of two restores of one backup this device took the other one, and never this: it asks for the code, whoever else has confirmed it.
    return made(held, pinned, pins, later)
  }
  const line = await shownLine(transport, practice)
  const from = inCommon(pinned, line)
  const first = nameOf(known)
  // This device has confirmed it already, and the keyring is one from before: whoever stands on it has asked for that.
  const isBefore = held.length < line.length && inCommon(held, line) === held.length
  if (isBefore && sameLine(pinned, line) && sameLog(first, logAfter(line, held.length, first))) return null
  if (from === line.length || inCommon(held, line) < held.length) throw new AppError("TAMPERED_PRACTICE")
  const next = line[from]!
  if (!sameLog(next.from, logAfter(pinned, from, first))) throw new AppError("TAMPERED_PRACTICE")
  const restoration = made(line, pinned, pins, false)
  const { tree } = pins
  // Whoever restored knows the very same size with another root: the old log was forked before.
  if (pinned.length === from && tree.size === next.known.size && !equal(tree.root, next.known.root))
    throw new AppError("TAMPERED_FORK")
  return restoration
}

/** A server whose word for a restore does not check is another one, like any that has none. */
async function shownLine(transport: Transport, practice: PracticeReply): Promise<Line> {
  try {
    return (await fetchLine(transport, practice)).line
  } catch (cause) {
    if (cause instanceof AppError && cause.code === "UNAVAILABLE_SERVER") throw cause
    throw new AppError("TAMPERED_PRACTICE", undefined, { cause })
  }
}

/** Demands the code that whoever restored has told. It is computed here, and never shown. @throws BAD_INPUT_RESTORE_CODE */
export function demandCode({ line }: Restoration, typed: string): void {
  const digits = parseDigits(typed)
  if (digits === null || digits !== successionCode(line.at(-1)!)) throw new AppError("BAD_INPUT_RESTORE_CODE")
}

/** What is thrown where somebody meets a restored server without having confirmed it. */
export function unconfirmed({ kept, seen }: Restoration): AppError {
  const code = seen > kept.size ? "TAMPERED_ROLLBACK" : "TAMPERED_PRACTICE"
  return new AppError(
    code,
    "This server says that it was put back to an earlier state. Call whoever runs it: if that is so, they give you a code of 30 digits. " +
      "Confirm it on the page, or with `healthcrypt restored`; without your password, with `healthcrypt recover --restored`. Without a code, stop.",
  )
}

function made(line: Line, pinned: Line, pins: Pins, confirmed: boolean): Restoration {
  const kept = keptSince(line, pinned)
  if (kept === null) throw new AppError("TAMPERED_PRACTICE")
  return { line, kept, seen: pins.tree.size, time: line.at(-1)!.time, confirmed }
}

function nameOf({ origin, logKey }: Keyring["practice"]) {
  return { origin, logKey }
}

function epochOf(keyringNumber: number): number {
  return Math.floor(keyringNumber / keyringStep)
}
