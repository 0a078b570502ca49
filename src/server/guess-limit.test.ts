import { beforeEach, expect, test } from "vitest"
import { type Attempt, GuessLimit, guessLimits } from "./guess-limit.ts"

const { windowMs, attemptMs } = guessLimits
let now: number
let limit: GuessLimit

beforeEach(() => {
  now = 1_800_000_000_000
  limit = new GuessLimit(() => now)
})

function begin(username = "ada", address = "192.0.2.1"): Attempt {
  const begun = limit.begin(username, address)
  if ("retryAfterMs" in begun) throw new Error(`wait ${begun.retryAfterMs}`)
  return begun.attempt
}

function fail(times: number, username?: string, address?: string): void {
  for (let i = 0; i < times; i++) begin(username, address).fail()
}

test("ten failures stop a username, until the oldest is a quarter of an hour old", () => {
  fail(9)
  now += 1000
  fail(1)
  expect(limit.begin("ada", "192.0.2.2")).toEqual({ retryAfterMs: windowMs - 1000 })
  begin("bob").succeed()
  now += windowMs - 1000
  begin().succeed()
})

test("successes use nothing up", () => {
  for (let i = 0; i < 1000; i++) begin().succeed()
  fail(9)
  for (let i = 0; i < 100; i++) begin().succeed()
  begin()
})

test("a hundred failures stop an address, whatever the usernames", () => {
  for (let i = 0; i < 100; i++) fail(1, `user${i}`)
  expect(limit.begin("ada", "192.0.2.1")).toEqual({ retryAfterMs: windowMs })
  begin("ada", "192.0.2.2")
})

test("attempts that are begun and left count at once, and as failures after a minute", () => {
  for (let i = 0; i < 40; i++) begin()
  expect(limit.begin("ada", "192.0.2.2")).toEqual({ retryAfterMs: attemptMs })
  now += attemptMs
  expect(limit.begin("ada", "192.0.2.2")).toEqual({ retryAfterMs: windowMs })
})

test("an address may have 400 attempts open or failed", () => {
  for (let i = 0; i < 400; i++) begin(`user${i}`)
  expect(limit.begin("ada", "192.0.2.1")).toEqual({ retryAfterMs: attemptMs })
})

test("an attempt ends once: what failed cannot succeed afterwards, nor the other way round", () => {
  const attempts = Array.from({ length: 10 }, () => begin())
  for (const attempt of attempts) {
    attempt.fail()
    attempt.succeed()
    attempt.fail()
  }
  expect(limit.begin("ada", "192.0.2.2")).toEqual({ retryAfterMs: windowMs })
  const late = begin("bob")
  now += attemptMs
  begin("bob").succeed()
  late.succeed()
  for (let i = 0; i < 9; i++) begin("bob").fail()
  expect(limit.begin("bob", "192.0.2.2")).toHaveProperty("retryAfterMs")
})

test.each([
  ["2001:db8:1:2::1", "2001:db8:1:2:ffff:1:2:3", true],
  ["2001:db8:1:2::1", "2001:0DB8:0001:2::9", true],
  ["2001:db8:1:2::1", "2001:db8:1:3::1", false],
  ["::ffff:192.0.2.7", "192.0.2.7", true],
  ["::1", "::2", true],
  ["fe80::1%eth0", "fe80::2%eth1", true],
  ["192.0.2.7", "192.0.2.8", false],
])("addresses %s and %s count together: %s", (one, other, together) => {
  for (let i = 0; i < 100; i++) fail(1, `user${i}`, one)
  expect("retryAfterMs" in limit.begin("ada", other)).toBe(together)
})
