/** How many guesses are let through. Successes use nothing up. An attempt that was begun and not finished counts: OPAQUE's answer
 * already tells a guesser whether the guess was right. So within any window no more attempts are begun without success than
 * `failuresAndOpen`. */
export const guessLimits = {
  windowMs: 15 * 60_000,
  /** After so long an attempt that is not finished has failed. */
  attemptMs: 60_000,
  username: { failures: 10, failuresAndOpen: 40 },
  address: { failures: 100, failuresAndOpen: 400 },
} as const

const sweepMs = 60_000

export interface Attempt {
  /** Forgets that there was an attempt. */
  succeed(): void
  fail(): void
}

export type Begun = { readonly attempt: Attempt } | { readonly retryAfterMs: number }

/** Counts failed and unfinished attempts by username and by address, in memory. Times are milliseconds. */
export class GuessLimit {
  readonly #now: () => number
  readonly #counters = new Map<string, Counter>()
  #swept = 0

  constructor(now: () => number) {
    this.#now = now
  }

  /** Begins an attempt, or says how long to wait. The attempt is open until it succeeds, fails, or a minute has passed.
   * @param address of the connection; of IPv6 the first 64 bits count.
   * @param proved  whether the caller has just proved who they are, by password or words. Failures alone do not stop them then: who
   * forgot the password has tried some, and sets a new one by the words. */
  begin(username: string, address: string, proved = false): Begun {
    const now = this.#now()
    this.#sweep(now)
    const names = [`username ${username}`, `address ${network(address)}`] as const
    const counters = names.map((name) => this.#counters.get(name) ?? new Counter())
    const [byUsername, byAddress] = counters
    const retryAfterMs = Math.max(
      byUsername!.wait(now, guessLimits.username, proved),
      byAddress!.wait(now, guessLimits.address, proved),
    )
    if (retryAfterMs > 0) return { retryAfterMs }
    for (const [i, name] of names.entries()) this.#counters.set(name, counters[i]!)
    const open = { began: now }
    for (const counter of counters) counter.open.add(open)
    const close = (failed: boolean) => {
      const at = this.#now()
      for (const counter of counters) counter.close(open, failed ? at : null)
    }
    return { attempt: { succeed: () => close(false), fail: () => close(true) } }
  }

  #sweep(now: number): void {
    if (now - this.#swept < sweepMs) return
    this.#swept = now
    for (const [name, counter] of this.#counters) if (counter.isIdle(now)) this.#counters.delete(name)
  }
}

interface Open {
  readonly began: number
}

class Counter {
  readonly open = new Set<Open>()
  /** Times of failures, the oldest first. */
  #failed: number[] = []

  /** How long until an attempt may begin; 0 for now. */
  wait(now: number, limit: { readonly failures: number; readonly failuresAndOpen: number }, proved: boolean): number {
    this.#settle(now)
    const failures = this.#failed.length
    const most = proved ? limit.failuresAndOpen : limit.failures
    if (failures >= most) return this.#failed[failures - most]! + guessLimits.windowMs - now
    if (failures + this.open.size < limit.failuresAndOpen) return 0
    const [oldest] = this.open
    return oldest === undefined ? 0 : oldest.began + guessLimits.attemptMs - now
  }

  close(open: Open, failedAt: number | null): void {
    if (this.open.delete(open) && failedAt !== null) this.#failed.push(failedAt)
  }

  isIdle(now: number): boolean {
    this.#settle(now)
    return this.open.size === 0 && this.#failed.length === 0
  }

  #settle(now: number): void {
    for (const open of this.open) {
      const ends = open.began + guessLimits.attemptMs
      if (ends <= now) this.close(open, ends)
    }
    this.#failed = this.#failed.filter((at) => at + guessLimits.windowMs > now).sort((a, b) => a - b)
  }
}

/** An IPv4 address, or the 64 bits of an IPv6 address that a provider gives to one customer. */
export function network(address: string): string {
  const plain = address.replace(/^::ffff:(?=\d+\.)/i, "").replace(/%.*$/, "")
  if (!plain.includes(":")) return plain
  const [head = "", tail] = plain.split("::")
  const left = head === "" ? [] : head.split(":")
  const right = tail ? tail.split(":") : []
  const zeros = tail === undefined ? 0 : Math.max(0, 8 - left.length - right.length)
  const groups = [...left, ...Array.from({ length: zeros }, () => "0"), ...right]
  return groups
    .slice(0, 4)
    .map((group) => Number.parseInt(group, 16).toString(16))
    .join(":")
}
