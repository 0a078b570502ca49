import { existsSync, readFileSync } from "node:fs"
import { expect } from "vitest"
import type { Desk, Outcome, RunOptions } from "./cli.ts"

/** Runs a command that has to succeed, in less than a gibibyte of resident memory. */
export async function runModestly(desk: Desk, args: readonly string[], options: RunOptions = {}): Promise<Outcome> {
  let peak = 0
  let looking: NodeJS.Timeout | undefined
  const started = (pid: number) => {
    looking = setInterval(() => {
      if (existsSync(`/proc/${pid}/status`)) peak = Math.max(peak, peakOf(pid))
    }, 20)
  }
  const outcome = await desk.run(args, { ...options, started })
  clearInterval(looking)
  expect(outcome.code, outcome.stderr).toBe(0)
  if (existsSync("/proc/self/status")) expectModest(peak)
  return outcome
}

/** @param peak of a process that surely held something, in bytes */
export function expectModest(peak: number): void {
  expect(peak).toBeGreaterThan(100_000_000)
  expect(peak).toBeLessThan(1024 ** 3)
}

/** The most memory that a process had resident so far, in bytes. */
export function peakOf(pid: number): number {
  const kib = /^VmHWM:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1]
  return Number(kib ?? 0) * 1024
}
