import { changePassword, checkPassword, renewWords, reopenAnyway, signInAnyway } from "../client/account.ts"
import { lookBack } from "../client/after-restore.ts"
import { demandCode } from "../client/restoration.ts"
import { lostAsText, sendAgain } from "../client/send-again.ts"
import type { Session } from "../client/session.ts"
import type { LostRecord, SentAgain, WentBack } from "../client/views.ts"
import type { Workspace } from "../client/workspace.ts"
import { codeFrom, newPasswordFrom, secretFrom, UsageError, usernameFrom } from "./ask.ts"
import { endAfter, noteLog, withServer } from "./client.ts"
import type { CliCommand, Io } from "./command.ts"
import { writePrivately } from "./export.ts"
import { noteShown, wasShown } from "./follow.ts"
import type { Out } from "./out.ts"
import { newWords, withWords } from "./register.ts"
import { momentOf } from "./times.ts"

/** After the server was put back to an earlier state: shows what that takes back, reads the operator's code, and sends again what this device
 * still holds. */
export const restored: CliCommand = {
  name: "restored",
  summary:
    "After a restore of the server: reads its code on standard input, shows what went back, and sends yours again",
  options: [
    { flags: "--json", description: "print what went back as JSON" },
    { flags: "-o, --output <file>", description: "write what cannot be sent again to a file, in plain text" },
    { flags: "--force", description: "replace a file that is there" },
    { flags: "--reopen", description: "take an earlier keyring, where the newest does not open: see `reopen`" },
  ],
  async run(io, options) {
    const username = await usernameFrom(io)
    const password = await secretFrom(io, "HEALTHCRYPT_PASSWORD", "Password")
    return withServer(io, async (around) => {
      const session =
        options.reopen === true
          ? (await reopenAnyway(around, username, password)).session
          : await signInAnyway(around, username, password)
      return endAfter(session, () => confirm(io, session, password, options))
    })
  },
}

async function confirm(
  io: Io,
  session: Session,
  password: string,
  options: Readonly<Record<string, unknown>>,
): Promise<number> {
  const { work, back } = await lookBack(session, await wasShown(session))
  const isConfirmed = session.restoration?.confirmed !== false
  if (options.json) await io.out.json(back)
  else await showLoss(io.out, back, session.restoration === null)
  const { renew } = session.pins
  // Asked for before anything is confirmed: nothing is left half done for want of it.
  const code = isConfirmed ? null : await checkedCode(io, session)
  const next = renew.includes("password") ? await newPassword(io) : null
  if (next !== null) checkPassword(next)
  if (code !== null) {
    await session.confirmRestore(code)
    await io.err.line("Confirmed: your devices take this server for yours again.")
  }
  if (next !== null) await changePassword(session, password, next)
  if (renew.includes("recovery")) await withWords(io, newWords, (show) => renewWords(session, next ?? password, show))
  const sent = await goOn(io, work, back)
  const isOut = typeof options.output === "string" && (await takeOut(io, work, options.output, options.force === true))
  return sent.left.length > 0 && !isOut ? 1 : 0
}

/** The code, which is the right one; nothing is confirmed yet. @throws BAD_INPUT_RESTORE_CODE */
export async function checkedCode(io: Io, { restoration }: Session): Promise<string> {
  const code = await codeFrom(io)
  if (restoration !== null) demandCode(restoration, code)
  return code
}

/** Sends again what this device still holds, says what became of it, remembers what the restored server has, and binds it. */
export async function goOn(io: Io, work: Workspace, back: WentBack): Promise<SentAgain> {
  await noteLog(io, work.session)
  try {
    const sent = await sendAgain(work)
    await work.roster.syncAfresh()
    await report(io, sent, back)
    await noteShown(work.session)
    return sent
  } finally {
    // What was sent before a refusal counts as well.
    await work.session.kept.keepHeads(work.roster)
    await work.roster.bind().catch(() => {})
  }
}

/** @param isDone whether no restore waits to be confirmed */
export async function showLoss(out: Out, { time, records, own, renew }: WentBack, isDone: boolean): Promise<void> {
  if (time > 0) await out.line(`The server was put back to an earlier state; restored ${momentOf(time)}.`)
  else if (isDone) await out.line("This device knows of no restore that is not confirmed.")
  if (records.length > 0) {
    const rows = records.map((one) => [one.id, lossOf(one), String(one.own), one.returned.join(", "), one.name])
    const head = ["Record", "Went back", "Yours here", "Members again", "Patient"]
    await out.table(head, rows)
  } else if (time > 0) await out.line("Nothing that this device has seen went back.")
  if (own === 1) await out.line("One of the entries that went back is yours, and is sent again if it can be.")
  if (own > 1) await out.line(`${own} of the entries that went back are yours, and are sent again if they can be.`)
  if (renew.length > 0)
    await out.line(
      "Your password or words were changed since. The old ones count again, so they are changed once more now.",
    )
}

function lossOf({ had, has, accept }: LostRecord): string {
  if (accept) return "your acceptance: accept it again"
  if (has === 0) return "the whole record"
  return has === had ? "no entry" : `${had - has} of ${had} entries`
}

/** Whether what is missing from it can come from another device alone. */
function isHeldElsewhere({ had, has, own, returned, accept }: LostRecord): boolean {
  return has < had && own === 0 && returned.length === 0 && !accept
}

async function report(
  io: Io,
  { unchanged, anew, waiting, elsewhere, left }: SentAgain,
  { confirm, records }: WentBack,
): Promise<void> {
  if (unchanged + anew > 0)
    await io.err.line(`Sent again: ${unchanged} unchanged, ${anew} anew on what the server has.`)
  for (const { id, time } of elsewhere)
    await io.err.line(
      `${id}, written ${momentOf(time)}: the record goes on under this id, because somebody else has taken its own meanwhile.`,
    )
  if (waiting === 1) await io.err.line("1 entry waits until an owner has confirmed who may read its record.")
  if (waiting > 1) await io.err.line(`${waiting} entries wait until an owner has confirmed who may read their records.`)
  for (const { id, time, reason, hasContent } of left) {
    const advice = hasContent ? "" : ` Decide that anew: healthcrypt members ${id}`
    await io.err.line(`${id}, written ${momentOf(time)}: not sent. ${reason}${advice}`)
  }
  if (left.some(({ hasContent }) => hasContent))
    await io.err.line("To save a copy of what was not sent: healthcrypt restored -o FILE")
  if (confirm.length > 0)
    await io.err.line("Records with several members take nothing until an owner has confirmed them:")
  for (const id of confirm) await io.err.line(`  healthcrypt members ${id} --confirm`)
  if (confirm.length > 1)
    await io.err.line("Many at once: healthcrypt members - --confirm reads their ids from standard input, a line each.")
  const accept = records.filter((one) => one.accept).length
  if (accept > 0)
    await io.err.line(
      `${accept === 1 ? "1 record has" : `${accept} records have`} to be accepted again: healthcrypt shares list`,
    )
  const missing = records.filter(isHeldElsewhere).length
  if (missing > 0)
    await io.err.line(
      `${missing === 1 ? "1 record lacks" : `${missing} records lack`} entries that this machine does not hold. If you wrote them on another device, sign in there once, or run any command there: it sends them again.`,
    )
  if (waiting + left.length + confirm.length + accept === 0)
    await io.err.line("Nothing of yours is left on this machine to send or to decide.")
}

/** @returns whether there was something to write */
async function takeOut(io: Io, work: Workspace, file: string, force: boolean): Promise<boolean> {
  const lost = await lostAsText(work)
  if (lost === null) {
    await io.err.line(`There is nothing to write: ${file} was not made.`)
    return false
  }
  await writePrivately(file, lost, force)
  await io.err.line(`${file} is not encrypted. Delete it when it is no longer needed.`)
  return true
}

async function newPassword(io: Io): Promise<string> {
  if (io.env.HEALTHCRYPT_NEW_PASSWORD) return io.env.HEALTHCRYPT_NEW_PASSWORD
  if (io.isTerminal) return newPasswordFrom(io, ["HEALTHCRYPT_NEW_PASSWORD"])
  throw new UsageError(
    "You changed your password since. Set HEALTHCRYPT_NEW_PASSWORD to a new one. Nothing was changed.",
  )
}
