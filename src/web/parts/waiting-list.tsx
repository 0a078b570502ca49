import { useWindowVirtualizer } from "@tanstack/react-virtual"
import { useLayoutEffect, useRef, useState } from "react"
import type { ReaderView, WaitingRecord } from "../../client/views.ts"
import { showDate, showDay } from "../dates.ts"
import type { RecordId } from "../record-id.ts"
import { joined } from "../shown.ts"
import { VerifiedMark } from "./verified-mark.tsx"
import classes from "./waiting-list.module.css"

interface WaitingListProps {
  records: readonly WaitingRecord[]
  chosen: ReadonlySet<RecordId>
  onChoose: (chosen: ReadonlySet<RecordId>) => void
}

/** Thousands of records with who can read each, of which only those in sight exist. */
export function WaitingList({ records, chosen, onChoose }: WaitingListProps) {
  const list = useRef<HTMLUListElement>(null)
  const [margin, setMargin] = useState(0)
  const rows = useWindowVirtualizer({
    count: records.length,
    estimateSize: () => 80,
    overscan: 8,
    scrollMargin: margin,
    getItemKey: (index) => records[index]?.id ?? index,
  })
  // What stands above may have grown.
  useLayoutEffect(() => {
    const top = list.current?.getBoundingClientRect().top ?? 0
    setMargin(Math.round(top + window.scrollY))
  })
  const toggle = (id: RecordId) => {
    const next = new Set(chosen)
    if (!next.delete(id)) next.add(id)
    onChoose(next)
  }
  return (
    <ul ref={list} className={classes.list} style={{ height: rows.getTotalSize() }}>
      {rows.getVirtualItems().map(({ key, index, start }) => {
        const record = records[index]
        return (
          record && (
            <li
              key={key}
              ref={rows.measureElement}
              data-index={index}
              aria-setsize={records.length}
              aria-posinset={index + 1}
              className={classes.row}
              style={{ transform: `translateY(${start - margin}px)` }}
            >
              <label className={classes.tick}>
                <input type="checkbox" checked={chosen.has(record.id)} onChange={() => toggle(record.id)} />
                <span className={classes.what}>
                  <strong>{joined([record.lastName, record.firstName], ", ") || "(no name)"}</strong>
                  {record.birthDate && <span className={classes.born}> born {showDate(record.birthDate)}</span>}
                  <Readers members={record.members} />
                </span>
              </label>
            </li>
          )
        )
      })}
    </ul>
  )
}

function Readers({ members }: { members: readonly ReaderView[] }) {
  return (
    <span className={classes.readers}>
      {members.map(({ colleague, you, role, until }) => (
        <span key={colleague.physician} className={classes.reader}>
          <span className={classes.name}>{you ? "you" : colleague.username}</span> {role}
          {until !== null && ` until ${showDay(until)}`} {!you && <VerifiedMark state={colleague.state} />}
        </span>
      ))}
    </span>
  )
}
