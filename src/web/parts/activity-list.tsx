import { Button, TextInput } from "@mantine/core"
import { useEffect, useState } from "react"
import { dayOf } from "../../clinical/days.ts"
import {
  type ActivityFilter,
  type ActivityKind,
  type ActivitySort,
  activityCsv,
  kindWords,
  linesOf,
  matches,
  sorted,
} from "../activity-lines.ts"
import { useSession } from "../app.ts"
import { count, dayBefore, today } from "../dates.ts"
import { saveFile } from "../save-file.ts"
import type { Activity } from "../use-activity.ts"
import { ActivityChart } from "./activity-chart.tsx"
import classes from "./activity-list.module.css"
import { ActivityTable } from "./activity-table.tsx"
import { RetryNotice } from "./retry-notice.tsx"
import { SelectField } from "./select-field.tsx"
import { Skeleton } from "./skeleton.tsx"

interface ActivityListProps {
  activity: Activity
  /** The kinds that can occur here. */
  kinds: readonly ActivityKind[]
  /** The name of the file that is exported: nothing of a patient. */
  file: string
}

/** What is shown at first: an account is mostly written to by the program itself. */
const start: ActivityFilter = { from: "", to: "", kind: "done" }

/** Who did what, and when; by period and kind, as a drawing, as lines, and as a file. */
export function ActivityList({ activity, kinds, file }: ActivityListProps) {
  const { items, more, loaded, loading, error, readMore } = activity
  const account = useSession()
  const [filter, setFilter] = useState(start)
  const [sort, setSort] = useState<{ by: ActivitySort; descending: boolean }>({ by: "time", descending: true })
  const lines = linesOf(items, !more)
  const having = (kind: ActivityFilter["kind"]) =>
    sorted(
      lines.filter((item) => matches(item, { ...filter, kind })),
      sort.by,
      sort.descending,
    )
  const shown = having(filter.kind)
  // What the program saved is left out of sight, not out of the file.
  const exported = filter.kind === "done" ? having("") : shown
  const oldest = items.at(-1)
  const reached = oldest ? dayOf(oldest.time) : today()
  const wanting = loaded && more && filter.from !== "" && reached >= filter.from && !loading && !error
  // A period is shown whole: what it needs is read without asking.
  useEffect(() => {
    if (wanting) readMore()
  })

  if (!loaded) return error ? <RetryNotice error={error} onRetry={activity.refresh} /> : <Skeleton lines={6} />
  const change = (part: Partial<ActivityFilter>) => setFilter({ ...filter, ...part })
  // Where nothing older is left out, a quiet month before it is part of the picture.
  const first = filter.from || (more ? reached : earlier(reached, dayBefore(filter.to || today(), 29)))
  const last = filter.to || today()
  return (
    <>
      <div className={classes.tools}>
        <TextInput
          type="date"
          size="sm"
          label="From"
          max={filter.to || today()}
          value={filter.from}
          onChange={(event) => change({ from: event.currentTarget.value })}
        />
        <TextInput
          type="date"
          size="sm"
          label="To"
          min={filter.from}
          max={today()}
          value={filter.to}
          onChange={(event) => change({ to: event.currentTarget.value })}
        />
        <SelectField
          small
          label="What"
          value={filter.kind}
          onChange={(kind) => change({ kind })}
          options={[
            ...(kinds.includes("keyring") ? ([{ value: "done", label: "What was done" }] as const) : []),
            { value: kinds.includes("keyring") ? "" : "done", label: "Everything" } as const,
            ...kinds.map((kind) => ({ value: kind, label: kindWords[kind] })),
          ]}
        />
        <Button
          variant="default"
          className={classes.export ?? ""}
          onClick={() =>
            saveFile(
              file,
              "text/csv;charset=utf-8",
              activityCsv(exported, account.state === "signed-in" ? account.username : ""),
            )
          }
        >
          Export CSV
        </Button>
      </div>
      {first <= last && <ActivityChart items={shown} from={first} to={last} />}
      <p role="status" className={classes.count}>
        {sentence(shown.length, filter !== start, more, loading)}
        {exported.length > shown.length && <> {programSaved(exported.length - shown.length)}</>}
      </p>
      {error && <RetryNotice error={error} onRetry={readMore} />}
      {shown.length > 0 && <ActivityTable items={shown} sort={sort} onSort={setSort} />}
      {more && (
        <Button variant="default" className={classes.more ?? ""} loading={loading} onClick={readMore}>
          Load older lines
        </Button>
      )}
    </>
  )
}

function earlier(one: string, other: string): string {
  return one < other ? one : other
}

function sentence(shown: number, filtered: boolean, more: boolean, loading: boolean): string {
  if (shown === 0) return loading ? "Reading…" : filtered ? "Nothing in this period and of this kind." : "Nothing yet."
  const events = count(shown, "event")
  return more ? `${events} so far; older ones are not loaded yet, and not in the file.` : `${events} in all.`
}

function programSaved(times: number): string {
  return `Not shown: that the program saved what it remembers for you, such as verified colleagues and your list of patients (${count(times, "time")}). It is in the file.`
}
