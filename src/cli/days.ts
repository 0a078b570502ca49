import { UsageError } from "./ask.ts"

/** The end of a day that somebody typed as YYYY-MM-DD, in UTC: milliseconds since 1970. */
export function dayEnd(text: string): number {
  const start = /^\d{4}-\d{2}-\d{2}$/.test(text) ? Date.parse(`${text}T00:00:00Z`) : Number.NaN
  if (Number.isNaN(start) || new Date(start).toISOString().slice(0, 10) !== text)
    throw new UsageError("Write a day that the calendar has as YYYY-MM-DD.")
  return start + 86_400_000 - 1
}
