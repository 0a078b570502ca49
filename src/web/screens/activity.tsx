import { useCallback, useEffect, useState } from "react"
import type { ActivityKind } from "../activity-lines.ts"
import { useApp } from "../app.ts"
import { ActivityList } from "../parts/activity-list.tsx"
import { Heading } from "../parts/heading.tsx"
import { Sessions } from "../parts/sessions.tsx"
import { useOpenRecord } from "../record-context.ts"
import { useActivity } from "../use-activity.ts"
import classes from "./activity.module.css"

const ofRecord: readonly ActivityKind[] = [
  "opened",
  "created",
  "wrote",
  "shared",
  "left",
  "declined",
  "accepted",
  "exported",
  "other",
]
const ofAccount: readonly ActivityKind[] = [
  "created",
  "sign-in",
  "recover",
  "end-session",
  "admin",
  "unlocks",
  "keyring",
  "other",
]

export function ActivityScreen() {
  const { api } = useApp()
  const activity = useActivity(useCallback((before) => api.accountActivity(before), [api]))
  return (
    <div className={classes.page}>
      <Heading tab="Activity">Activity</Heading>
      <p className={classes.lead}>
        What happened with your account. What happened with a record stands on its own page.
      </p>
      <Sessions onEnd={activity.refresh} />
      <section className={classes.section}>
        <h2>Your account</h2>
        <p className={classes.lead}>Sign-ins and ended sessions are noted by the server; it could leave them out.</p>
        <ActivityList activity={activity} kinds={ofAccount} file="activity.csv" />
      </section>
    </div>
  )
}

export function RecordActivityTab() {
  const { api } = useApp()
  const { record } = useOpenRecord()
  const { id, head } = record
  const activity = useActivity(useCallback((before) => api.recordActivity(id, before), [api, id]))
  const [seen, setSeen] = useState(head)
  useEffect(() => {
    if (seen === head) return
    setSeen(head)
    activity.refresh()
  }, [seen, head, activity.refresh])
  return (
    <div className={classes.tab}>
      <h2>Activity</h2>
      <p className={classes.lead}>
        Opening and exporting are noted by the server; it could leave them out. What was written and shared stands in
        signed entries.
      </p>
      <ActivityList activity={activity} kinds={ofRecord} file={`activity-${id}.csv`} />
    </div>
  )
}
