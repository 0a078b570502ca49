import { longestMs } from "../sessions.ts"
import type { Db } from "../store/connection.ts"
import { type Findings, rowName } from "./findings.ts"

/** What the log says of when something can have come. No clock is asked: another machine's, or one that was wrong for a while, would raise
 * a false alarm, and a backup with one is not put back. */
export interface Times {
  /** By physician, when the log first has them. */
  readonly first: ReadonlyMap<string, number>
  /** Whatever came did so in a session, and every session begins with a leaf. */
  readonly latest: number
}

export async function readTimes(db: Db): Promise<Times> {
  const rows = await db
    .selectFrom("leaf")
    .select((e) => ["actor", e.fn.min<number>("time").as("first"), e.fn.max<number>("time").as("last")])
    .groupBy("actor")
    .execute()
  const newest = rows.reduce((latest, { last }) => Math.max(latest, last), 0)
  return { first: new Map(rows.map(({ actor, first }) => [actor, first])), latest: newest + longestMs }
}

/** Nobody signs when a segment came. */
export async function auditSegments(db: Db, findings: Findings, { first, latest }: Times): Promise<void> {
  for await (const { id, physician, created } of db
    .selectFrom("segment")
    .select(["id", "physician", "created"])
    .stream()) {
    const name = rowName("segment", { id })
    findings.demand(created >= (first.get(physician) ?? latest), name, "it came before its physician")
    findings.demand(created <= latest, name, "it came later than anything that the log knows")
  }
}
