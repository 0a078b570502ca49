/** One action on many records at a time; it goes on while the physician looks at other pages. */
import type { ManyProgress, ManyReport, PageApi } from "../client/views.ts"
import { messageOf } from "./form-errors.ts"
import { createStore, type Store } from "./store.ts"

export type ManyKind = "share" | "accept" | "decline"

export interface ManyState {
  /** What runs, or ran last; null before the first. */
  readonly kind: ManyKind | null
  readonly running: boolean
  readonly cancelling: boolean
  readonly done: number
  readonly total: number
  /** Records a second since the start. */
  readonly rate: number
  /** Seconds; null while nobody can tell. */
  readonly timeLeft: number | null
  readonly report: ManyReport | null
  /** Why nothing was done at all, or "". */
  readonly problem: string
}

type Work = (progress: (progress: ManyProgress) => void) => Promise<ManyReport>

export interface Many {
  readonly state: Store<ManyState>
  /** @returns null where something else runs, or where nothing could be done: then `problem` says why. */
  start(kind: ManyKind, total: number, work: Work): Promise<ManyReport | null>
  cancel(): Promise<void>
  clear(): void
}

const idle: ManyState = {
  kind: null,
  running: false,
  cancelling: false,
  done: 0,
  total: 0,
  rate: 0,
  timeLeft: null,
  report: null,
  problem: "",
}

export function createMany(api: PageApi): Many {
  const state = createStore<ManyState>(idle)
  let run = 0

  return {
    state,
    async start(kind, total, work) {
      if (state.get().running) return null
      run += 1
      const mine = run
      const started = performance.now()
      const set = (part: Partial<ManyState>): void => {
        if (mine === run) state.set({ ...state.get(), ...part })
      }
      state.set({ ...idle, kind, total, running: true })
      try {
        const report = await work((progress) => {
          const seconds = (performance.now() - started) / 1000
          const rate = seconds > 0 ? progress.done / seconds : 0
          const left = progress.total - progress.done
          set({ ...progress, rate, timeLeft: seconds > 1 && rate > 0 ? left / rate : null })
        })
        set({ report, running: false, cancelling: false, timeLeft: null })
        return report
      } catch (error) {
        set({ problem: messageOf(error), running: false, cancelling: false, timeLeft: null })
        return null
      }
    },
    async cancel() {
      if (!state.get().running) return
      state.set({ ...state.get(), cancelling: true })
      await api.cancelMany()
    },
    clear() {
      run += 1
      state.set(idle)
    },
  }
}
