import { randomBytes } from "node:crypto"
import { encodeBase64url } from "../encoding/base64.ts"

const sweepMs = 10_000

/** What the server keeps in memory between two requests of one exchange: for `ttlMs`, and once. */
export class Pending<Value> {
  readonly #ttlMs: number
  readonly #now: () => number
  readonly #held = new Map<string, { readonly value: Value; readonly until: number }>()
  #swept = 0

  constructor(ttlMs: number, now: () => number) {
    this.#ttlMs = ttlMs
    this.#now = now
  }

  /** @returns a random name of 32 bytes, as base64url. */
  put(value: Value): string {
    const name = encodeBase64url(randomBytes(32))
    this.putAs(name, value)
    return name
  }

  /** Under a name of the caller's own. What was held under it before is forgotten. */
  putAs(name: string, value: Value): void {
    const now = this.#now()
    this.#sweep(now)
    this.#held.set(name, { value, until: now + this.#ttlMs })
  }

  /** A value that is not given out for good; null when it is unknown or too old. */
  find(name: string): Value | null {
    const held = this.#held.get(name)
    return held !== undefined && held.until > this.#now() ? held.value : null
  }

  /** Gives a value out once; null when it is unknown, was given before, or is too old. */
  take(name: string): Value | null {
    const held = this.#held.get(name)
    this.#held.delete(name)
    return held !== undefined && held.until > this.#now() ? held.value : null
  }

  #sweep(now: number): void {
    if (now - this.#swept < sweepMs) return
    this.#swept = now
    for (const [name, held] of this.#held) if (held.until <= now) this.#held.delete(name)
  }
}
