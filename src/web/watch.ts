/** Follows the worker's events, the physician's activity and the other tabs. Started once per page. */
import type { ClientEvent } from "../client/views.ts"
import type { App } from "./app.ts"

/** What tabs tell each other: never a name, never a key. */
type Word = "active" | "locked" | "signed-out" | "signed-in"

const activityEveryMs = 5_000
const activityKinds = ["pointerdown", "pointermove", "keydown", "wheel", "touchstart"] as const

export function watch(app: App): void {
  const tabs = new BroadcastChannel("healthcrypt")
  const tell = (word: Word): void => tabs.postMessage(word)
  let heard: Word | null = null

  const onEvent = (event: ClientEvent): void => {
    if (event.type === "account") app.session.set(event.account)
    else if (event.type === "roster") app.home.rosterMoved(event.complete)
    else if (event.type === "record") {
      app.home.rosterMoved(null)
      for (const listener of app.recordChanged) listener(event.id)
    } else if (event.type === "connection") app.online.set(event.online)
    else void app.api.tampered(null).then((view) => app.tampered.set(view))
  }
  // Subscribing waits for the worker; a failure shows where the first call is made.
  void app.api.subscribe(onEvent).catch(() => {})
  void app.api.restore().then(
    (account) => app.session.set(account),
    () => app.session.set({ state: "signed-out" }),
  )

  let before = app.session.get().state
  app.session.subscribe(() => {
    const { state } = app.session.get()
    if (state === before) return
    const word = state === "unknown" ? null : state
    if (before !== "unknown" && word && word !== heard) tell(word)
    before = state
    heard = null
  })

  tabs.addEventListener("message", (message: MessageEvent<unknown>) => {
    const word = message.data
    const { state } = app.session.get()
    if (word === "active" && state === "signed-in") void app.api.active()
    if (word === "locked" && state === "signed-in") {
      heard = "locked"
      void app.lock()
    }
    if (word === "signed-out" && (state === "signed-in" || state === "locked")) {
      heard = "signed-out"
      void app.signOut()
    }
    // Signed in elsewhere: the session is shared, so this tab may pick it up, unless something is being typed here.
    if (word === "signed-in" && (state === "locked" || state === "signed-out") && !somethingTyped()) location.reload()
  })

  let last = 0
  const onActivity = (): void => {
    if (app.session.get().state !== "signed-in" || Date.now() - last < activityEveryMs) return
    last = Date.now()
    tell("active")
    void app.api.active().catch(() => {})
  }
  for (const kind of activityKinds) addEventListener(kind, onActivity, { passive: true, capture: true })
  addEventListener("online", () => app.online.set(true))
  addEventListener("offline", () => app.online.set(false))
}

function somethingTyped(): boolean {
  return [...document.querySelectorAll("input, textarea")].some(
    (field) => (field instanceof HTMLInputElement || field instanceof HTMLTextAreaElement) && field.value !== "",
  )
}
