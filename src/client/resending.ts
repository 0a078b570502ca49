import type { RecordId } from "../encoding/ids.ts"
import { AppError } from "../errors.ts"
import type { Awaiting } from "./awaiting.ts"
import { dismiss, sendAgain } from "./send-again.ts"
import type { SentAgain, Unsent } from "./views.ts"
import type { Workspace } from "./workspace.ts"

interface Open {
  version: number
  /** Records whose entries could not be sent, and perhaps can later. */
  readonly records: readonly RecordId[]
  /** See {@link Resending.#stateOf}. */
  readonly state: string
}

/** Sends again, beside all else, what a restore took back, and knows what stays on this device. */
export class Resending {
  readonly #work: Workspace
  readonly #awaiting: Awaiting
  readonly #tell: (unsent: Unsent) => void
  #unsent: Unsent = { left: [], elsewhere: [] }
  #run: Promise<unknown> = Promise.resolve()
  /** No run was through with everything so far. */
  #isOwed: boolean
  /** What keeps entries on this device that may be sent later, and how the roster stood then; null where nothing does. */
  #open: Open | null = null

  constructor(work: Workspace, awaiting: Awaiting, tell: (unsent: Unsent) => void) {
    this.#work = work
    this.#awaiting = awaiting
    this.#tell = tell
    this.#isOwed = work.session.restoredAt >= 0
  }

  /** Whether there is something to send that no run has tried so: none was through, or a record that entries wait for has moved. */
  get isOwed(): boolean {
    const open = this.#open
    if (this.#isOwed || open === null) return this.#isOwed
    const { version } = this.#work.roster
    if (version === open.version) return false
    open.version = version
    this.#isOwed = this.#stateOf(open.records) !== open.state
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
    // What a colleague has confirmed meanwhile is known here before anything is written on it.
    if (this.#open !== null) await this.#work.roster.syncAfresh().catch(() => {})
    if (this.isOwed) await this.run().catch(() => {})
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
    this.#open = this.#openAfter(sent)
    this.#show({ left: sent.left, elsewhere: [...this.#unsent.elsewhere, ...sent.elsewhere] })
    return sent
  }

  #openAfter({ waiting, left }: SentAgain): Open | null {
    const records = left.filter(({ isFinal }) => !isFinal).map(({ id }) => id)
    if (waiting === 0 && records.length === 0) return null
    return { version: this.#work.roster.version, records, state: this.#stateOf(records) }
  }

  /** How all records stand that an owner has to confirm, and these. */
  #stateOf(records: readonly RecordId[]): string {
    const { rows, refused, toAccept } = this.#work.roster
    const waiting = [...rows.values()].filter((row) => this.#awaiting.has(row)).map(({ id }) => id)
    const ids = [...new Set([...waiting, ...records])].sort()
    return ids.map((id) => `${id} ${rows.get(id)?.hash} ${refused.has(id)} ${toAccept.has(id)}`).join("\n")
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
