import { describe, expect, it } from "vitest"
import type { ActivityItem } from "../client/views.ts"
import { type ActivityFilter, activityCsv, countByDay, linesOf, matches, sorted } from "./activity-lines.ts"

const at = (day: string) => new Date(`${day}T12:00:00`).getTime()
const item = (
  index: number,
  day: string,
  kind: ActivityItem["kind"],
  actor = "You",
  detail = "",
  invited: readonly string[] = [],
): ActivityItem => ({
  index,
  time: at(day),
  kind,
  actor,
  detail,
  invited,
})
const items = [
  item(9, "2026-11-03", "wrote", "beta"),
  item(4, "2026-11-01", "opened"),
  item(1, "2026-10-30", "created"),
]

describe("the lines of Activity", () => {
  it("are filtered by the first and the last day, both of which count, and by kind", () => {
    const shown = (from: string, to: string, kind: ActivityFilter["kind"] = "") =>
      items.filter((one) => matches(one, { from, to, kind })).map(({ index }) => index)
    expect(shown("", "")).toEqual([9, 4, 1])
    expect(shown("2026-11-01", "2026-11-03")).toEqual([9, 4])
    expect(shown("", "2026-10-30")).toEqual([1])
    expect(shown("2026-10-30", "", "wrote")).toEqual([9])
  })

  it("are told without what the program saves by itself", () => {
    const lines = [item(3, "2026-11-03", "keyring"), item(2, "2026-11-03", "sign-in")]
    const shown = (kind: ActivityFilter["kind"]) => lines.filter((one) => matches(one, { from: "", to: "", kind }))
    expect(shown("done").map(({ index }) => index)).toEqual([2])
    expect(shown("").map(({ index }) => index)).toEqual([3, 2])
  })

  it("are sorted by any column, the newest first among equals", () => {
    expect(sorted(items, "time", true).map(({ index }) => index)).toEqual([9, 4, 1])
    expect(sorted(items, "time", false).map(({ index }) => index)).toEqual([1, 4, 9])
    expect(sorted(items, "actor", true).map(({ index }) => index)).toEqual([4, 1, 9])
    expect(sorted(items, "kind", false).map(({ index }) => index)).toEqual([1, 4, 9])
  })

  it("are counted by day, with the empty days between", () => {
    const { bars, days } = countByDay(items, "2026-10-30", "2026-11-03")
    expect(days).toBe(1)
    expect(bars.map(({ count }) => count)).toEqual([1, 0, 1, 0, 1])
    expect(bars[0]).toEqual({ day: "2026-10-30", count: 1 })
    expect(bars.at(-1)?.day).toBe("2026-11-03")
  })

  it("take several days a bar over a long time, and lose none", () => {
    const { bars, days } = countByDay(items, "2024-01-01", "2026-11-03")
    expect(days).toBeGreaterThan(7)
    expect(bars.length).toBeLessThanOrEqual(92)
    expect(bars.reduce((sum, { count }) => sum + count, 0)).toBe(3)
  })

  it("tell who declined from who left, where nothing older is missing", () => {
    const lines = [
      item(9, "2026-11-09", "left", "beta"),
      item(8, "2026-11-08", "shared", "You", "gamma: reader → owner · Shared with beta as owner", ["beta"]),
      item(7, "2026-11-07", "left", "beta"),
      item(6, "2026-11-06", "accepted", "beta"),
      item(5, "2026-11-05", "shared", "You", "Shared with beta as reader until 2030-01-01", ["beta"]),
      item(4, "2026-11-04", "left", "gamma"),
      item(1, "2026-11-01", "created"),
    ]
    const kinds = (whole: boolean) => linesOf(lines, whole).map(({ kind }) => kind)
    expect(kinds(true)).toEqual(["declined", "shared", "left", "accepted", "shared", "declined", "created"])
    expect(kinds(false)).toEqual(["left", "shared", "left", "accepted", "shared", "left", "created"])
  })

  it("become a file with nothing that a spreadsheet would run", () => {
    const text = activityCsv([item(7, "2026-11-03", "shared", "You", '=HYPERLINK("x")')], "beta")
    const [head, line] = text.split("\r\n")
    expect(head).toBe('"Time","Who","What","Detail","Place in the log"')
    expect(line).toContain(',"beta","Changed sharing","\'=HYPERLINK(""x"")","7"')
  })
})
