import { dayOf } from "../clinical/days.ts"
import { Records } from "./records.ts"
import { Roster } from "./roster.ts"
import type { Session } from "./session.ts"

/** A signed-in physician with everything at hand. */
export interface Workspace {
  readonly session: Session
  readonly roster: Roster
  readonly records: Records
}

export function workspaceOf(session: Session): Workspace {
  const roster = new Roster(session)
  return { session, roster, records: new Records(session, roster) }
}

/** YYYY-MM-DD where the physician is. */
export function todayOf(session: Session): string {
  return dayOf(session.around.now())
}
