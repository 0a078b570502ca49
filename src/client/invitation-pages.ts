import type { z } from "zod"
import type { RecordId } from "../encoding/ids.ts"
import { paths } from "../protocol/paths.ts"
import { readInvitations, waitingAtMost } from "../protocol/records.ts"
import type { Session } from "./session.ts"
import type { InvitationList } from "./views.ts"

/** An invitation as the server tells it. */
export type Given = z.output<typeof readInvitations.reply>["invitations"][number]

const pageSize = 1000
/** So many of those are listed whose sender is not verified: whoever has an account can send any number. */
const unverifiedAtMost = 100
/** So many colleagues are named in one request. */
const namedAtOnce = 200

/** The records that the server says the physician is invited to, as far as they are listed. */
export async function invitedTo(session: Session): Promise<ReadonlySet<RecordId>> {
  const found = new Set<RecordId>()
  for await (const { invitations } of pagesOf(session)) for (const { record } of invitations) found.add(record)
  return found
}

interface Page extends Pick<InvitationList, "unlisted" | "more"> {
  readonly invitations: readonly Given[]
}

/** One after the other: what senders put into them is not held all at once. The server learns whom the physician has verified. Else whoever has
 * an account could bury what colleagues sent, or every client had to fetch all that anybody sent: see docs/threat-model.md, "What leaks". */
export async function* pagesOf(session: Session): AsyncGenerator<Page> {
  const colleagues = session.keyring.colleagues.map(({ physician }) => physician)
  for (let at = 0; at < colleagues.length; at += namedAtOnce) {
    const from = colleagues.slice(at, at + namedAtOnce).join()
    for (let since = 0, more = true; more; ) {
      const page = await fetchPage(session, { since, from })
      yield { invitations: page.invitations, unlisted: 0, more: false }
      more = page.more && page.next > since
      since = page.next
    }
  }
  const without = colleagues.slice(0, namedAtOnce).join()
  const { invitations, waiting } = await fetchPage(session, { limit: unverifiedAtMost, without })
  const unlisted = Math.max(0, waiting - invitations.length)
  yield { invitations, unlisted, more: waiting >= waitingAtMost }
}

export function fetchPage(session: Session, wanted: Readonly<Record<string, string | number>>) {
  return session.around.transport.call("GET", paths.invitations, {
    query: { since: 0, limit: pageSize, ...wanted },
    reply: readInvitations.reply,
    background: true,
  })
}
