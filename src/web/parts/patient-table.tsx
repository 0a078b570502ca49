import { useMediaQuery } from "@mantine/hooks"
import { Link } from "@tanstack/react-router"
import { useWindowVirtualizer } from "@tanstack/react-virtual"
import { type KeyboardEvent, useEffect, useLayoutEffect, useReducer, useRef, useState } from "react"
import type { HomeRow, HomeSort } from "../../client/views.ts"
import { type Selection, useApp } from "../app.ts"
import { ageOf, showDate, showWhen } from "../dates.ts"
import { type HomeView, rowAt } from "../home-list.ts"
import { joined } from "../shown.ts"
import { useStore } from "../store.ts"
import { Hidden } from "./hidden.tsx"
import classes from "./patient-table.module.css"

const columns: readonly { sort: HomeSort; label: string }[] = [
  { sort: "name", label: "Name" },
  { sort: "birthDate", label: "Born" },
  { sort: "diagnoses", label: "Diagnoses" },
  { sort: "updated", label: "Changed" },
]

/** Ten thousand rows, of which only those in sight exist. One tab stop; the arrow keys move inside. */
export function PatientTable({ view }: { view: HomeView }) {
  const { home, selection } = useApp()
  const { on: selecting, ids: selected } = useStore(selection)
  const body = useRef<HTMLTableSectionElement>(null)
  const narrow = useMediaQuery("(max-width: 767px)", undefined, { getInitialValueInEffect: false })
  const [margin, setMargin] = useState(0)
  const rows = useWindowVirtualizer({
    count: view.matching,
    estimateSize: () => (narrow ? 64 : 48),
    overscan: 12,
    scrollMargin: margin,
    scrollPaddingStart: 120,
    scrollPaddingEnd: 80,
  })
  const items = rows.getVirtualItems()
  const start = items[0]?.index ?? 0
  const end = (items.at(-1)?.index ?? 0) + 1
  const { current, onKeyDown } = useRowKeys(view.matching, body, (index) => rows.scrollToIndex(index))

  useLayoutEffect(() => {
    const top = body.current?.getBoundingClientRect().top ?? 0
    setMargin(Math.round(top + window.scrollY))
  }, [])
  // biome-ignore lint/correctness/useExhaustiveDependencies: a change of height needs new measures
  useEffect(() => rows.measure(), [narrow, rows])
  useEffect(() => home.want(start, end), [home, start, end])

  return (
    <table className={classes.table} aria-rowcount={view.matching + 1} onKeyDown={onKeyDown}>
      <caption className={classes.caption}>Patients</caption>
      <thead className={classes.head}>
        <tr className={classes.row} aria-rowindex={1}>
          {columns.map(({ sort, label }) => (
            <th
              key={sort}
              scope="col"
              className={classes[sort]}
              aria-sort={view.sort !== sort ? "none" : view.descending ? "descending" : "ascending"}
            >
              <button type="button" className={classes.sorter} onClick={() => home.sortBy(sort)}>
                {label}
                <span aria-hidden="true">{view.sort !== sort ? "" : view.descending ? " ▼" : " ▲"}</span>
              </button>
            </th>
          ))}
        </tr>
      </thead>
      <tbody ref={body} className={classes.body} style={{ height: rows.getTotalSize() }}>
        {items.map(({ index, start: top, size }) => (
          <tr
            key={index}
            data-index={index}
            aria-rowindex={index + 2}
            className={classes.row}
            style={{ height: size, transform: `translateY(${top - margin}px)` }}
          >
            <Cells
              row={rowAt(view, index)}
              reachable={index === current || (current < start && index === start)}
              selecting={selecting}
              selected={selected}
            />
          </tr>
        ))}
      </tbody>
    </table>
  )
}

interface CellsProps {
  row: HomeRow | null
  reachable: boolean
  selecting: boolean
  selected: Selection["ids"]
}

function Cells({ row, reachable, selecting, selected }: CellsProps) {
  if (!row) {
    return (
      <td className={classes.coming} colSpan={4}>
        …
      </td>
    )
  }
  const age = ageOf(row.birthDate)
  const [shown, more] = [row.diagnoses.slice(0, 3), row.diagnoses.length - 3]
  return (
    <>
      <td className={classes.name}>
        {selecting ? (
          <Tick row={row} reachable={reachable} selected={selected} />
        ) : (
          <Link to="/records/$id" params={{ id: row.id }} className={classes.link} tabIndex={reachable ? 0 : -1}>
            {nameOf(row)}
          </Link>
        )}
      </td>
      <td className={classes.birthDate}>
        <time dateTime={row.birthDate}>{showDate(row.birthDate)}</time>
        {age !== null && <span className={classes.age}> · {age}</span>}
      </td>
      <td className={classes.diagnoses}>
        <span className={classes.some}>{shown.join(" · ")}</span>
        {more > 0 && <span className={classes.more}> +{more}</span>}
        <Tags row={row} />
      </td>
      <td className={classes.updated}>{showWhen(row.updated)}</td>
    </>
  )
}

/** Beside the diagnoses, so that no name has to make room for them. */
function Tags({ row }: { row: HomeRow }) {
  if (!row.archived && !row.waits && row.role !== "reader" && row.sharedWith.length === 0) return null
  return (
    <span className={classes.tags}>
      {row.waits && (
        <span className={classes.waits}>
          waits<Hidden> until an owner has confirmed who can read it</Hidden>
        </span>
      )}
      {row.archived && <span className={classes.tag}>archived</span>}
      {row.role === "reader" && <span className={classes.tag}>read only</span>}
      {row.sharedWith.length > 0 && <span className={classes.shared}>{withWhom(row)}</span>}
    </span>
  )
}

/** The whole row ticks the record. Only an owner can share one. */
function Tick({ row, reachable, selected }: { row: HomeRow; reachable: boolean; selected: Selection["ids"] }) {
  const { selection } = useApp()
  const toggle = () => {
    const ids = new Map(selected)
    if (!ids.delete(row.id)) ids.set(row.id, nameOf(row))
    selection.set({ on: true, ids })
  }
  return (
    <label className={classes.tick}>
      <input
        type="checkbox"
        checked={selected.has(row.id)}
        disabled={row.role !== "owner"}
        tabIndex={reachable ? 0 : -1}
        onChange={toggle}
      />
      <span className={classes.some}>{nameOf(row)}</span>
      {row.role !== "owner" && <Hidden> (only its owner can share it)</Hidden>}
    </label>
  )
}

function withWhom({ sharedWith: [first = "", ...others] }: HomeRow): string {
  return `with ${first}${others.length > 0 ? ` +${others.length}` : ""}`
}

export function nameOf({ firstName, lastName }: HomeRow): string {
  return joined([lastName, firstName], ", ") || "(no name)"
}

/** Arrow keys, Home, End and the page keys move between rows; from the search box, down enters the table. */
function useRowKeys(
  matching: number,
  body: React.RefObject<HTMLTableSectionElement | null>,
  scrollTo: (index: number) => void,
) {
  const [current, setCurrent] = useState(0)
  const [, draw] = useReducer((turn: number) => turn + 1, 0)
  const pending = useRef<number | null>(null)

  // The row may only be drawn after the scroll: so this runs after every draw until the link is there.
  useEffect(() => {
    if (pending.current === null) return
    const link = body.current?.querySelector<HTMLElement>(`[data-index="${pending.current}"] :is(a, input)`)
    if (!link) return
    pending.current = null
    link.focus({ preventScroll: true })
  })

  const move = (index: number) => {
    const next = Math.max(0, Math.min(matching - 1, index))
    pending.current = next
    setCurrent(next)
    scrollTo(next)
    draw()
  }
  const latest = useRef(move)
  latest.current = move

  useEffect(() => {
    const onKey = (event: globalThis.KeyboardEvent) => {
      if (event.key !== "ArrowDown" || !(event.target instanceof HTMLElement) || event.target.id !== "search") return
      event.preventDefault()
      latest.current(0)
    }
    addEventListener("keydown", onKey)
    return () => removeEventListener("keydown", onKey)
  }, [])

  const onKeyDown = (event: KeyboardEvent) => {
    const row = event.target instanceof HTMLElement ? event.target.closest<HTMLElement>("[data-index]") : null
    if (!row) return
    const at = Number(row.dataset.index)
    const page = Math.max(1, Math.floor(window.innerHeight / 48) - 4)
    const steps: Record<string, number> = { ArrowDown: 1, ArrowUp: -1, PageDown: page, PageUp: -page }
    const step = steps[event.key]
    if (event.key === "ArrowUp" && at === 0) document.getElementById("search")?.focus()
    else if (step !== undefined) move(at + step)
    else if (event.key === "Home") move(0)
    else if (event.key === "End") move(matching - 1)
    else return
    event.preventDefault()
  }
  return { current: Math.min(current, Math.max(0, matching - 1)), onKeyDown }
}
