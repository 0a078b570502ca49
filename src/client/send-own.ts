import { AppError } from "../errors.ts"
import type { Receipt } from "../protocol/log.ts"
import { entriesPath } from "../protocol/paths.ts"
import { appendEntry } from "../protocol/records.ts"
import type { OwnEntry } from "./own-entry.ts"
import type { Session } from "./session.ts"
import { resend } from "./transport.ts"

/** Sends an entry of this physician's own, and checks the receipt. The device keeps it before it is sent, whatever comes of the answer: that
 * the server refused it is the server's word, and only the log can show it. */
export async function sendOwn(session: Session, own: OwnEntry): Promise<Receipt> {
  const { log, around, physician, kept } = session
  const { record, seq, hash } = own
  await kept.own.sending(own)
  const request = appendEntry.body.encode({ ...own.sent, since: 0 })
  let isUnheard = false
  const send = async (size: number) => {
    try {
      const json = { ...request, since: size }
      return await around.transport.call("POST", entriesPath(record), { json, reply: appendEntry.reply })
    } catch (error) {
      isUnheard ||= !isRefusal(error)
      throw error
    }
  }
  try {
    const { answer, tree } = await log.exchange(
      ({ size }) => resend(() => send(size)),
      (receipt) => receipt.log,
    )
    const about = { subject: record, stream: "entry", type: "entry", number: seq, actor: physician } as const
    log.checkReceipt(answer, { ...about, statementHash: hash }, tree)
    // Where this device's clock is behind, the entry is no older for it.
    kept.own.note({ ...own, leaf: answer.leaf.index, time: Math.max(own.time, answer.leaf.time) })
    return answer
  } catch (error) {
    // Of two tries the first may have been taken, whatever is said of the second.
    if (!isUnheard && isRefusal(error)) await kept.own.refused(own)
    throw error
  }
}

/** Whether the server says that nothing is stored: what else goes wrong says nothing of it. */
function isRefusal(error: unknown): boolean {
  if (!(error instanceof AppError) || error.is("TAMPERED")) return false
  return error.code !== "UNAVAILABLE" && error.code !== "UNAVAILABLE_SERVER"
}
