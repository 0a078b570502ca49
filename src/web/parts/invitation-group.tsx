import { Button } from "@mantine/core"
import { useState } from "react"
import type { Invitation } from "../../client/views.ts"
import { useApp } from "../app.ts"
import { count, showDay, showWhen } from "../dates.ts"
import type { RecordId } from "../record-id.ts"
import { saveFile } from "../save-file.ts"
import { ButtonLink } from "./button-link.tsx"
import { Hidden } from "./hidden.tsx"
import classes from "./invitation-group.module.css"
import { Notice } from "./notice.tsx"
import { ColleagueName } from "./verified-mark.tsx"

const firstLook = 10
const more = 200
/** Said once for all that a colleague sends. */
const ofWho = new Set<string>(["NOT_ALLOWED_UNVERIFIED", "NOT_ALLOWED_CHANGED_KEY"])

interface InvitationGroupProps {
  invitations: readonly [Invitation, ...Invitation[]]
  /** Something works on many records just now. */
  busy: boolean
  onAccept: (ids: readonly RecordId[]) => void
  onDecline: (ids: readonly RecordId[]) => void
}

/** All that one colleague shares. */
export function InvitationGroup({ invitations, busy, onAccept, onDecline }: InvitationGroupProps) {
  const [{ from }] = invitations
  const [chosen, setChosen] = useState<ReadonlySet<RecordId>>(new Set())
  const [limit, setLimit] = useState(firstLook)
  const verified = from.state === "verified"
  const sender = from.username || "an unknown sender"
  const sound = verified ? invitations.filter(({ problem }) => problem === null).map(({ id }) => id) : []
  const ticked = sound.filter((id) => chosen.has(id))
  const toggle = (id: RecordId) => {
    const next = new Set(chosen)
    if (!next.delete(id)) next.add(id)
    setChosen(next)
  }
  return (
    <section className={classes.group} aria-label={`From ${sender}`}>
      <header className={classes.head}>
        <h2 className={classes.from}>{from.username ? <ColleagueName colleague={from} /> : "An unknown sender"}</h2>
        <p className={classes.count}>{count(invitations.length, "record")}</p>
        <div className={classes.actions}>
          {sound.length > 0 && (
            <Button size="xs" disabled={busy} onClick={() => onAccept(ticked.length > 0 ? ticked : sound)}>
              {ticked.length > 0
                ? `Accept ${ticked.length.toLocaleString()} selected`
                : sound.length === 1
                  ? "Accept"
                  : `Accept all ${sound.length.toLocaleString()}`}
              <Hidden> from {sender}</Hidden>
            </Button>
          )}
          <Button
            size="xs"
            variant="default"
            disabled={busy}
            onClick={() => onDecline(ticked.length > 0 ? ticked : invitations.map(({ id }) => id))}
          >
            {ticked.length > 0 ? "Decline selected" : invitations.length === 1 ? "Decline" : "Decline all"}
            <Hidden> from {sender}</Hidden>
          </Button>
        </div>
      </header>
      {!verified && from.username && <VerifyFirst invitation={invitations[0]} />}
      <ul>
        {invitations.slice(0, limit).map((invitation) => (
          <Line
            key={invitation.id}
            invitation={invitation}
            tickable={verified && invitation.problem === null && sound.length > 1}
            ticked={chosen.has(invitation.id)}
            onTick={() => toggle(invitation.id)}
          />
        ))}
      </ul>
      {invitations.some(({ until }) => until !== null) && (
        <p className={classes.ends}>It is the server that enforces end dates; what you read until then stays read.</p>
      )}
      {invitations.length > limit && (
        <button type="button" className={classes.more} onClick={() => setLimit(limit + more)}>
          {showMore(invitations.length - limit)}
          <Hidden> from {sender}</Hidden>
        </button>
      )}
    </section>
  )
}

function showMore(left: number): string {
  return left > more ? `Show ${more} more of ${left.toLocaleString()}` : `Show ${left.toLocaleString()} more`
}

function VerifyFirst({ invitation: { from } }: { invitation: Invitation }) {
  const changed = from.state === "changed"
  return (
    <Notice
      tone={changed ? "danger" : "amber"}
      actions={
        <ButtonLink
          to="/colleagues/$username"
          params={{ username: from.username }}
          state={{ back: { to: "/invitations" } }}
          size="xs"
          variant="default"
        >
          {changed ? "Compare again" : "Verify first"}
          <Hidden>: {from.username}</Hidden>
        </ButtonLink>
      }
    >
      {changed
        ? `The keys of ${from.username} have changed since you verified them. Compare your safety number again before you accept anything.`
        : `You have not verified ${from.username} yet, so the server alone says whose keys these are.`}
    </Notice>
  )
}

interface LineProps {
  invitation: Invitation
  tickable: boolean
  ticked: boolean
  onTick: () => void
}

function Line({ invitation, tickable, ticked, onTick }: LineProps) {
  const { id, role, until, time, problem } = invitation
  const what = (
    <span className={classes.what}>
      <span>Record {id.slice(0, 6)}</span>
      <span className={classes.terms}>
        as {role}
        {until !== null && `, until ${showDay(until)}`}
      </span>
      <span className={classes.time}>{showWhen(time)}</span>
    </span>
  )
  return (
    <li className={classes.line}>
      {tickable ? (
        <label className={classes.tick}>
          <input type="checkbox" checked={ticked} onChange={onTick} />
          {what}
        </label>
      ) : (
        <div className={classes.tick}>{what}</div>
      )}
      {problem && !ofWho.has(problem.code) && <Problem invitation={invitation} problem={problem} />}
    </li>
  )
}

function Problem({
  invitation: { id },
  problem,
}: {
  invitation: Invitation
  problem: NonNullable<Invitation["problem"]>
}) {
  const { api } = useApp()
  const tampered = problem.code.startsWith("TAMPERED")
  const save = async () => {
    const view = await api.tampered(id).catch(() => null)
    saveFile("healthcrypt-evidence.txt", "text/plain", view?.evidence ?? `${problem.code}\nrecord ${id}\n`)
  }
  return (
    <div className={classes.problem} data-tampered={tampered || undefined}>
      <p>
        Can’t be accepted: {problem.message} <span className={classes.code}>{problem.code}</span>
      </p>
      {tampered && (
        <button type="button" className={classes.more} onClick={() => void save()}>
          Save the evidence<Hidden> about record {id.slice(0, 6)}</Hidden>
        </button>
      )}
    </div>
  )
}
