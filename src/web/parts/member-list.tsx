import { Button } from "@mantine/core"
import { Link } from "@tanstack/react-router"
import type { MemberView } from "../../client/views.ts"
import { showDay } from "../dates.ts"
import type { RecordId } from "../record-id.ts"
import { emptyShare } from "../share-draft.ts"
import { Hidden } from "./hidden.tsx"
import classes from "./member-list.module.css"
import { ColleagueName } from "./verified-mark.tsx"

interface MemberListProps {
  id: RecordId
  members: readonly MemberView[]
  mayChange: boolean
  onAsk: (what: "change" | "remove", member: MemberView) => void
}

export function MemberList({ id, members, mayChange, onAsk }: MemberListProps) {
  return (
    <ul className={classes.members}>
      {members.map((member) => (
        <li key={member.colleague.physician} className={classes.member}>
          <div className={classes.who}>
            <ColleagueName colleague={member.colleague} you={member.you} />
            {!member.you && <Verify id={id} member={member} />}
            {!member.accepted && <span className={classes.until}>Invited, not accepted yet</span>}
            {member.suspended && <span className={classes.until}>The server says that this account is suspended</span>}
            <Until member={member} />
          </div>
          <span className={classes.role}>{member.role}</span>
          {!member.you && mayChange && (
            <div className={classes.actions}>
              <Button size="xs" variant="default" onClick={() => onAsk("change", member)}>
                Change<Hidden> {member.colleague.username}</Hidden>
              </Button>
              <Button size="xs" variant="default" onClick={() => onAsk("remove", member)}>
                Remove<Hidden> {member.colleague.username}</Hidden>
              </Button>
            </div>
          )}
        </li>
      ))}
    </ul>
  )
}

function Until({ member: { until } }: { member: MemberView }) {
  if (until === null) return null
  const over = until < Date.now()
  return (
    <span className={classes.until} data-over={over || undefined}>
      {over ? `Their time ended on ${showDay(until)}` : `Until ${showDay(until)}, which the server enforces`}
    </span>
  )
}

function Verify({ id, member: { colleague } }: { id: RecordId; member: MemberView }) {
  const { username, state } = colleague
  if (state === "verified") return null
  return (
    <Link
      to="/colleagues/$username"
      params={{ username }}
      state={{ back: { to: "/records/$id/sharing", id, draft: emptyShare } }}
      className={classes.verify}
    >
      {state === "changed" ? "Compare again" : "Verify"}
      <Hidden> {username}</Hidden>
    </Link>
  )
}
