import { AppError } from "../errors.ts"
import type { Awaiting } from "./awaiting.ts"
import { dismiss, sendAgain } from "./send-again.ts"
import type { SentAgain, Unsent } from "./views.ts"
import type { Workspace } from "./workspace.ts"

/** Sends again, beside all else, what a restore took back, and knows what stays on this device. */
export class Resending {
  readonly #work: Workspace
  readonly #awaiting: Awaiting
  readonly #tell: (unsent: Unsent) => void
  #unsent: Unsent = { left: [], elsewhere: [] }
  #run: Promise<unknown> = Promise.resolve()
  /** No run was through with everything so far. */
  #isOwed: boolean

  constructor(work: Workspace, awaiting: Awaiting, tell: (unsent: Unsent) => void) {
    this.#work = work
    this.#awaiting = awaiting
    this.#tell = tell
    this.#isOwed = work.session.restoredAt >= 0
  }

  get isOwed(): boolean {
    return this.#isOwed
  }

  /** @throws as {@link sendAgain} */
  run(): Promise<SentAgain> {
    const run = this.#send()
    this.#run = run.catch(() => {})
    return run
  }

  /** Waits until everything was sent again that can be: what is written before that would seem to be newer than all of it. */
  async settled(): Promise<void> {
    await this.#run
    if (this.#isOwed) await this.run().catch(() => {})
  }

  /** Forgets what stays on this device, and was taken out or is not needed any more. What would still be sent stays. */
  async dismiss(keys: readonly string[]): Promise<void> {
    const { left, elsewhere } = this.#unsent
    const gone = left.filter(({ key, isFinal }) => isFinal && keys.includes(key))
    await dismiss(
      this.#work,
      gone.map(({ key }) => key),
    )
    this.#show({
      left: left.filter((one) => !gone.includes(one)),
      elsewhere: elsewhere.filter(({ key }) => !keys.includes(key)),
    })
  }

  async #send(): Promise<SentAgain> {
    this.#isOwed = true
    await this.#awaiting.look()
    const sent = await sendAgain(this.#work)
    this.#isOwed = false
    this.#show({ left: sent.left, elsewhere: [...this.#unsent.elsewhere, ...sent.elsewhere] })
    return sent
  }

  #show(unsent: Unsent): void {
    this.#unsent = unsent
    this.#tell(unsent)
  }
}

/** What ends more than sending again. */
export function endsMore(error: unknown): boolean {
  return !(error instanceof AppError) || error.is("TAMPERED") || error.code === "NOT_ALLOWED_SESSION"
}
