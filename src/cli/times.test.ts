import { afterEach, expect, it } from "vitest"
import { bothMoments, momentOf } from "./times.ts"

const zone = process.env.TZ
afterEach(() => {
  if (zone === undefined) delete process.env.TZ
  else process.env.TZ = zone
})

const time = Date.UTC(2026, 10, 23, 23, 59, 58, 999)

it.each([
  ["UTC", "2026-11-23T23:59:58Z"],
  ["Europe/Berlin", "2026-11-24T00:59:58+01:00"],
  ["America/St_Johns", "2026-11-23T20:29:58-03:30"],
  ["Pacific/Kiritimati", "2026-11-24T13:59:58+14:00"],
])("a moment in %s is %s", (where, text) => {
  process.env.TZ = where
  expect(momentOf(time)).toBe(text)
  expect(Date.parse(text)).toBe(Math.floor(time / 1000) * 1000)
})

it("the server's time stands beside the author's where they lie more than five minutes apart", () => {
  process.env.TZ = "UTC"
  for (const apart of [0, 300_000, -300_000])
    expect(bothMoments({ time, serverTime: time + apart })).toBe("2026-11-23T23:59:58Z")
  expect(bothMoments({ time, serverTime: time + 300_001 })).toBe(
    "2026-11-23T23:59:58Z, the server says 2026-11-24T00:04:59Z",
  )
  expect(bothMoments({ time, serverTime: time - 300_001 })).toBe(
    "2026-11-23T23:59:58Z, the server says 2026-11-23T23:54:58Z",
  )
})
