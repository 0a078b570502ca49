import { Button } from "@mantine/core"
import { Link, useRouterState } from "@tanstack/react-router"
import { useState } from "react"
import type { ManyReport } from "../../client/views.ts"
import { nothingSelected, useApp } from "../app.ts"
import { count } from "../dates.ts"
import type { ManyState } from "../many.ts"
import { ButtonLink } from "../parts/button-link.tsx"
import { Heading } from "../parts/heading.tsx"
import { LinkButton } from "../parts/link-button.tsx"
import { ManyProgressBar } from "../parts/many-progress.tsx"
import { Notice } from "../parts/notice.tsx"
import { RefusedList } from "../parts/refused-list.tsx"
import { ShareForm } from "../parts/share-form.tsx"
import type { RecordId } from "../record-id.ts"
import { draftOf, emptyShare, type ShareOrder, termsOf } from "../share-draft.ts"
import { useStore } from "../store.ts"
import classes from "./share.module.css"

const atOnce = 8

/** Shares all records that were ticked at home with one colleague. */
export function ShareScreen() {
  const { api, many, selection } = useApp()
  const state = useStore(many.state)
  const { ids } = useStore(selection)
  const draft = useRouterState({ select: (router) => router.location.state.share })
  const [dismissed, setDismissed] = useState<ManyReport | null>(null)

  const start = async (records: readonly RecordId[], order: ShareOrder) => {
    const { username, role, until } = order
    const work = (progress: Parameters<typeof api.share>[5]) =>
      api.share(records, username, role, until, "add", progress)
    const report = await many.start("share", records, work, order)
    if (report && !unfinished(report)) selection.set(nothingSelected)
  }
  const last = state.kind === "share" ? state : null
  const report = last && last.report !== dismissed ? last.report : null
  // What could not be finished stays in the form: with other words there, going on would change what was done already.
  const kept = last?.order && (!last.report || unfinished(last.report)) ? draftOf(last.order) : draft

  return (
    <div className={classes.page}>
      <Heading tab="Share">{titleOf(state, report, ids.size)}</Heading>
      {state.running ? (
        state.kind === "share" ? (
          <ManyProgressBar state={state} onCancel={() => void many.cancel()} />
        ) : (
          <p className={classes.lead}>Something else works on many records just now. Wait until it is done.</p>
        )
      ) : report ? (
        <Report
          state={state}
          report={report}
          onAgain={(order) => void start(state.ids, order)}
          onClose={() => setDismissed(report)}
        />
      ) : ids.size === 0 ? (
        <>
          <p className={classes.lead}>
            No records are selected. Choose “Select” above your patients, and tick the records to share.
          </p>
          <div className={classes.buttons}>
            <ButtonLink to="/">Go to your patients</ButtonLink>
          </div>
        </>
      ) : (
        <>
          <p className={classes.lead}>
            Your colleague gets an invitation to each of these records. What they have read can’t be unread later.
          </p>
          <Names names={[...ids.values()]} />
          {last?.problem && (
            <Notice tone="danger" live>
              {last.problem.message}
            </Notice>
          )}
          <ShareForm
            initial={kept ?? emptyShare}
            back={(now) => ({ to: "/share", draft: now })}
            action={`Share ${count(ids.size, "record")}`}
            onShare={async (username, role, until) => {
              void start([...ids.keys()], { username, role, until })
            }}
          />
        </>
      )}
    </div>
  )
}

/** Whose records they are. Few are named at once: the rest on demand. */
function Names({ names }: { names: readonly string[] }) {
  const [all, setAll] = useState(false)
  const shown = all ? names : names.slice(0, atOnce)
  const more = names.length - shown.length
  return (
    <section className={classes.names} aria-label="Selected records">
      <ul>
        {shown.map((name, at) => (
          // biome-ignore lint/suspicious/noArrayIndexKey: two patients may have one name, and the list does not change
          <li key={at}>{name}</li>
        ))}
      </ul>
      <p>
        {more > 0 && <LinkButton onClick={() => setAll(true)}>Show {more.toLocaleString()} more</LinkButton>}
        <Link to="/">Change the selection</Link>
      </p>
    </section>
  )
}

function titleOf({ running, kind }: ManyState, report: ManyReport | null, selected: number): string {
  if (running && kind === "share") return "Sharing…"
  if (report) return report.cancelled ? "Stopped" : "What was shared"
  return selected > 0 ? `Share ${count(selected, "record")}` : "Share records"
}

function unfinished({ cancelled, refused }: ManyReport): boolean {
  return cancelled || refused.length > 0
}

interface ReportProps {
  state: ManyState
  report: ManyReport
  onAgain: (order: ShareOrder) => void
  onClose: () => void
}

function Report({ state: { total, order, problem }, report, onAgain, onClose }: ReportProps) {
  const { done, already, refused, cancelled } = report
  const left = total - done - refused.length
  const fresh = done - already
  const lines = [
    (fresh > 0 || already === 0) && `${count(fresh, "record")} shared${order ? ` ${termsOf(order)}` : ""}.`,
    already > 0 &&
      `${count(already, "record", "records")} ${already === 1 ? "was theirs already, and stays as it is" : "were theirs already, and stay as they are"}.`,
    refused.length > 0 && `${count(refused.length, "record")} refused.`,
    left > 0 && `${count(left, "record")} not reached.`,
  ].filter((line) => line !== false)
  return (
    <>
      <p role="status" className={classes.sum}>
        {lines.join(" ")}
      </p>
      {problem && (
        <Notice tone="danger" live>
          {problem.message}
        </Notice>
      )}
      {cancelled && (
        <p className={classes.lead}>What was shared until then stays shared. Going on takes up where it stopped.</p>
      )}
      {refused.length > 0 && <RefusedList refused={refused} />}
      <div className={classes.buttons}>
        {unfinished(report) && order && (
          <Button onClick={() => onAgain(order)}>{cancelled ? "Go on" : "Try the refused again"}</Button>
        )}
        <ButtonLink to="/" variant={unfinished(report) ? "default" : "filled"}>
          Go to your patients
        </ButtonLink>
        <Button variant="subtle" onClick={onClose}>
          Share others
        </Button>
      </div>
    </>
  )
}
