import { sql } from "kysely"
import type { PhysicianId } from "../../encoding/ids.ts"
import { AppError } from "../../errors.ts"
import type { Db } from "./connection.ts"
import { prepare } from "./prepared.ts"

const hourMs = 3_600_000

/** What one physician may store and add to the log. Reading is never refused by it. */
export interface Quota {
  readonly bytes: number
  readonly records: number
  /** Leaves within an hour by the clock; and as many more for reads and exports. */
  readonly leaves: number
}

/** Far more than honest work takes. 20 GiB are 100,000 patients of 200 KiB each, sealed; a practice of 100,000 patients whom one physician
 * entered has 100,000 records. An evening's import of 10,000 patients who are shared with nine colleagues is 100,000 leaves; they are 6 MB
 * that every client of the practice looks at. */
export const usualQuota: Quota = { bytes: 20 * 1024 ** 3, records: 200_000, leaves: 100_000 }

/** What a leaf takes besides what it speaks of: its row, its nodes, their places in the indexes. */
export const leafBytes = 512

export interface Used {
  readonly bytes: number
  readonly records?: number
  readonly leaves?: number
  /** Leaves that say of a record that it was read or exported. They need no key: whoever has stolen a session can make any number, and
   * must not keep its physician from writing. */
  readonly acts?: number
}

/** Counts what a write takes, in its own transaction: one statement. `always` counts and refuses nothing.
 * @param time milliseconds since 1970. @throws UNAVAILABLE_QUOTA, UNAVAILABLE_QUOTA_HOUR: the caller's work is undone */
export type Charge = (db: Db, physician: PhysicianId, used: Used, time: number, how?: "always") => Promise<void>

interface Params {
  physician: PhysicianId
  bytes: number
  records: number
  leaves: number
  acts: number
  hour: number
  mostBytes: number
  mostRecords: number
  mostLeaves: number
}

export function charger(compiler: Db, quota: Quota): Charge {
  const add = prepare<Params>((p) => {
    const leaves = sql<number>`case when hour = ${p.hour} then leaves else 0 end + ${p.leaves}`
    const acts = sql<number>`case when hour = ${p.hour} then acts else 0 end + ${p.acts}`
    return compiler
      .updateTable("usage")
      .set({
        bytes: sql<number>`bytes + ${p.bytes}`,
        records: sql<number>`records + ${p.records}`,
        leaves,
        acts,
        hour: p.hour,
      })
      .where("physician", "=", p.physician)
      .where(sql<boolean>`(${p.bytes} <= 0 or bytes + ${p.bytes} <= ${p.mostBytes})`)
      .where(sql<boolean>`(${p.records} <= 0 or records + ${p.records} <= ${p.mostRecords})`)
      .where(sql<boolean>`(${p.leaves} <= 0 or ${leaves} <= ${p.mostLeaves})`)
      .where(sql<boolean>`(${p.acts} <= 0 or ${acts} <= ${p.mostLeaves})`)
  })
  const none = Number.MAX_SAFE_INTEGER
  return async (db, physician, { bytes, records = 0, leaves = 0, acts = 0 }, time, how) => {
    const most = how === "always" ? { bytes: none, records: none, leaves: none } : quota
    const hour = Math.floor(time / hourMs)
    const { numAffectedRows } = await add(db, {
      physician,
      bytes: bytes + (leaves + acts) * leafBytes,
      records,
      leaves,
      acts,
      hour,
      mostBytes: most.bytes,
      mostRecords: most.records,
      mostLeaves: most.leaves,
    })
    if (numAffectedRows === 1n) return
    const now = await db.selectFrom("usage").selectAll().where("physician", "=", physician).executeTakeFirstOrThrow()
    const before = now.hour === hour ? now : { leaves: 0, acts: 0 }
    const over = (added: number, counted: number) => added > 0 && counted + added > quota.leaves
    const thisHour = over(leaves, before.leaves) || over(acts, before.acts)
    throw new AppError(thisHour ? "UNAVAILABLE_QUOTA_HOUR" : "UNAVAILABLE_QUOTA")
  }
}

/** How long until an hour by the clock is over, in seconds. */
export function secondsToNextHour(time: number): number {
  return Math.ceil((hourMs - (time % hourMs)) / 1000)
}
