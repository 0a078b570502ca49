import { Link } from "@tanstack/react-router"
import type { RecordId } from "../record-id.ts"
import classes from "./record-tabs.module.css"

const tabs = [
  { to: "/records/$id", label: "Overview" },
  { to: "/records/$id/history", label: "History" },
  { to: "/records/$id/sharing", label: "Sharing" },
  { to: "/records/$id/activity", label: "Activity" },
] as const

export type RecordTab = (typeof tabs)[number]["label"]

export function RecordTabs({ id, current }: { id: RecordId; current: RecordTab }) {
  return (
    <nav aria-label="This record" data-tabs>
      <ul className={classes.tabs}>
        {tabs.map(({ to, label }) => (
          <li key={to}>
            <Link
              to={to}
              params={{ id }}
              className={classes.tab}
              activeProps={{}}
              activeOptions={{ exact: true }}
              aria-current={label === current ? "page" : undefined}
            >
              {label}
            </Link>
          </li>
        ))}
      </ul>
    </nav>
  )
}
