/** One import at a time; it goes on while the physician looks at other pages, and lock or sign-out forget its report. */
import type { ImportReport, PageApi } from "../client/views.ts"
import { AppError } from "../errors.ts"
import { createStore, type Store } from "./store.ts"

export interface ImportState {
  readonly running: boolean
  readonly cancelling: boolean
  /** Name of the file being taken in. */
  readonly file: string
  readonly filesDone: number
  readonly filesTotal: number
  readonly resourcesDone: number
  /** 0 … 1, weighed by file size. */
  readonly fraction: number
  /** Resources a second since the start. */
  readonly rate: number
  /** Seconds; null while nobody can tell. */
  readonly timeLeft: number | null
  readonly reports: readonly ImportReport[]
}

export interface Imports {
  readonly state: Store<ImportState>
  /** @param asNew into no record that was there before */
  start(files: readonly File[], asNew: boolean): Promise<void>
  cancel(): Promise<void>
  clear(): void
}

const idle: ImportState = {
  running: false,
  cancelling: false,
  file: "",
  filesDone: 0,
  filesTotal: 0,
  resourcesDone: 0,
  fraction: 0,
  rate: 0,
  timeLeft: null,
  reports: [],
}

export function createImports(api: PageApi): Imports {
  const state = createStore<ImportState>(idle)
  let run = 0

  return {
    state,
    async start(files, asNew) {
      if (state.get().running || files.length === 0) return
      run += 1
      const mine = run
      const started = performance.now()
      const bytesTotal = files.reduce((sum, file) => sum + file.size, 0) || 1
      let bytesDone = 0
      let resourcesBefore = 0
      const set = (part: Partial<ImportState>): void => {
        if (mine === run) state.set({ ...state.get(), ...part })
      }
      const moved = (bytes: number, resourcesDone: number): void => {
        const seconds = (performance.now() - started) / 1000
        const fraction = Math.min(1, bytes / bytesTotal)
        const timeLeft = seconds > 1 && fraction > 0.02 ? (seconds / fraction) * (1 - fraction) : null
        set({ resourcesDone, fraction, rate: seconds > 0 ? resourcesDone / seconds : 0, timeLeft })
      }

      state.set({ ...idle, running: true, filesTotal: files.length })
      for (const [index, file] of files.entries()) {
        if (mine !== run) return
        if (state.get().cancelling) {
          set({ reports: [...state.get().reports, notTaken(file.name)] })
          continue
        }
        set({ file: file.name, filesDone: index })
        const stopped = () => state.get().cancelling || mine !== run
        const made = state.get().reports.flatMap(({ records }) => records.map(({ id }) => id))
        const among = asNew ? made : null
        const report = await takeOne(api, file, stopped, among, ({ resourcesDone, resourcesTotal }) => {
          const part = resourcesTotal > 0 ? resourcesDone / resourcesTotal : 0
          moved(bytesDone + part * file.size, resourcesBefore + resourcesDone)
        })
        bytesDone += file.size
        resourcesBefore += report.resources
        moved(bytesDone, resourcesBefore)
        set({ filesDone: index + 1, reports: [...state.get().reports, report] })
      }
      set({ running: false, cancelling: false, timeLeft: null })
    },
    async cancel() {
      if (!state.get().running) return
      state.set({ ...state.get(), cancelling: true })
      await api.cancel()
    },
    clear() {
      run += 1
      state.set(idle)
    },
  }
}

async function takeOne(
  api: PageApi,
  file: File,
  stopped: () => boolean,
  among: Parameters<PageApi["importFile"]>[3],
  progress: Parameters<PageApi["importFile"]>[2],
): Promise<ImportReport> {
  try {
    const bytes = new Uint8Array(await file.arrayBuffer())
    // What was cancelled while the file was read has nothing to stop in the worker yet.
    return stopped() ? notTaken(file.name) : await api.importFile(file.name, bytes, progress, among)
  } catch (error) {
    const { code, message } = error instanceof AppError ? error : new AppError("UNAVAILABLE")
    return { ...notTaken(file.name), outcome: "refused", code, message }
  }
}

function notTaken(file: string): ImportReport {
  return {
    file,
    outcome: "cancelled",
    records: [],
    resources: 0,
    added: 0,
    changed: 0,
    apart: 0,
    leftOut: 0,
    notUnderstood: [],
  }
}
