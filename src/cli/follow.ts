import { whatWentBack } from "../client/after-restore.ts"
import { lineName } from "../client/line.ts"
import { endsMore } from "../client/resending.ts"
import { sendAgain } from "../client/send-again.ts"
import type { Session } from "../client/session.ts"
import type { LostRecord, SentAgain } from "../client/views.ts"
import type { Workspace } from "../client/workspace.ts"
import { utf8 } from "../encoding/bytes.ts"
import type { AppError } from "../errors.ts"
import type { Io } from "./command.ts"
import { momentOf } from "./times.ts"

const namedAtMost = 5

/** What a command does first where the server was put back, whoever has confirmed that: holds the log to what this machine has kept, sends
 * again what it still holds, and says which records stand earlier than it saw them. It does so until `restored` has shown them, or nothing is
 * left of it; from then on only while entries are still here. @param isWriting whether it writes in records that are there: then not before
 * everything was sent again that can be, which would seem to be older. The roster is open and up to date. @throws as `sendAgain` */
export async function follow(io: Io, work: Workspace, isWriting: boolean): Promise<void> {
  const { session } = work
  if (session.restoredAt < 0) return
  const isShown = await wasShown(session)
  const left = await session.kept.formerOwn()
  if (isShown && (left === "" || left === (await notedOf(session))[1])) return
  let back = isShown ? null : await whatWentBack(work, false)
  const sent = await sentNow(io, work, isWriting)
  const isSent = sent !== null && sent.unchanged + sent.anew > 0
  if (isSent) await work.roster.syncAfresh()
  if (isSent && back !== null) back = await whatWentBack(work, false)
  const records = back?.records ?? []
  const isHeld = session.around.transport.hold !== null
  const said = [
    ...(records.length === 0 ? [] : [earlier(records)]),
    ...(sent === null ? [] : whatWasSent(sent, isShown)),
    ...(isHeld ? ["Your old password or words count again, and are changed first."] : []),
  ]
  const isOpen = sent === null || records.length + sent.waiting + sent.left.length > 0
  if (!isShown && said.length > 0)
    said.unshift(`The server was put back to an earlier state; restored ${when(session)}.`)
  if (!isShown && isOpen && said.length > 0) said.push("To see what went back: healthcrypt restored")
  if (said.length > 0) await io.err.line(said.join(" "))
  const isSettled = sent !== null && sent.waiting === 0 && sent.left.every(({ isFinal }) => isFinal)
  if (isShown ? isSettled : !isOpen) await noteShown(session, isSettled ? await session.kept.formerOwn() : "")
}

/** What a command's physician was shown of a restore need not be said again.
 * @param settled what is left of their own entries and is never sent, which need not be tried again: see `formerOwn` */
export async function noteShown(session: Session, settled = ""): Promise<void> {
  const { storage } = session.around
  // Where it cannot be stored, it is said again.
  await storage.put(nameOf(session), utf8(`${lineName(session.line)}\n${settled}`)).catch(() => {})
}

/** Whether `restored`, or a command that left nothing open, has shown what this restore took back. */
export async function wasShown(session: Session): Promise<boolean> {
  return session.restoration === null && (await notedOf(session))[0] === lineName(session.line)
}

async function notedOf(session: Session): Promise<readonly string[]> {
  const stored = await session.around.storage.get(nameOf(session))
  return stored === null ? [] : new TextDecoder().decode(stored).split("\n")
}

function nameOf({ practice, physician }: Session): string {
  return `followed/${practice.practice}/${physician}`
}

/** @returns null where nothing can be sent now */
async function sentNow(io: Io, work: Workspace, isWriting: boolean): Promise<SentAgain | null> {
  if (work.session.around.transport.hold !== null) return null
  try {
    return await sendAgain(work)
  } catch (error) {
    if (endsMore(error)) throw error
    const said = "What you wrote on this machine before the server was put back cannot be sent again now"
    await io.err.line(
      isWriting ? `${said}, so nothing is written on top of it.` : `${said}. ${(error as AppError).message}`,
    )
    if (isWriting) throw error
    return null
  }
}

function earlier(records: readonly LostRecord[]): string {
  const ids = records.slice(0, namedAtMost).map(({ id }) => id)
  const more = records.length - ids.length
  const which = `${ids.join(" ")}${more > 0 ? ` and ${more} more` : ""}`
  return records.length === 1
    ? `One record stands earlier than this machine has seen it: ${which}.`
    : `${records.length} records stand earlier than this machine has seen them: ${which}.`
}

/** @param isShown whether what stays was said before */
function whatWasSent({ unchanged, anew, waiting, left }: SentAgain, isShown: boolean): string[] {
  const again = unchanged + anew
  return [
    ...(again === 0 ? [] : [`${entries(again, "was", "were")} sent again.`]),
    ...(waiting === 0 || isShown
      ? []
      : [`${entries(waiting, "waits", "wait")} until an owner has confirmed who may read the record.`]),
    ...(left.length === 0 || isShown ? [] : [`${entries(left.length, "was", "were")} not sent again.`]),
  ]
}

function entries(count: number, one: string, many: string): string {
  return count === 1 ? `One entry of yours ${one}` : `${count} entries of yours ${many}`
}

function when({ line }: Session): string {
  return momentOf(line.at(-1)!.time)
}
