import type { RecordView } from "../../client/views.ts"
import { count } from "../dates.ts"
import { Notice } from "./notice.tsx"

type Entries = RecordView["unreadable"]

/** Entries that nobody here can read, and whose doing that is. */
export function Unreadable({ entries }: { entries: Entries }) {
  const newer = entries.filter((entry) => entry.newer)
  const others = entries.filter((entry) => !entry.newer)
  return (
    <>
      {newer.length > 0 && <Notice tone="amber">{newerSentence(newer)}</Notice>}
      {[...Map.groupBy(others, ({ keyBy }) => keyBy)].map(([keyBy, ofOne]) => (
        <Notice key={keyBy} tone="amber">
          {sentence(ofOne, keyBy)}
        </Notice>
      ))}
    </>
  )
}

function newerSentence(entries: Entries): string {
  const authors = [...new Set(entries.map(({ author }) => author).filter(Boolean))]
  const [one, many] = [entries.length === 1, count(entries.length, "entry", "entries")]
  return `${many}${authors.length > 0 ? ` by ${authors.join(", ")}` : ""} ${one ? "was" : "were"} written by a newer Healthcrypt and ${one ? "is" : "are"} left out. Update this device to see ${one ? "it" : "them"} and to change this record.`
}

function sentence(entries: Entries, keyBy: string | null): string {
  const authors = [...new Set(entries.map(({ author }) => author).filter(Boolean))]
  const [one, many] = [entries.length === 1, count(entries.length, "entry", "entries")]
  const leftOut = `${many}${authors.length > 0 ? ` by ${authors.join(", ")}` : ""} cannot be read and ${one ? "is" : "are"} left out`
  if (keyBy === null) return `${leftOut}.`
  const others = authors.filter((author) => author !== keyBy)
  const call = others.length > 0 ? ` Call ${others.join(", ")} before you change what may have been changed there.` : ""
  return `${leftOut}: ${keyBy} gave you a key that does not open ${one ? "it" : "them"}.${call}`
}
