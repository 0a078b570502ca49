/** What can be done with the lines of Activity before they are shown: filtering, sorting, counting by day, and a file of them. */

import type { ActivityItem } from "../client/views.ts"
import { dayOf } from "../clinical/days.ts"
import { toCsv } from "./csv.ts"
import { unmarked } from "./shown.ts"

/** A line as it is shown. */
export interface ActivityLine extends Omit<ActivityItem, "kind"> {
  readonly kind: ActivityItem["kind"] | "declined"
}

export type ActivityKind = ActivityLine["kind"]
/** What the client calls this physician. */
const you = "You"

export type ActivitySort = "time" | "actor" | "kind" | "detail"

export interface ActivityFilter {
  /** YYYY-MM-DD or "": the first and the last day that are shown. */
  readonly from: string
  readonly to: string
  /** "done" leaves out what the program saves by itself. */
  readonly kind: ActivityKind | "" | "done"
}

export interface Bar {
  /** The first day it stands for, YYYY-MM-DD. */
  readonly day: string
  readonly count: number
}

export interface Bars {
  readonly bars: readonly Bar[]
  /** How many days a bar stands for. */
  readonly days: number
}

export const kindWords: Record<ActivityKind, string> = {
  opened: "Opened",
  created: "Created",
  wrote: "Wrote",
  shared: "Changed sharing",
  left: "Left",
  declined: "Declined",
  accepted: "Accepted",
  exported: "Exported",
  "sign-in": "Signed in",
  recover: "Recovered the account",
  "end-session": "Ended a session",
  admin: "Suspended or resumed",
  unlocks: "Changed a way to sign in",
  keyring: "Saved by the program",
  other: "Other",
}

const barsAtMost = 92

/** Tells who declined from who left.
 * @param items newest first
 * @param whole whether none older is missing: only then it is known who never accepted */
export function linesOf(items: readonly ActivityItem[], whole: boolean): ActivityLine[] {
  const inside = new Set<string>()
  const lines = items.toReversed().map((item): ActivityLine => {
    const { actor, kind } = item
    const been = inside.has(actor)
    if (kind === "created" || kind === "accepted") inside.add(actor)
    if (kind === "left") inside.delete(actor)
    // Whoever is invited once more has been taken off in between, and is asked again.
    for (const invited of item.invited) inside.delete(invited)
    return { ...item, kind: kind === "left" && whole && !been ? "declined" : kind }
  })
  return lines.reverse()
}

export function matches({ time, kind }: ActivityLine, filter: ActivityFilter): boolean {
  const day = dayOf(time)
  if (filter.kind === "done" && kind === "keyring") return false
  if (filter.kind !== "" && filter.kind !== "done" && kind !== filter.kind) return false
  return (filter.from === "" || day >= filter.from) && (filter.to === "" || day <= filter.to)
}

export function sorted(items: readonly ActivityLine[], by: ActivitySort, descending: boolean): ActivityLine[] {
  const text = ({ kind, actor, detail }: ActivityLine) =>
    by === "actor" ? actor : by === "kind" ? kindWords[kind] : detail
  const order = (a: ActivityLine, b: ActivityLine) =>
    by === "time" ? a.index - b.index : text(a).localeCompare(text(b))
  return [...items].sort((a, b) => (descending ? order(b, a) : order(a, b)) || b.index - a.index)
}

/** Events a day from the first day to the last, empty days included; several days a bar where there would be too many.
 * @param items none of them outside the two days */
export function countByDay(items: readonly ActivityLine[], from: string, to: string): Bars {
  const start = dayNumber(from)
  const length = Math.max(1, dayNumber(to) - start + 1)
  const days = Math.ceil(length / barsAtMost)
  const counts = new Array<number>(Math.ceil(length / days)).fill(0)
  for (const { time } of items) {
    const at = Math.floor((dayNumber(dayOf(time)) - start) / days)
    if (at >= 0 && at < counts.length) counts[at]! += 1
  }
  return { days, bars: counts.map((count, index) => ({ count, day: dayAt(start + index * days) })) }
}

/** Times in the file are UTC. Whoever is handed it does not know who "You" was.
 * @param me this physician's username */
export function activityCsv(items: readonly ActivityLine[], me: string): string {
  const rows = items.map(({ index, time, kind, actor, detail }) => [
    new Date(time).toISOString(),
    actor === you ? me : actor,
    kindWords[kind],
    detail,
    String(index),
  ])
  return unmarked(toCsv([["Time", "Who", "What", "Detail", "Place in the log"], ...rows]))
}

function dayNumber(day: string): number {
  return Math.round(Date.parse(`${day}T00:00:00Z`) / 86_400_000)
}

function dayAt(number: number): string {
  return new Date(number * 86_400_000).toISOString().slice(0, 10)
}
