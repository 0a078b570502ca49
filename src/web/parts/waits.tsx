import type { RecordView } from "../../client/views.ts"
import { ButtonLink } from "./button-link.tsx"
import { Notice } from "./notice.tsx"

/** After a restore of the server: what a record waits for, and the way there. */
export function Waits({ record: { id, waits } }: { record: RecordView }) {
  if (waits === null) return null
  return (
    <Notice
      tone="amber"
      actions={
        waits.mine && (
          <ButtonLink to="/records/$id/sharing" params={{ id }} size="xs">
            Confirm who can read this record
          </ButtonLink>
        )
      }
    >
      {waits.mine
        ? "The server was put back to an earlier state. Nothing can be written here until you have confirmed who can read this record."
        : waitsFor(waits.owners)}
    </Notice>
  )
}

/** What a colleague reads who is no owner. */
export function waitsFor(owners: readonly string[]): string {
  const who = owners.length === 0 ? "an owner of this record" : owners.join(" or ")
  return `The server was put back to an earlier state. Nothing can be written here until ${who} has confirmed who can read this record.`
}
