const againMs = 5_000

/** Whether the database takes what is written, as far as the last write told. While it does not, it is tried again by the clock, so that
 * nobody has to write in order to learn that there is room. */
export class StorageState {
  readonly #tryAgain: () => Promise<unknown>
  #refuses = false
  #timer: NodeJS.Timeout | null = null

  /** @param tryAgain writes something; it calls `took` or `refused` by itself */
  constructor(tryAgain: () => Promise<unknown>) {
    this.#tryAgain = tryAgain
  }

  get refuses(): boolean {
    return this.#refuses
  }

  refused(): void {
    this.#refuses = true
    this.#timer ??= setTimeout(() => {
      this.#timer = null
      this.#tryAgain().catch(() => this.refused())
    }, againMs).unref()
  }

  took(): void {
    this.#refuses = false
  }

  close(): void {
    if (this.#timer !== null) clearTimeout(this.#timer)
    this.#timer = null
    this.refused = () => {}
  }
}
