import { Button } from "@mantine/core"
import { Link, useRouterState } from "@tanstack/react-router"
import { useRef, useState } from "react"
import type { ManyReport, Role } from "../../client/views.ts"
import { nothingSelected, useApp } from "../app.ts"
import { count } from "../dates.ts"
import type { ManyState } from "../many.ts"
import { ButtonLink } from "../parts/button-link.tsx"
import { Heading } from "../parts/heading.tsx"
import { ManyProgressBar } from "../parts/many-progress.tsx"
import { Notice } from "../parts/notice.tsx"
import { RefusedList } from "../parts/refused-list.tsx"
import { ShareForm } from "../parts/share-form.tsx"
import type { RecordId } from "../record-id.ts"
import { emptyShare } from "../share-draft.ts"
import { useStore } from "../store.ts"
import classes from "./share.module.css"

interface Asked {
  readonly ids: readonly RecordId[]
  readonly username: string
  readonly role: Role
  readonly until: number | null
}

/** Shares all records that were ticked at home with one colleague. */
export function ShareScreen() {
  const { api, many, selection } = useApp()
  const state = useStore(many.state)
  const { ids } = useStore(selection)
  const draft = useRouterState({ select: (router) => router.location.state.share })
  const asked = useRef<Asked | null>(null)
  const [dismissed, setDismissed] = useState<ManyReport | null>(null)

  const start = async (next: Asked) => {
    asked.current = next
    const report = await many.start("share", next.ids.length, (progress) =>
      api.share(next.ids, next.username, next.role, next.until, progress),
    )
    if (report && !report.cancelled && report.refused.length === 0) selection.set(nothingSelected)
  }
  const report = state.kind === "share" && state.report !== dismissed ? state.report : null

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
          report={report}
          total={state.total}
          onAgain={asked.current ? () => void (asked.current && start(asked.current)) : () => setDismissed(report)}
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
            Each record gets a signed entry of its own, and your colleague an invitation to each. What they have read
            can’t be unread later. <Link to="/">Change the selection</Link>
          </p>
          {state.kind === "share" && state.problem && (
            <Notice tone="danger" live>
              {state.problem}
            </Notice>
          )}
          <ShareForm
            initial={draft ?? emptyShare}
            back={(now) => ({ to: "/share", draft: now })}
            action={`Share ${count(ids.size, "record")}`}
            onShare={async (username, role, until) => {
              void start({ ids: [...ids], username, role, until })
            }}
          />
        </>
      )}
    </div>
  )
}

function titleOf({ running, kind }: ManyState, report: ManyReport | null, selected: number): string {
  if (running && kind === "share") return "Sharing…"
  if (report) return report.cancelled ? "Stopped" : "What was shared"
  return selected > 0 ? `Share ${count(selected, "record")}` : "Share records"
}

interface ReportProps {
  report: ManyReport
  total: number
  onAgain: () => void
  onClose: () => void
}

function Report({ report, total, onAgain, onClose }: ReportProps) {
  const { done, already, refused, cancelled } = report
  const left = total - done - refused.length
  const lines = [
    `${count(Math.max(0, done - already), "record")} shared.`,
    already > 0 && `${count(already, "record was", "records were")} shared so already.`,
    refused.length > 0 && `${count(refused.length, "record")} refused.`,
    left > 0 && `${count(left, "record")} not reached.`,
  ].filter((line) => line !== false)
  return (
    <>
      <p role="status" className={classes.sum}>
        {lines.join(" ")}
      </p>
      {cancelled && (
        <p className={classes.lead}>What was shared until then stays shared. Going on takes up where it stopped.</p>
      )}
      {refused.length > 0 && <RefusedList refused={refused} />}
      <div className={classes.buttons}>
        {(cancelled || refused.length > 0) && (
          <Button onClick={onAgain}>{cancelled ? "Go on" : "Try the refused again"}</Button>
        )}
        <ButtonLink to="/" variant={cancelled || refused.length > 0 ? "default" : "filled"}>
          Go to your patients
        </ButtonLink>
        <Button variant="subtle" onClick={onClose}>
          Share others
        </Button>
      </div>
    </>
  )
}
