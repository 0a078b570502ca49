import { encodeBase64 } from "../encoding/base64.ts"
import type { RecordId } from "../encoding/ids.ts"
import type { ErrorCode } from "../errors.ts"
import type { LogRefusal } from "./log.ts"
import type { Refusal } from "./roster.ts"
import { membersOf } from "./roster-row.ts"
import type { TamperedView } from "./views.ts"
import type { Workspace } from "./workspace.ts"

/** What was expected and what came, in a physician's words. */
const words: Partial<Record<ErrorCode, readonly [expected: string, found: string]>> = {
  TAMPERED_CHAIN: ["Every entry follows the one before it, by somebody who may write.", "An entry that does not fit."],
  TAMPERED_SIGNATURE: ["Every entry carries its author's signature.", "A signature that does not match the entry."],
  TAMPERED_TOKEN: ["Content exactly as its author signed it.", "Content that was changed, cut or exchanged."],
  TAMPERED_KEY: ["The key that the record has promised from the start.", "Another key."],
  TAMPERED_GRANT: [
    "Keys that the sender signed for you, and a record that you have accepted.",
    "Keys that nobody signed for this place, or a record that you never accepted.",
  ],
  TAMPERED_IDENTITY: [
    "Identities that go on from those that were seen before, as their owners signed them.",
    "One that does not.",
  ],
  TAMPERED_ROLLBACK: ["At least what this device has seen before.", "An older state."],
  TAMPERED_FORK: ["The same log that this device has seen, grown longer.", "A log with another history."],
  TAMPERED_LOG: ["A signed log that holds every entry.", "A log that does not check."],
  TAMPERED_PRACTICE: ["The practice that you registered with.", "A server that says it is another one."],
  CANNOT_OPEN: ["Content that your keys open.", "Content that they do not open."],
}

const ofColleague = [
  "A key that opens, from the colleague who changed this record’s key.",
  "One that they signed for you, and that does not.",
] as const

/** What the page shows of a record that is refused; `null` for one that is not. */
export async function viewRefused({ roster, session }: Workspace, id: RecordId): Promise<TamperedView | null> {
  const refusal = roster.refused.get(id) ?? roster.refusedInvitations.get(id)
  if (refusal === undefined) return null
  const view = viewTampered(refusal.code, id, refusal, session.around.now())
  if (refusal.by === null) return view
  const { people, physician } = session
  await people.meet([refusal.by]).catch(() => {})
  const row = roster.rows.get(id)
  // Where nothing is known of its members, the record was this physician's alone.
  const mine = (row && membersOf(row))?.find((member) => member.physician === physician)
  const mayRemove = mine === undefined || mine.role === "owner"
  const [expected, found] = ofColleague
  return { ...view, expected, found, by: { physician: refusal.by, label: people.label(refusal.by), mayRemove } }
}

/** The evidence holds statements and codes, which the server has anyway, and nothing of the record. */
export function viewTampered(
  code: ErrorCode,
  record: RecordId | null,
  refusal: Refusal | null,
  now: number,
  log: LogRefusal | null = null,
): TamperedView {
  const [expected, found] = words[code] ?? ["An answer that checks.", "One that does not."]
  const evidence = {
    healthcrypt: "evidence",
    version: 1,
    code,
    time: new Date(now).toISOString(),
    ...(record === null ? {} : { record }),
    ...(log === null
      ? {}
      : {
          checkpoint: log.checkpoint,
          pinned: { size: log.pinned.size, root: encodeBase64(log.pinned.root) },
          missing: log.missing,
        }),
    ...(refusal === null ? {} : { seq: refusal.seq, statement: refusal.statement }),
  }
  return { code, expected, found, by: null, evidence: `${JSON.stringify(evidence, null, 2)}\n` }
}
