/** Dates as the browser's locale writes them; what came incomplete (YYYY or YYYY-MM) is shown as it is known. */

import { dayOf } from "../clinical/days.ts"

const parts = /^(\d{4})(?:-(\d{2})(?:-(\d{2}))?)?/

/** "12 Mar 1961", "Mar 1961", "1961", or the text itself where it is no date. */
export function showDate(iso: string): string {
  const match = parts.exec(iso)
  if (!match) return iso
  const [, year, month, day] = match
  const date = new Date(Number(year), month ? Number(month) - 1 : 0, day ? Number(day) : 1)
  return new Intl.DateTimeFormat(undefined, {
    year: "numeric",
    ...(month ? { month: "short" } : {}),
    ...(day ? { day: "numeric" } : {}),
  }).format(date)
}

/** Whole years from a birth date to a day; null where the birth date is not complete.
 * @param until YYYY-MM-DD, left out: today. */
export function ageOf(birthDate: string, until?: string): number | null {
  const born = parts.exec(birthDate)
  const end = parts.exec(until ?? today())
  if (!born?.[3] || !end?.[3]) return null
  const before = `${end[2]}-${end[3]}` < `${born[2]}-${born[3]}`
  const age = Number(end[1]) - Number(born[1]) - (before ? 1 : 0)
  return age >= 0 ? age : null
}

/** "today 09:14", "yesterday 17:02", else the day. */
export function showWhen(ms: number): string {
  const date = new Date(ms)
  const time = clock(date)
  const day = dayOf(ms)
  if (day === today()) return `today ${time}`
  return day === dayBefore(today(), 1) ? `yesterday ${time}` : showDate(day)
}

/** Day and minute, for a timeline. */
export function showMoment(ms: number): string {
  const date = new Date(ms)
  return `${showDate(dayOf(ms))}, ${clock(date)}`
}

/** The day alone, of a moment in milliseconds. */
export function showDay(ms: number): string {
  return showDate(dayOf(ms))
}

/** A sentence with its days (YYYY-MM-DD) as the browser's locale writes them. */
export function showDays(sentence: string): string {
  return sentence.replace(/\b\d{4}-\d{2}-\d{2}\b/g, showDate)
}

export function today(): string {
  return dayOf(Date.now())
}

function clock(date: Date): string {
  return new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit" }).format(date)
}

/** The day that lies so many days before another. */
export function dayBefore(day: string, days: number): string {
  const date = new Date(`${day}T12:00:00`)
  date.setDate(date.getDate() - days)
  return dayOf(date.getTime())
}

/** "1 patient", "1,284 patients" */
export function count(number: number, one: string, many = `${one}s`): string {
  return `${number.toLocaleString()} ${number === 1 ? one : many}`
}
