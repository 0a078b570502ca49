import type { PhysicianId } from "../encoding/ids.ts"

const missesAtMost = 60
const windowMs = 60_000

interface Window {
  readonly began: number
  misses: number
}

/** Slows down whoever tries usernames one after the other: 60 that nobody has, a minute for each physician. */
export class MissLimit {
  readonly #now: () => number
  readonly #windows = new Map<PhysicianId, Window>()

  constructor(now: () => number) {
    this.#now = now
  }

  /** How long a physician has to wait before it may look again; 0 for not at all. */
  waitMs(physician: PhysicianId): number {
    const window = this.#current(physician)
    return window !== null && window.misses >= missesAtMost ? window.began + windowMs - this.#now() : 0
  }

  add(physician: PhysicianId): void {
    const window = this.#current(physician)
    if (window !== null) window.misses++
    else {
      this.#sweep()
      this.#windows.set(physician, { began: this.#now(), misses: 1 })
    }
  }

  #current(physician: PhysicianId): Window | null {
    const window = this.#windows.get(physician)
    return window !== undefined && this.#now() < window.began + windowMs ? window : null
  }

  #sweep(): void {
    const now = this.#now()
    for (const [physician, { began }] of this.#windows) if (now >= began + windowMs) this.#windows.delete(physician)
  }
}
