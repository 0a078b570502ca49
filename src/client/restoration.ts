import { equal } from "../encoding/bytes.ts"
import { AppError } from "../errors.ts"
import type { TreeHead } from "../proof/checkpoint.ts"
import type { Identity } from "../proof/identity.ts"
import { demandSuccessionCode, sameLog } from "../proof/succession.ts"
import type { AccountReply, PracticeReply } from "../protocol/accounts.ts"
import type { Keyring } from "../vault/keyring.ts"
import { fetchLine, inCommon, keptSince, type Line, readLine, sameLine } from "./line.ts"
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
    pins.renew = pins.moveIdentityBack(account.identity, identity.unlocks)
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
 * @returns null where it is the log that this device is of.
 * @throws TAMPERED_PRACTICE where no restore leads to it, TAMPERED_ROLLBACK where this device has left it, TAMPERED_FORK, TAMPERED_LOG */
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
  if (pins.isNew) pins.startAt(held)
  const pinned = await readLine(pins.line)
  const isConfirmed = sameLog(nameOf(known), practice)
  const line = isConfirmed ? held : await shownLine(transport, practice)
  // A keyring from before a restore is of a log on the way to the server's.
  const after = line[held.length]
  const isEarlier = after !== undefined && inCommon(held, line) === held.length && sameLog(after.from, nameOf(known))
  if (!isConfirmed && !isEarlier) throw new AppError("TAMPERED_PRACTICE")
  if (sameLine(line, pinned)) return null
  const from = inCommon(line, pinned)
  const next = line[from]
  if (next === undefined || pins.hasLeft(line)) throw new AppError("TAMPERED_ROLLBACK")
  const { tree } = pins
  const goesOn = from === pinned.length
  // Whoever restores knows the very same size with another root: the old log was forked before.
  if (goesOn && tree.size === next.known.size && !equal(tree.root, next.known.root)) throw new AppError("TAMPERED_FORK")
  const kept = keptSince(line, pinned)!
  // Another device of the physician's has confirmed what follows this one's log. Where the two went apart, each device is told itself:
  // no number says which of them is the later.
  const confirmed = isConfirmed && goesOn && keyringNumber > pins.keyring
  return { line, kept, seen: tree.size, time: line.at(-1)!.time, confirmed }
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
  demandSuccessionCode(line.at(-1)!, typed)
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

function nameOf({ origin, logKey }: Keyring["practice"]) {
  return { origin, logKey }
}
