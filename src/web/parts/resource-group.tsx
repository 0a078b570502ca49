import { useState } from "react"
import type { RecordView, ResourceLine } from "../../client/views.ts"
import { shownJson } from "../../encoding/shown-text.ts"
import { useApp } from "../app.ts"
import { showDate } from "../dates.ts"
import { messageOf } from "../form-errors.ts"
import type { RecordId } from "../record-id.ts"
import { Hidden } from "./hidden.tsx"
import classes from "./plain-list.module.css"

const firstLook = 5
const more = 200

/** All resources of one type, newest first, a few at a time. Each line opens the resource as it was received. */
export function ResourceGroup({ record, group }: { record: RecordId; group: RecordView["groups"][number] }) {
  const [limit, setLimit] = useState(firstLook)
  const { type, lines } = group
  const left = lines.length - limit
  const title = titleOf(type)
  const dated = lines.some(({ date }) => date !== "")
  return (
    <section>
      <h2 className={classes.title}>
        {title} <span className={classes.count}>{lines.length.toLocaleString()}</span>
      </h2>
      <ul className={dated ? undefined : classes.undated}>
        {lines.slice(0, limit).map((line) => (
          <Line key={line.key} record={record} line={line} dated={dated} />
        ))}
      </ul>
      {left > 0 && (
        <button type="button" className={classes.more} onClick={() => setLimit(limit + more)}>
          Show {left > more ? `${more} more of ${left.toLocaleString()}` : `${left.toLocaleString()} more`}
          <Hidden> {title}</Hidden>
        </button>
      )}
    </section>
  )
}

function Line({ record, line, dated }: { record: RecordId; line: ResourceLine; dated: boolean }) {
  const { api } = useApp()
  const [open, setOpen] = useState(false)
  const [text, setText] = useState<string | null>(null)
  const toggle = () => {
    setOpen(!open)
    if (text !== null) return
    api.resource(record, line.key).then(
      (json) => setText(shownJson(indented(json))),
      (error: unknown) => setText(messageOf(error)),
    )
  }
  return (
    <li>
      <button type="button" className={classes.line} aria-expanded={open} onClick={toggle}>
        {dated && <span className={classes.date}>{showDate(line.date)}</span>}
        <span className={classes.text}>{line.text || line.key}</span>
      </button>
      {open && (
        // biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls must be reachable by keyboard
        <pre className={classes.source} tabIndex={0}>
          {text ?? "Opening…"}
        </pre>
      )}
    </li>
  )
}

/** "MedicationRequest" → "Medication requests". */
function titleOf(type: string): string {
  const words = type.replace(/([a-z])([A-Z])/g, "$1 $2")
  const sentence = words.charAt(0) + words.slice(1).toLowerCase()
  if (/[^aeiou]y$/.test(sentence)) return `${sentence.slice(0, -1)}ies`
  return /(s|x|ch)$/.test(sentence) ? `${sentence}es` : `${sentence}s`
}

/** New lines for reading, digits and all else as they came: a parse and print would lose decimals' digits. */
function indented(json: string): string {
  let depth = 0
  let out = ""
  for (const [part] of json.matchAll(/"(?:[^"\\]|\\.)*"|[{}[\],:]|[^"{}[\],:\s]+/g)) {
    if (part === "}" || part === "]") {
      depth -= 1
      out += `\n${"  ".repeat(Math.max(0, depth))}${part}`
    } else if (part === "{" || part === "[") {
      depth += 1
      out += `${part}\n${"  ".repeat(depth)}`
    } else if (part === ",") out += `,\n${"  ".repeat(Math.max(0, depth))}`
    else out += part === ":" ? ": " : part
  }
  return out
}
