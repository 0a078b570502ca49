/** What every screen shares: the worker, and the few values that change under it. Nothing decrypted outlives a lock. */
import { createContext, use } from "react"
import type { Account, PageApi, TamperedView, Unsent } from "../client/views.ts"
import type { Backend } from "./backend.ts"
import { createHomeList, type HomeList } from "./home-list.ts"
import { createImports, type Imports } from "./imports.ts"
import { createMany, type Many } from "./many.ts"
import type { RecordId } from "./record-id.ts"
import { createStore, type Store, useStore } from "./store.ts"

/** "unknown" until the worker has said whether a session is remembered; "unreachable" when nobody could say. */
export type Session = Account | { readonly state: "unknown" } | { readonly state: "unreachable"; readonly why: string }

type Work = "" | "saving" | "saved"

/** Records that were ticked at home, to do something with all of them. */
export interface Selection {
  readonly on: boolean
  /** With the name that the list showed. */
  readonly ids: ReadonlyMap<RecordId, string>
}

export const nothingSelected: Selection = { on: false, ids: new Map() }

export interface App {
  readonly api: PageApi
  /** After a lock or a sign-out: a fresh worker, which has seen nothing. */
  readonly replaceWorker: () => boolean
  readonly session: Store<Session>
  /** Whether somebody was signed in here whose session has ended since, other than by signing out here. */
  readonly ended: Store<boolean>
  readonly online: Store<boolean>
  /** Whether the server says that it can store nothing. */
  readonly readOnly: Store<boolean>
  /** False where part of what is new could not be checked, because the server did not answer. */
  readonly looked: Store<boolean>
  /** Set when the practice as a whole did not check: nothing else is shown then. */
  readonly tampered: Store<TamperedView | null>
  readonly work: Store<Work>
  readonly home: HomeList
  readonly imports: Imports
  readonly many: Many
  readonly selection: Store<Selection>
  /** How many wait; a fresh object whenever the worker has heard of a change. */
  readonly invitations: Store<{ readonly count: number }>
  /** Entries that a restore took back and that could not be sent again. */
  readonly unsent: Store<Unsent>
  /** Called before a lock or a sign-out, so that what is being typed is sealed first. */
  readonly flushers: Set<() => Promise<void>>
  /** Which record changed, for whoever shows it. */
  readonly recordChanged: Set<(id: string) => void>
  /** Asks the worker for a remembered session; never fails. */
  restore(): Promise<void>
  lock(): Promise<void>
  signOut(): Promise<void>
}

const nothingUnsent: Unsent = { left: [], elsewhere: [] }

const hintKey = "healthcrypt-session"

/** Whether somebody may still be signed in here: no secret, only spares a stranger the wait for the worker. */
export function maybeRemembered(): boolean {
  return localStorage.getItem(hintKey) === "1"
}

export function createApp({ api, replace }: Backend): App {
  const session = createStore<Session>({ state: "unknown" })
  const flushers = new Set<() => Promise<void>>()
  const home = createHomeList(api)
  const imports = createImports(api)
  const many = createMany(api)
  const selection = createStore(nothingSelected)
  const invitations = createStore({ count: 0 })
  const unsent = createStore(nothingUnsent)
  const online = createStore(true)
  const ended = createStore(false)
  const flush = () => Promise.allSettled([...flushers].map((run) => run()))

  session.subscribe(() => {
    const { state } = session.get()
    if (state === "unknown" || state === "unreachable") return
    if (state === "signed-out") localStorage.removeItem(hintKey)
    else {
      localStorage.setItem(hintKey, "1")
      ended.set(false)
    }
    if (state !== "signed-in") {
      home.clear()
      imports.clear()
      many.clear()
      selection.set(nothingSelected)
      invitations.set({ count: 0 })
      unsent.set(nothingUnsent)
    }
  })

  online.subscribe(() => {
    if (online.get()) many.serverIsBack()
  })

  return {
    api,
    replaceWorker: replace,
    session,
    ended,
    online,
    readOnly: createStore(false),
    looked: createStore(true),
    tampered: createStore<TamperedView | null>(null),
    work: createStore<Work>(""),
    home,
    imports,
    many,
    selection,
    invitations,
    unsent,
    flushers,
    recordChanged: new Set(),
    async restore() {
      if (!maybeRemembered()) return session.set({ state: "signed-out" })
      try {
        const account = await api.restore()
        ended.set(account.state === "signed-out")
        session.set(account)
      } catch (error) {
        const why = error instanceof Error ? error.message : ""
        if (session.get().state !== "signed-in") session.set({ state: "unreachable", why })
      }
    },
    async lock() {
      await flush()
      await api.lock()
    },
    async signOut() {
      await flush()
      await api.signOut()
    },
  }
}

const AppContext = createContext<App | null>(null)
export const AppProvider = AppContext.Provider

export function useApp(): App {
  const app = use(AppContext)
  if (!app) throw new TypeError("useApp needs an AppProvider above it")
  return app
}

export function useSession(): Session {
  return useStore(useApp().session)
}
