import { parseRecordId, type RecordId } from "../client/ids.ts"
import { cleanUsername } from "../client/username.ts"
import { AppError } from "../errors.ts"
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

/** A colleague's username among what was given. @throws UsageError */
export function colleagueFrom(args: readonly string[], at: number): string {
  const username = cleanUsername(args[at] ?? "")
  if (!/^[a-z0-9._-]{3,64}$/.test(username)) throw new UsageError(new AppError("BAD_INPUT_USERNAME").message)
  return username
}

/** What is said of a colleague who cannot sign in, on the server's word alone. */
export function suspendedWord(username: string): string {
  return `The server says that the account ${username} is suspended. They stay a member of what is shared with them.`
}

/** What is said of members whose keys are not those that were verified. */
export function changedWord(usernames: readonly string[]): string {
  return `The keys of ${usernames.join(", ")} have changed since you verified them. Until an owner removes them (\`healthcrypt unshare\`), they can read what is written here.`
}

/** What `--seq` means, for everybody who reads one beside the page. */
export const counting = "the first is 0; the page calls it entry 1"

/** An entry by both its numbers: here they begin with 0, on the page with 1. */
export function entryName(seq: number): string {
  return `entry ${seq} (entry ${seq + 1} on the page)`
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
