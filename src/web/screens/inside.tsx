import { Outlet, useRouterState } from "@tanstack/react-router"
import { useEffect, useRef } from "react"
import { maybeRemembered, useApp, useSession } from "../app.ts"
import { Frame } from "../parts/frame.tsx"
import { Locked } from "../parts/locked.tsx"
import { Redirect } from "../parts/redirect.tsx"
import { Restored } from "../parts/restored.tsx"
import { Unreachable } from "../parts/unreachable.tsx"

/** The gate to every page that needs somebody signed in: a stranger goes to the log-in page and comes back here. */
export function Inside() {
  const { work } = useApp()
  const account = useSession()
  const path = useRouterState({ select: (state) => state.location.pathname })
  const wasInside = useRef(false)

  useEffect(() => {
    if (account.state === "signed-in") wasInside.current = true
  }, [account.state])
  // biome-ignore lint/correctness/useExhaustiveDependencies: the word belongs to the page where it was earned
  useEffect(() => {
    if (work.get() === "saved") return () => work.set("")
  }, [path])

  if (account.state === "unreachable") return <Unreachable why={account.why} />
  if (account.state === "locked") return <Locked account={account} />
  if (account.state === "restored") return <Restored account={account} />
  if (account.state === "signed-out" || (account.state === "unknown" && !maybeRemembered())) {
    // After signing out on purpose the next one starts at home, not where this physician was.
    return <Redirect to="/login" next={wasInside.current ? undefined : path} />
  }
  return (
    <Frame account={account.state === "signed-in" ? account : null}>
      {account.state === "signed-in" ? <Outlet /> : null}
    </Frame>
  )
}
