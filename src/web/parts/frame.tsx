import IconActivity from "@tabler/icons-react/dist/esm/icons/IconActivity.mjs"
import IconMail from "@tabler/icons-react/dist/esm/icons/IconMail.mjs"
import IconSettings from "@tabler/icons-react/dist/esm/icons/IconSettings.mjs"
import IconStethoscope from "@tabler/icons-react/dist/esm/icons/IconStethoscope.mjs"
import IconUsers from "@tabler/icons-react/dist/esm/icons/IconUsers.mjs"
import { Link, useRouterState } from "@tanstack/react-router"
import type { ReactNode } from "react"
import type { Account } from "../../client/views.ts"
import { useApp } from "../app.ts"
import { useStore } from "../store.ts"
import classes from "./frame.module.css"
import { Hidden } from "./hidden.tsx"
import { Notice } from "./notice.tsx"
import { InsideFrame } from "./outside.tsx"
import { PhysicianMenu } from "./physician-menu.tsx"
import { SearchBox } from "./search-box.tsx"
import { Skeleton } from "./skeleton.tsx"
import { StateWord } from "./state-word.tsx"
import { Wordmark } from "./wordmark.tsx"

const places = [
  { to: "/", label: "Patients", icon: IconUsers },
  { to: "/invitations", label: "Invitations", icon: IconMail },
  { to: "/colleagues", label: "Colleagues", icon: IconStethoscope },
  { to: "/activity", label: "Activity", icon: IconActivity },
  { to: "/settings", label: "Settings", icon: IconSettings },
] as const

/** Pages that are reached from another place belong to it. */
const under: readonly (readonly [beginning: string, place: string])[] = [
  ["/records", "/"],
  ["/import", "/"],
  ["/share", "/"],
  ["/colleagues", "/colleagues"],
]

interface FrameProps {
  /** Null while the worker has not answered yet: the frame is there at once. */
  account: Extract<Account, { state: "signed-in" }> | null
  children: ReactNode
}

export function Frame({ account, children }: FrameProps) {
  const path = useRouterState({ select: (state) => state.location.pathname })
  const here = under.find(([beginning]) => path.startsWith(beginning))?.[1] ?? path
  return (
    <div className={classes.frame}>
      <a className={classes.skip} href="#main">
        Skip to the page
      </a>
      <nav className={classes.rail} aria-label="Main">
        <div className={classes.mark}>
          <Wordmark small />
        </div>
        <ul className={classes.places}>
          {places.map(({ to, label, icon: PlaceIcon }) => (
            <li key={to}>
              <Link to={to} className={classes.place} activeProps={{}} aria-current={to === here ? "page" : undefined}>
                <PlaceIcon size={20} stroke={1.75} aria-hidden="true" />
                <span>{label}</span>
                {to === "/invitations" && <Waiting />}
              </Link>
            </li>
          ))}
        </ul>
      </nav>
      <header className={classes.top}>
        <SearchBox />
        <StateWord />
        {account ? <PhysicianMenu account={account} /> : <span className={classes.nobody} />}
      </header>
      <main id="main" className={classes.main} tabIndex={-1}>
        <ServerState />
        {account ? <InsideFrame value={true}>{children}</InsideFrame> : <Skeleton lines={8} heading />}
      </main>
    </div>
  )
}

/** What cannot be done or known now, before anybody types in vain. */
function ServerState() {
  const app = useApp()
  const readOnly = useStore(app.readOnly)
  const looked = useStore(app.looked)
  return (
    <div role="status" className={classes.serverState}>
      {readOnly && <Notice tone="amber">The server cannot store anything right now: you can read, not write.</Notice>}
      {!looked && (
        <Notice tone="amber">
          The server did not answer a question about what is new. What you see may not be the newest, and nothing can be
          saved until it does.
        </Notice>
      )}
    </div>
  )
}

function Waiting() {
  const { count } = useStore(useApp().invitations)
  if (count === 0) return null
  return (
    <span className={classes.waiting}>
      {count > 999 ? "999+" : count}
      <Hidden> waiting</Hidden>
    </span>
  )
}
