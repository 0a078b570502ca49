import { parseRecordId, type RecordId } from "../client/ids.ts"
import { UsageError } from "./ask.ts"

/** The record's id among what was given. What was given is not repeated: it may be a name that got there by mistake.
 * @throws UsageError */
export function recordIdFrom(args: readonly string[], at = 0): RecordId {
  try {
    return parseRecordId(args[at] ?? "")
  } catch {
    const which = args.length > 1 && at > 0 ? `Number ${at + 1} of ${args.length}` : "This"
    throw new UsageError(`${which} is not a record's id, which has 22 characters. See \`healthcrypt records list\`.`)
  }
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
