/** Addresses. They carry record ids and nothing else of a patient. Every screen but the log-in page loads when needed. */
import { createRootRoute, createRoute, createRouter, Outlet } from "@tanstack/react-router"
import { useApp } from "./app.ts"
import { lazy } from "./lazy.ts"
import type { Merged } from "./merged.ts"
import { Fault } from "./parts/fault.tsx"
import { NotFound } from "./parts/not-found.tsx"
import { Tampered } from "./parts/tampered.tsx"
import { LoginScreen } from "./screens/login.tsx"
import type { ShareDraft, WayBack } from "./share-draft.ts"
import { useStore } from "./store.ts"

function Root() {
  const view = useStore(useApp().tampered)
  return view ? <Tampered view={view} /> : <Outlet />
}

const rootRoute = createRootRoute({ component: Root, notFoundComponent: NotFound })

const login = createRoute({ getParentRoute: () => rootRoute, path: "/login", component: LoginScreen })
const register = createRoute({
  getParentRoute: () => rootRoute,
  path: "/register",
  component: lazy(() => import("./screens/register.tsx"), "RegisterScreen"),
})
const recover = createRoute({
  getParentRoute: () => rootRoute,
  path: "/recover",
  component: lazy(() => import("./screens/recover.tsx"), "RecoverScreen"),
})

const reopen = createRoute({
  getParentRoute: () => rootRoute,
  path: "/reopen",
  component: lazy(() => import("./screens/reopen.tsx"), "ReopenScreen"),
})

/** Everything below needs somebody signed in; the gate shows the way there. */
const inside = createRoute({
  getParentRoute: () => rootRoute,
  id: "inside",
  component: lazy(() => import("./screens/inside.tsx"), "Inside"),
})
const home = createRoute({
  getParentRoute: () => inside,
  path: "/",
  component: lazy(() => import("./screens/home.tsx"), "HomeScreen"),
})
const newRecord = createRoute({
  getParentRoute: () => inside,
  path: "/records/new",
  component: lazy(() => import("./screens/new-record.tsx"), "NewRecordScreen"),
})
/** What all tabs of a record share: it is read once, and its identity strip stays. */
const record = createRoute({
  getParentRoute: () => inside,
  path: "/records/$id",
  component: lazy(() => import("./screens/record.tsx"), "RecordScreen"),
})
const overview = createRoute({
  getParentRoute: () => record,
  path: "/",
  component: lazy(() => import("./screens/record.tsx"), "OverviewTab"),
})
const history = createRoute({
  getParentRoute: () => record,
  path: "/history",
  component: lazy(() => import("./screens/history.tsx"), "HistoryTab"),
})
const sharing = createRoute({
  getParentRoute: () => record,
  path: "/sharing",
  component: lazy(() => import("./screens/sharing.tsx"), "SharingTab"),
})
const recordActivity = createRoute({
  getParentRoute: () => record,
  path: "/activity",
  component: lazy(() => import("./screens/activity.tsx"), "RecordActivityTab"),
})
const editRecord = createRoute({
  getParentRoute: () => inside,
  path: "/records/$id/edit",
  component: lazy(() => import("./screens/edit-record.tsx"), "EditRecordScreen"),
})
const version = createRoute({
  getParentRoute: () => inside,
  path: "/records/$id/history/$seq",
  component: lazy(() => import("./screens/record.tsx"), "VersionScreen"),
})
const share = createRoute({
  getParentRoute: () => inside,
  path: "/share",
  component: lazy(() => import("./screens/share.tsx"), "ShareScreen"),
})
const confirm = createRoute({
  getParentRoute: () => inside,
  path: "/confirm",
  component: lazy(() => import("./screens/confirm.tsx"), "ConfirmScreen"),
})
const kept = createRoute({
  getParentRoute: () => inside,
  path: "/kept",
  component: lazy(() => import("./screens/kept.tsx"), "KeptScreen"),
})
const invitations = createRoute({
  getParentRoute: () => inside,
  path: "/invitations",
  component: lazy(() => import("./screens/invitations.tsx"), "InvitationsScreen"),
})
const activity = createRoute({
  getParentRoute: () => inside,
  path: "/activity",
  component: lazy(() => import("./screens/activity.tsx"), "ActivityScreen"),
})
const colleagues = createRoute({
  getParentRoute: () => inside,
  path: "/colleagues",
  component: lazy(() => import("./screens/colleagues.tsx"), "ColleaguesScreen"),
})
const colleague = createRoute({
  getParentRoute: () => inside,
  path: "/colleagues/$username",
  component: lazy(() => import("./screens/colleague.tsx"), "ColleagueScreen"),
})
const importPage = createRoute({
  getParentRoute: () => inside,
  path: "/import",
  component: lazy(() => import("./screens/import.tsx"), "ImportScreen"),
})
const settings = createRoute({
  getParentRoute: () => inside,
  path: "/settings",
  component: lazy(() => import("./screens/settings.tsx"), "SettingsScreen"),
})

const routeTree = rootRoute.addChildren([
  login,
  register,
  recover,
  reopen,
  inside.addChildren([
    home,
    newRecord,
    record.addChildren([overview, history, sharing, recordActivity]),
    editRecord,
    version,
    importPage,
    share,
    confirm,
    kept,
    invitations,
    activity,
    colleagues,
    colleague,
    settings,
  ]),
])

export function createAppRouter() {
  return createRouter({ routeTree, defaultErrorComponent: Fault, defaultPreload: "intent", scrollRestoration: true })
}

declare module "@tanstack/react-router" {
  interface Register {
    router: ReturnType<typeof createAppRouter>
  }
  interface HistoryState {
    /** Where somebody wanted to go before the log-in page. */
    next?: string
    /** Set after a save that was put together with somebody else's. */
    merged?: Merged
    /** Set when the physician leaves a record: its page then says so. */
    left?: boolean
    /** What was being shared before a colleague had to be verified, and where. */
    back?: WayBack
    share?: ShareDraft
  }
}
