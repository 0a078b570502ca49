/** The home table's window on the roster: asks the worker for the pages in sight and keeps what was shown until the
 * answer is there. Lives above the screens, so that coming back from a record finds the same place. */
import type { HomePage, HomeRow, HomeSort, PageApi } from "../client/views.ts"
import { AppError } from "../errors.ts"
import { createStore, type Store } from "./store.ts"

export interface HomeView {
  readonly search: string
  readonly sort: HomeSort
  readonly descending: boolean
  readonly archived: boolean
  /** False until the first answer. */
  readonly loaded: boolean
  readonly total: number
  readonly matching: number
  /** How many patients have more diagnoses than a search looks at. */
  readonly partlySearched: number
  readonly complete: boolean
  readonly refused: HomePage["refused"]
  readonly waiting: number
  readonly pages: ReadonlyMap<number, readonly HomeRow[]>
  readonly error: AppError | null
}

export interface HomeList {
  readonly view: Store<HomeView>
  setSearch(search: string): void
  /** The same column twice turns the order round. */
  sortBy(sort: HomeSort): void
  setArchived(archived: boolean): void
  /** The rows in sight, by index; `end` is excluded. */
  want(start: number, end: number): void
  rosterMoved(complete: boolean | null): void
  clear(): void
}

const pageSize = 100
/** Rows beyond those in sight that are asked for with them, so that fast scrolling meets no gaps. */
const nearby = 60
const refreshEveryMs = 200

const empty: HomeView = {
  search: "",
  sort: "name",
  descending: false,
  archived: false,
  loaded: false,
  total: 0,
  matching: 0,
  partlySearched: 0,
  complete: false,
  refused: [],
  waiting: 0,
  pages: new Map(),
  error: null,
}

export function rowAt(view: HomeView, index: number): HomeRow | null {
  return view.pages.get(Math.floor(index / pageSize))?.[index % pageSize] ?? null
}

export function createHomeList(api: PageApi): HomeList {
  const view = createStore<HomeView>(empty)
  const inFlight = new Set<number>()
  let generation = 0
  let sight = { start: 0, end: pageSize }
  let timer: ReturnType<typeof setTimeout> | null = null

  const ask = (page: number): Promise<HomePage> => {
    const { search, sort, descending, archived } = view.get()
    return api.home({ search, sort, descending, archived, offset: page * pageSize, limit: pageSize })
  }
  const inSight = (): number[] => {
    const first = Math.floor(sight.start / pageSize)
    const last = Math.floor(Math.max(sight.start, sight.end - 1) / pageSize)
    return Array.from({ length: last - first + 1 }, (_, index) => first + index)
  }

  /** Asks for everything in sight and swaps it in at once. */
  async function refresh(): Promise<void> {
    generation += 1
    const mine = generation
    inFlight.clear()
    const wanted = inSight()
    try {
      const answers = await Promise.all(wanted.map(ask))
      const last = answers.at(-1)
      if (mine !== generation || !last) return
      const pages = new Map(answers.map((answer, index) => [wanted[index] ?? 0, answer.rows]))
      view.set({ ...view.get(), ...counts(last), pages, error: null, loaded: true })
    } catch (error) {
      if (mine === generation) view.set({ ...view.get(), error: asAppError(error), loaded: true })
    }
  }

  async function load(page: number): Promise<void> {
    const mine = generation
    inFlight.add(page)
    try {
      const answer = await ask(page)
      if (mine !== generation) return
      view.set({ ...view.get(), ...counts(answer), pages: new Map(view.get().pages).set(page, answer.rows) })
    } catch (error) {
      if (mine === generation) view.set({ ...view.get(), error: asAppError(error) })
    } finally {
      if (mine === generation) inFlight.delete(page)
    }
  }

  const change = (part: Partial<HomeView>): void => {
    view.set({ ...view.get(), ...part })
    sight = { start: 0, end: pageSize }
    void refresh()
  }

  return {
    view,
    setSearch: (search) => change({ search }),
    sortBy(sort) {
      const now = view.get()
      change({ sort, descending: now.sort === sort ? !now.descending : sort === "updated" })
    },
    setArchived: (archived) => change({ archived }),
    want(start, end) {
      sight = { start: Math.max(0, start - nearby), end: Math.min(end + nearby, view.get().matching || pageSize) }
      if (!view.get().loaded) {
        if (generation === 0) void refresh()
        return
      }
      for (const page of inSight()) {
        if (!view.get().pages.has(page) && !inFlight.has(page)) void load(page)
      }
    },
    rosterMoved(complete) {
      if (generation === 0 || (timer !== null && !complete)) return
      if (timer !== null) clearTimeout(timer)
      timer = setTimeout(
        () => {
          timer = null
          if (generation > 0) void refresh()
        },
        complete ? 0 : refreshEveryMs,
      )
    },
    clear() {
      generation = 0
      inFlight.clear()
      sight = { start: 0, end: pageSize }
      view.set(empty)
    },
  }
}

function counts({ total, matching, partlySearched, complete, refused, waiting }: HomePage): Partial<HomeView> {
  return { total, matching, partlySearched, complete, refused, waiting }
}

function asAppError(error: unknown): AppError {
  return error instanceof AppError ? error : new AppError("UNAVAILABLE", undefined, { cause: error })
}
