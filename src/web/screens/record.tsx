import { Outlet, useParams, useRouterState } from "@tanstack/react-router"
import { useEffect } from "react"
import type { RecordView } from "../../client/views.ts"
import { useApp } from "../app.ts"
import { count, showMoment } from "../dates.ts"
import { type Merged, mergedWords } from "../merged.ts"
import { ButtonLink } from "../parts/button-link.tsx"
import { Diagnoses } from "../parts/diagnoses.tsx"
import { IdentityStrip } from "../parts/identity-strip.tsx"
import { KeysChanged } from "../parts/keys-changed.tsx"
import { Notice } from "../parts/notice.tsx"
import { RecordActions } from "../parts/record-actions.tsx"
import { RecordGate } from "../parts/record-gate.tsx"
import { type RecordTab, RecordTabs } from "../parts/record-tabs.tsx"
import { ResourceGroup } from "../parts/resource-group.tsx"
import { Unreadable } from "../parts/unreadable.tsx"
import { UnsentNotice } from "../parts/unsent.tsx"
import { Waits } from "../parts/waits.tsx"
import { RecordProvider, useOpenRecord } from "../record-context.ts"
import { asRecordId, type RecordId } from "../record-id.ts"
import { useAnswer } from "../use-answer.ts"
import { useRecord } from "../use-record.ts"
import classes from "./record.module.css"

const longestTimerMs = 2 ** 31 - 1
const clockSlackMs = 1_000

/** What stays while the tabs change: whose record it is, and the way to the others. */
export function RecordScreen() {
  const { id } = useParams({ from: "/inside/records/$id" })
  const { now, reload } = useRecord(asRecordId(id))
  const path = useRouterState({ select: (state) => state.location.pathname })
  if (now.state !== "ready") return <RecordGate now={now} reload={reload} />
  const { record } = now
  const tab = tabAt(path)
  return (
    <RecordProvider value={{ record, reload }}>
      {record.role !== "owner" && <EndOfTime key={record.head} id={record.id} onEnd={reload} />}
      <IdentityStrip record={record} tab={tab === "Overview" ? "Record" : tab}>
        <RecordTabs id={record.id} current={tab} />
      </IdentityStrip>
      <Outlet />
    </RecordProvider>
  )
}

export function OverviewTab() {
  const { record, reload } = useOpenRecord()
  return (
    <Overview record={record}>
      <RecordActions record={record} onChange={reload} />
    </Overview>
  )
}

/** An earlier version, as the entry with this number left it. */
export function VersionScreen() {
  const { id, seq } = useParams({ from: "/inside/records/$id/history/$seq" })
  const number = /^\d{1,9}$/.test(seq) ? Number(seq) : Number.NaN
  const { now, reload } = useRecord(Number.isNaN(number) ? null : asRecordId(id), number)
  if (now.state !== "ready") return <RecordGate now={now} reload={reload} />
  const { record } = now
  return (
    <>
      <IdentityStrip record={record} tab="Earlier version">
        <RecordTabs id={record.id} current="History" />
      </IdentityStrip>
      <Overview record={record}>
        <ButtonLink to="/records/$id" params={{ id: record.id }} variant="default">
          Newest version
        </ButtonLink>
      </Overview>
    </>
  )
}

function tabAt(path: string): RecordTab {
  if (path.endsWith("/history")) return "History"
  if (path.endsWith("/sharing")) return "Sharing"
  return path.endsWith("/activity") ? "Activity" : "Overview"
}

function Overview({ record, children }: { record: RecordView; children: React.ReactNode }) {
  const merged = useRouterState({ select: (state) => state.location.state.merged })
  return (
    <>
      <div className={classes.actions}>
        {children}
        {record.role === "reader" && record.seq === record.head && <ReaderLine record={record} />}
      </div>
      <Notices record={record} merged={merged} />
      <div className={classes.columns}>
        <div className={classes.clinical}>
          <Diagnoses items={record.diagnoses} />
          {record.groups.map((group) => (
            <ResourceGroup key={group.type} record={record.id} group={group} />
          ))}
        </div>
        <aside className={classes.aside} aria-label="About the patient">
          <Facts title="Identifiers" facts={record.identifiers} />
          <Facts title="Contact" facts={record.contact} />
          <section>
            <h2>Who can read this</h2>
            <p className={classes.quiet}>{record.readers.join(", ") || "Only you"}</p>
          </section>
          <section>
            <h2>Last change</h2>
            <p className={classes.quiet}>
              {showMoment(record.updated)} · {count(record.head + 1, "entry", "entries")}
            </p>
          </section>
        </aside>
      </div>
    </>
  )
}

/** Asks again when the physician's own time in a record is over: nobody else says so. */
function EndOfTime({ id, onEnd }: { id: RecordId; onEnd: () => void }) {
  const { api } = useApp()
  const { value } = useAnswer(id, () => api.sharing(id))
  const until = value?.members.find(({ you }) => you)?.until ?? null
  useEffect(() => {
    if (until === null) return
    const timer = setTimeout(onEnd, Math.min(longestTimerMs, Math.max(0, until - Date.now()) + clockSlackMs))
    return () => clearTimeout(timer)
  }, [until, onEnd])
  return null
}

/** Why there is nothing to edit here, and who could change that. */
function ReaderLine({ record: { id, head } }: { record: RecordView }) {
  const { api } = useApp()
  const { value } = useAnswer(`${id}/${head}`, () => api.sharing(id))
  const owners = value?.members.filter(({ role }) => role === "owner").map(({ colleague }) => colleague.username) ?? []
  return (
    <p className={classes.reader}>
      You can read this record.{owners.length > 0 && ` It belongs to ${owners.join(", ")}.`}
    </p>
  )
}

function Notices({ record, merged }: { record: RecordView; merged: Merged | undefined }) {
  return (
    <div className={classes.notices}>
      {record.seq === record.head && <Waits record={record} />}
      {record.seq === record.head && <UnsentNotice record={record.id} />}
      {record.seq < record.head && (
        <Notice tone="amber">
          This is version {record.seq + 1} of {record.head + 1}, as it was at {showMoment(record.updated)}.
        </Notice>
      )}
      {merged && (
        <Notice tone="plain" live>
          {mergedWords(merged)}
        </Notice>
      )}
      {record.archived && <Notice>This record is archived. It is not shown among your patients.</Notice>}
      <KeysChanged usernames={record.keysChanged} role={record.role} />
      <Unreadable entries={record.unreadable} />
      {record.summaryDiffers && (
        <Notice tone="amber">
          The last entry gave the list of patients something else to show than what stands here. What stands here
          counts; the next change brings both in line.
        </Notice>
      )}
    </div>
  )
}

function Facts({ title, facts }: { title: string; facts: RecordView["contact"] }) {
  if (facts.length === 0) return null
  return (
    <section>
      <h2>{title}</h2>
      <dl className={classes.facts}>
        {facts.map(({ label, value }) => (
          <div key={`${label} ${value}`}>
            <dt>{label}</dt>
            <dd>{value}</dd>
          </div>
        ))}
      </dl>
    </section>
  )
}
