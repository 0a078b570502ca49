/** One action on many records at a time; it goes on while the physician looks at other pages. */
import type { ManyProgress, ManyReport, PageApi } from "../client/views.ts"
import { AppError } from "../errors.ts"
import { serverMissed } from "./form-errors.ts"
import type { RecordId } from "./record-id.ts"
import type { ShareOrder } from "./share-draft.ts"
import { createStore, type Store } from "./store.ts"

export type ManyKind = "share" | "accept" | "decline" | "confirm"

export interface ManyState {
  /** What runs, or ran last; null before the first. */
  readonly kind: ManyKind | null
  /** The records it is about. */
  readonly ids: readonly RecordId[]
  /** With whom they are shared, and how; null for anything else. */
  readonly order: ShareOrder | null
  readonly running: boolean
  readonly cancelling: boolean
  readonly done: number
  readonly total: number
  /** Records a second since the start. */
  readonly rate: number
  /** Seconds; null while nobody can tell. */
  readonly timeLeft: number | null
  readonly report: ManyReport | null
  /** What ended it before its end, or kept it from beginning; null again once the server that was missed is back. */
  readonly problem: ManyReport["problem"]
}

type Work = (progress: (progress: ManyProgress) => void) => Promise<ManyReport>

export interface Many {
  readonly state: Store<ManyState>
  /** @param order of sharing alone. Asked again with the same one, it goes on: what was reported stays until there is more to say.
   * @returns null where something else runs, or where nothing could be done: then `problem` says why. */
  start(kind: ManyKind, ids: readonly RecordId[], work: Work, order?: ShareOrder): Promise<ManyReport | null>
  cancel(): Promise<void>
  /** The server can be reached again. */
  serverIsBack(): void
  clear(): void
}

const idle: ManyState = {
  kind: null,
  ids: [],
  order: null,
  running: false,
  cancelling: false,
  done: 0,
  total: 0,
  rate: 0,
  timeLeft: null,
  report: null,
  problem: null,
}

export function createMany(api: PageApi): Many {
  const state = createStore<ManyState>(idle)
  let run = 0

  return {
    state,
    async start(kind, ids, work, order) {
      const before = state.get()
      if (before.running) return null
      run += 1
      const mine = run
      const started = performance.now()
      const set = (part: Partial<ManyState>): void => {
        if (mine === run) state.set({ ...state.get(), ...part })
      }
      const end = { running: false, cancelling: false, timeLeft: null }
      state.set({ ...idle, kind, ids, order: order ?? null, total: ids.length, running: true })
      try {
        const report = await work((progress) => {
          const seconds = (performance.now() - started) / 1000
          const rate = seconds > 0 ? progress.done / seconds : 0
          const left = progress.total - progress.done
          set({ ...progress, rate, timeLeft: seconds > 1 && rate > 0 ? left / rate : null })
        })
        set({ ...end, report, problem: report.problem })
        return report
      } catch (cause) {
        const { code, message } = cause instanceof AppError ? cause : new AppError("UNAVAILABLE")
        const report = order !== undefined && order === before.order ? before.report : null
        set({ ...end, report, problem: { code, message } })
        return null
      }
    },
    async cancel() {
      if (!state.get().running) return
      state.set({ ...state.get(), cancelling: true })
      await api.cancel()
    },
    serverIsBack() {
      const { problem } = state.get()
      if (problem && serverMissed(problem.code)) state.set({ ...state.get(), problem: null })
    },
    clear() {
      run += 1
      state.set(idle)
    },
  }
}
