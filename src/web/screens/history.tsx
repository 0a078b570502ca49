import { Link } from "@tanstack/react-router"
import { useEffect, useState } from "react"
import type { HistoryItem } from "../../client/views.ts"
import { useApp } from "../app.ts"
import { showDate, showDays, showMoment } from "../dates.ts"
import { messageOf } from "../form-errors.ts"
import { Hidden } from "../parts/hidden.tsx"
import { Notice } from "../parts/notice.tsx"
import { Skeleton } from "../parts/skeleton.tsx"
import { useOpenRecord } from "../record-context.ts"
import type { RecordId } from "../record-id.ts"
import classes from "./history.module.css"

const clocksApartMs = 5 * 60_000

export function HistoryTab() {
  const { record } = useOpenRecord()
  return <Timeline id={record.id} head={record.head} />
}

function Timeline({ id, head }: { id: RecordId; head: number }) {
  const { api } = useApp()
  const [items, setItems] = useState<readonly HistoryItem[] | null>(null)
  const [problem, setProblem] = useState("")
  // biome-ignore lint/correctness/useExhaustiveDependencies: a new head means a longer history
  useEffect(() => {
    let gone = false
    api.history(id).then(
      (found) => !gone && setItems([...found].sort((a, b) => b.seq - a.seq)),
      (error: unknown) => !gone && setProblem(messageOf(error)),
    )
    return () => {
      gone = true
    }
  }, [api, id, head])

  return (
    <section className={classes.history}>
      <h2>History</h2>
      <p className={classes.lead}>Every change is a signed entry. Nothing here was overwritten or deleted.</p>
      {problem && (
        <Notice tone="danger" live>
          {problem}
        </Notice>
      )}
      {!items && !problem && <Skeleton lines={4} />}
      <ul className={classes.timeline}>
        {items?.map((item) => (
          <Entry key={item.seq} id={id} item={item} newest={item.seq === head} />
        ))}
      </ul>
    </section>
  )
}

interface EntryProps {
  id: RecordId
  item: HistoryItem
  newest: boolean
}

function Entry({ id, item, newest }: EntryProps) {
  const apart = Math.abs(item.time - item.serverTime) > clocksApartMs
  return (
    <li className={classes.entry}>
      <p className={classes.when}>
        <time dateTime={new Date(item.time).toISOString()}>{showMoment(item.time)}</time> · entry {item.seq + 1}
        {apart && <span className={classes.apart}> · the server says {showMoment(item.serverTime)}</span>}
      </p>
      <p className={classes.what}>
        <strong>{item.author || "Unknown author"}</strong>
        {item.name && <span className={classes.name}> {item.name}</span>} {deed(item)}
      </p>
      {item.sharing.length > 0 && (
        <ul className={classes.sharing}>
          {item.sharing.map((line) => (
            <li key={line}>{showDays(line)}</li>
          ))}
        </ul>
      )}
      {!item.readable && <p className={classes.apart}>What this entry says cannot be read.</p>}
      {item.changes.length > 0 && (
        <dl className={classes.changes}>
          {item.changes.map(({ label, before, after }, index) => (
            // biome-ignore lint/suspicious/noArrayIndexKey: the list never changes, and labels may occur twice
            <div key={index}>
              <dt>{label}</dt>
              <dd>
                {before && <del>{showValue(before)}</del>}
                {before && after && <span aria-hidden="true"> → </span>}
                {after ? <ins>{showValue(after)}</ins> : <span className={classes.gone}> removed</span>}
              </dd>
            </div>
          ))}
        </dl>
      )}
      {item.note && <p className={classes.note}>{item.note}</p>}
      <Link
        to={newest ? "/records/$id" : "/records/$id/history/$seq"}
        params={{ id, seq: String(item.seq) }}
        className={classes.view}
      >
        View this version<Hidden> (entry {item.seq + 1})</Hidden>
      </Link>
    </li>
  )
}

function deed({ kind, archived, changes, resources }: HistoryItem): string {
  const parts: string[] = []
  if (kind === "open") parts.push("created the record")
  if (kind === "members") parts.push("changed who can read it")
  if (archived !== null && kind !== "open") parts.push(archived ? "archived it" : "brought it back")
  if (changes.length > 0 && kind !== "open") parts.push("changed it")
  const { added, changed, removed } = resources
  const counts = [
    [added, "added"],
    [changed, "changed"],
    [removed, "removed"],
  ] as const
  const others = counts.filter(([number]) => number > 0).map(([number, what]) => `${number.toLocaleString()} ${what}`)
  if (others.length > 0) parts.push(`other items of the record: ${others.join(", ")}`)
  return parts.join(" · ") || "made an entry"
}

/** A value of the form: a day as the browser's locale writes it, all else as it is. */
function showValue(text: string): string {
  return /^\d{4}-\d{2}(-\d{2})?$/.test(text) ? showDate(text) : text
}
