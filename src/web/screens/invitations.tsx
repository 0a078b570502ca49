import { Button } from "@mantine/core"
import { useEffect, useState } from "react"
import type { Invitation } from "../../client/views.ts"
import type { ErrorCode } from "../../errors.ts"
import { useApp } from "../app.ts"
import { count } from "../dates.ts"
import type { ManyState } from "../many.ts"
import { ButtonLink } from "../parts/button-link.tsx"
import { Dialog } from "../parts/dialog.tsx"
import { Heading } from "../parts/heading.tsx"
import { InvitationGroup } from "../parts/invitation-group.tsx"
import { ManyProgressBar } from "../parts/many-progress.tsx"
import { Notice } from "../parts/notice.tsx"
import { RefusedList } from "../parts/refused-list.tsx"
import { RetryNotice } from "../parts/retry-notice.tsx"
import { Skeleton } from "../parts/skeleton.tsx"
import type { RecordId } from "../record-id.ts"
import { useStore } from "../store.ts"
import { useAnswer } from "../use-answer.ts"
import classes from "./invitations.module.css"

export function InvitationsScreen() {
  const { api, many, invitations: waiting, home, online: connection } = useApp()
  const heard = useStore(waiting)
  const online = useStore(connection)
  const state = useStore(many.state)
  const { value, error, reload } = useAnswer("invitations", () => api.invitations())
  const invitations = value?.invitations
  const [declining, setDeclining] = useState<readonly RecordId[] | null>(null)

  // biome-ignore lint/correctness/useExhaustiveDependencies: whenever the worker has heard of a change, or hears again
  useEffect(reload, [heard, online])

  const accept = async (ids: readonly RecordId[]) => {
    await many.start("accept", ids, (progress) => api.acceptInvitations(ids, progress))
    reload()
    home.rosterMoved(true)
  }
  const decline = async (ids: readonly RecordId[]) => {
    setDeclining(null)
    await many.start("decline", ids, (progress) => api.declineInvitations(ids, progress))
    reload()
  }

  // What was not reached when it was stopped.
  const left = leftOf(invitations ?? [], state)

  return (
    <div className={classes.page}>
      <Heading tab="Invitations">Invitations</Heading>
      <p className={classes.lead}>
        Records that colleagues share with you. Nothing of a patient is shown before you accept, and a record that was
        tampered with is not taken.
      </p>
      {state.running && isOfInvitations(state) && <ManyProgressBar state={state} onCancel={() => void many.cancel()} />}
      {!state.running && (
        <Outcome
          state={state}
          onAgain={left.length > 0 ? () => void (state.kind === "accept" ? accept(left) : decline(left)) : null}
        />
      )}
      {error && !state.problem && <RetryNotice error={error} onRetry={reload} />}
      {!invitations && !error && <Skeleton lines={4} />}
      {invitations?.length === 0 && !state.running && (
        <div className={classes.none}>
          <p>No invitations wait for you.</p>
          <p>
            When a colleague shares a record with you, it is listed here. Verify each other first: that takes a call.
          </p>
          <div className={classes.buttons}>
            <ButtonLink to="/colleagues" variant="default">
              Colleagues
            </ButtonLink>
          </div>
        </div>
      )}
      {groups(withProblems(invitations ?? [], state)).map((group) => (
        <InvitationGroup
          key={group[0].from.physician}
          invitations={group}
          busy={state.running}
          onAccept={(ids) => void accept(ids)}
          onDecline={setDeclining}
        />
      ))}
      {value !== null && value.unlisted > 0 && (
        <p className={classes.lead}>
          {value.more && "At least "}
          {value.unlisted.toLocaleString()} more wait, from senders whom you have not verified. Once you have verified a
          colleague, everything that they share with you is listed.
        </p>
      )}
      {declining && (
        <Dialog
          title={`Decline ${count(declining.length, "invitation")}?`}
          onClose={() => setDeclining(null)}
          actions={
            <>
              <Button variant="default" onClick={() => setDeclining(null)}>
                Cancel
              </Button>
              <Button onClick={() => void decline(declining)}>Decline</Button>
            </>
          }
        >
          {declining.length === 1 ? "It goes from this list." : "They go from this list."} The owner sees it, and can
          invite you again.
        </Dialog>
      )}
    </div>
  )
}

function isOfInvitations({ kind }: ManyState): boolean {
  return kind === "accept" || kind === "decline"
}

/** Whether trying again would find the same. */
function stays({ code }: { readonly code: ErrorCode }): boolean {
  return code.startsWith("TAMPERED") || code === "CANNOT_OPEN"
}

/** What was found out when they were to be accepted stands beside them from then on. */
function withProblems(invitations: readonly Invitation[], { kind, report }: ManyState): readonly Invitation[] {
  if (kind !== "accept" || !report) return invitations
  const found = new Map(report.refused.filter(stays).map((refusal) => [refusal.id, refusal]))
  return invitations.map((invitation) => ({
    ...invitation,
    problem: invitation.problem ?? found.get(invitation.id) ?? null,
  }))
}

/** By who sends, in the order of who sent last. */
function groups(invitations: readonly Invitation[]): (readonly [Invitation, ...Invitation[]])[] {
  const found = new Map<string, [Invitation, ...Invitation[]]>()
  for (const invitation of [...invitations].sort((a, b) => b.time - a.time)) {
    const group = found.get(invitation.from.physician)
    if (group) group.push(invitation)
    else found.set(invitation.from.physician, [invitation])
  }
  return [...found.values()]
}

function leftOf(invitations: readonly Invitation[], { ids, report }: ManyState): readonly RecordId[] {
  if (!report?.cancelled) return []
  const refused = new Set(report.refused.map(({ id }) => id))
  const waiting = new Set(invitations.map(({ id }) => id))
  return ids.filter((id) => waiting.has(id) && !refused.has(id))
}

/** What became of the last acceptance or refusal.
 * @param onAgain null where nothing is left to go on with */
function Outcome({ state, onAgain }: { state: ManyState; onAgain: (() => void) | null }) {
  const { kind, report, problem } = state
  if (!isOfInvitations(state) || (!report && !problem)) return null
  const did = kind === "accept" ? "accepted" : "declined"
  const passing = report?.refused.filter((refusal) => !stays(refusal)) ?? []
  return (
    <>
      {report && (
        <Notice
          tone={report.refused.length > 0 ? "amber" : "plain"}
          live
          actions={
            <>
              {report.cancelled && onAgain && (
                <Button size="xs" onClick={onAgain}>
                  Go on
                </Button>
              )}
              {kind === "accept" && report.done > 0 && (
                <ButtonLink to="/" size="xs" variant="default">
                  Go to your patients
                </ButtonLink>
              )}
            </>
          }
        >
          {report.cancelled && "Stopped. "}
          {count(report.done, "record")} {did}
          {report.refused.length > 0 && `, ${report.refused.length.toLocaleString()} refused`}.
          {report.cancelled && " The others still wait."}
        </Notice>
      )}
      {problem && (
        <Notice tone="danger" live>
          {problem.message}
        </Notice>
      )}
      {passing.length > 0 && <RefusedList refused={passing} open={false} />}
    </>
  )
}
