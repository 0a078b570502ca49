/** Follows the worker's events, the physician's activity and the other tabs. Started once per page. */
import type { ClientEvent } from "../client/views.ts"
import type { App, Session } from "./app.ts"

/** What tabs tell each other: never a name, never a key. */
type Word = "active" | Session["state"]

const activityEveryMs = 5_000
const retryEveryMs = 5_000
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
    } else if (event.type === "connection") app.online.set(event.online && navigator.onLine)
    else if (event.type === "storage") app.readOnly.set(event.readOnly)
    else if (event.type === "looked") app.looked.set(event.looked)
    else if (event.type === "invitations") app.invitations.set({ count: event.count })
    else if (event.type === "unsent") app.unsent.set(event.unsent)
    else if (event.type === "wiped") replaceWorker()
    else
      void app.api
        .tampered(null)
        .then((view) => app.tampered.set(view))
        .catch(() => {})
  }
  const replaceWorker = (): void => {
    if (app.session.get().state !== "signed-in" && app.replaceWorker()) void app.api.subscribe(onEvent).catch(() => {})
  }
  // Subscribing waits for the worker; a failure shows where the first call is made.
  void app.api.subscribe(onEvent).catch(() => {})
  void app.restore()
  const again = (): void => {
    if (app.session.get().state === "unreachable") void app.restore()
  }
  setInterval(again, retryEveryMs)
  addEventListener("online", again)

  let before = app.session.get().state
  app.session.subscribe(() => {
    const { state } = app.session.get()
    if (state === before) return
    const settled = (other: Session["state"]) => other !== "unknown" && other !== "unreachable"
    if (settled(before) && settled(state) && state !== heard) tell(state)
    before = state
    heard = null
  })

  tabs.addEventListener("message", (message: MessageEvent<unknown>) => {
    const word = message.data
    const { state } = app.session.get()
    if (word === "active" && state === "signed-in") void app.api.active().catch(() => {})
    if (word === "locked" && (state === "signed-in" || state === "restored")) {
      heard = "locked"
      void app.lock().catch(() => {})
    }
    if (word === "signed-out" && (state === "signed-in" || state === "restored" || state === "locked")) {
      heard = "signed-out"
      void app.signOut().catch(() => {})
    }
    // Signed in elsewhere: the session is shared, so this tab may pick it up, unless something is being typed here.
    if (word === "signed-in" && (state === "locked" || state === "signed-out") && !somethingTyped()) location.reload()
  })

  let last = 0
  const onActivity = (): void => {
    const { state } = app.session.get()
    if ((state !== "signed-in" && state !== "restored") || Date.now() - last < activityEveryMs) return
    last = Date.now()
    tell("active")
    void app.api.active().catch(() => {})
  }
  for (const kind of activityKinds) addEventListener(kind, onActivity, { passive: true, capture: true })
  addEventListener("online", () => app.online.set(true))
  addEventListener("offline", () => app.online.set(false))
}

function somethingTyped(): boolean {
  const fields = document.querySelectorAll<HTMLInputElement | HTMLTextAreaElement>("input, textarea")
  return [...fields].some((field) => !field.readOnly && field.value !== "")
}
