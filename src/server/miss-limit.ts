import type { SessionId } from "../encoding/ids.ts"

const missesAtMost = 60
const windowMs = 60_000

interface Window {
  readonly began: number
  misses: number
}

/** Slows down whoever tries usernames one after the other: 60 that nobody has, a minute and session. */
export class MissLimit {
  readonly #now: () => number
  readonly #windows = new Map<SessionId, Window>()

  constructor(now: () => number) {
    this.#now = now
  }

  /** How long a session has to wait before it may look again; 0 for not at all. */
  waitMs(session: SessionId): number {
    const window = this.#current(session)
    return window !== null && window.misses >= missesAtMost ? window.began + windowMs - this.#now() : 0
  }

  add(session: SessionId): void {
    const window = this.#current(session)
    if (window !== null) window.misses++
    else {
      this.#sweep()
      this.#windows.set(session, { began: this.#now(), misses: 1 })
    }
  }

  #current(session: SessionId): Window | null {
    const window = this.#windows.get(session)
    return window !== undefined && this.#now() < window.began + windowMs ? window : null
  }

  #sweep(): void {
    const now = this.#now()
    for (const [session, { began }] of this.#windows) if (now >= began + windowMs) this.#windows.delete(session)
  }
}
