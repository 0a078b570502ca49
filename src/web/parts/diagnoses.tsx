import { useState } from "react"
import type { DiagnosisView } from "../../client/views.ts"
import { showDate } from "../dates.ts"
import classes from "./plain-list.module.css"

const firstLook = 12
const over = new Set(["resolved", "inactive", "remission"])

/** What the patient has comes first, what is over follows in grey. */
export function Diagnoses({ items }: { items: readonly DiagnosisView[] }) {
  const [all, setAll] = useState(false)
  const sorted = [...items.filter(({ status }) => !over.has(status)), ...items.filter(({ status }) => over.has(status))]
  const shown = all ? sorted : sorted.slice(0, firstLook)
  return (
    <section>
      <h2 className={classes.title}>
        Diagnoses <span className={classes.count}>{items.length || ""}</span>
      </h2>
      {items.length === 0 && <p className={classes.none}>No diagnosis written yet.</p>}
      <ul className={classes.diagnoses}>
        {shown.map(({ key, text, status, since, until, code }) => (
          <li key={key} className={classes.line} data-over={over.has(status) || undefined}>
            <span className={classes.text}>{text || code || "(no text)"}</span>
            <span className={classes.date}>
              {since && showDate(since)}
              {until && ` – ${showDate(until)}`}
            </span>
            <span className={classes.end}>{status}</span>
          </li>
        ))}
      </ul>
      {sorted.length > shown.length && (
        <button type="button" className={classes.more} onClick={() => setAll(true)}>
          Show all {sorted.length} diagnoses
        </button>
      )}
    </section>
  )
}
