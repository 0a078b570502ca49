/** A moment's day, YYYY-MM-DD, in the time zone of this program.
 * @param time milliseconds since 1970 */
export function dayOf(time: number): string {
  const date = new Date(time)
  const two = (part: number) => String(part).padStart(2, "0")
  return `${date.getFullYear()}-${two(date.getMonth() + 1)}-${two(date.getDate())}`
}

/** The last millisecond of a day, in the same time zone.
 * @param day YYYY-MM-DD
 * @returns milliseconds since 1970; `null` for what the calendar does not have */
export function endOfDay(day: string): number | null {
  const [, year, month, date] = /^(\d{4})-(\d{2})-(\d{2})$/.exec(day) ?? []
  const end = new Date(Number(year), Number(month) - 1, Number(date), 23, 59, 59, 999).getTime()
  return !Number.isNaN(end) && dayOf(end) === day ? end : null
}
