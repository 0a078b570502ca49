import { parseRecordId, type RecordId } from "../client/ids.ts"
import { UsageError } from "./ask.ts"

export function recordIdFrom(args: readonly string[]): RecordId {
  return parseRecordId(args[0] ?? "")
}

/** An option that has to be a whole number; `null` where it was left out. */
export function wholeNumber(value: unknown, option: string): number | null {
  if (value === undefined) return null
  if (typeof value !== "string" || !/^\d{1,15}$/.test(value)) throw new UsageError(`${option} takes a whole number.`)
  return Number(value)
}

/** What was given to an option that may be repeated. */
export function wordsOf(value: unknown): string[] {
  return value === undefined ? [] : [value].flat().map(String)
}
