import { network } from "./guess-limit.ts"

const windowMs = 3_600_000
/** How many times as many may sign up from all addresses together. */
const addresses = 10

/** How many may sign up from one address within an hour where nobody is asked for an invitation: a hospital behind one address on its first
 * morning. Each account has a quota of its own, so accounts without end would be a disk without end. */
export const usualSignUps = 100

interface SignUp {
  readonly at: number
  readonly network: string
}

/** Counts accounts that were made, by address and over all, in memory. Times are milliseconds. */
export class SignUpLimit {
  readonly #most: number
  readonly #now: () => number
  /** The oldest first. */
  #made: SignUp[] = []

  constructor(most: number, now: () => number) {
    this.#most = most
    this.#now = now
  }

  /** How long until one more may sign up; 0 for now. @param address of the connection; of IPv6 the first 64 bits count */
  waitMs(address: string): number {
    const now = this.#now()
    this.#made = this.#made.filter(({ at }) => at + windowMs > now)
    const here = network(address)
    const wait = (made: readonly SignUp[], most: number) =>
      made.length < most ? 0 : made[made.length - most]!.at + windowMs - now
    return Math.max(
      wait(
        this.#made.filter((one) => one.network === here),
        this.#most,
      ),
      wait(this.#made, this.#most * addresses),
    )
  }

  /** Counts one. @returns what takes it back */
  add(address: string): () => void {
    const made = { at: this.#now(), network: network(address) }
    this.#made.push(made)
    return () => {
      this.#made = this.#made.filter((one) => one !== made)
    }
  }
}
