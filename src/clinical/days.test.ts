import { afterEach, expect, it } from "vitest"
import { dayOf, endOfDay } from "./days.ts"

const zone = process.env.TZ
afterEach(() => {
  if (zone === undefined) delete process.env.TZ
  else process.env.TZ = zone
})

it.each(["America/New_York", "UTC", "Asia/Tokyo", "Pacific/Kiritimati"])(
  "a day's end is on that day in %s",
  (where) => {
    process.env.TZ = where
    for (const day of ["2026-03-08", "2028-02-29", "2040-12-31"]) {
      const end = endOfDay(day)!
      expect(dayOf(end)).toBe(day)
      expect(dayOf(end + 1)).not.toBe(day)
    }
  },
)

it.each(["", "2026-02-30", "2026-13-01", "2026-1-1", "tomorrow", "2026-01-01T00:00", "0000-00-00"])(
  "%j is no day",
  (text) => expect(endOfDay(text)).toBeNull(),
)
