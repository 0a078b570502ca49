import type { ReactNode } from "react"
import classes from "./notice.module.css"

type Tone = "plain" | "amber" | "danger"

/** A line that wants to be read: amber for "look here", red for danger alone. `live` reads it out when it appears. */
export function Notice({ tone = "plain", live = false, children, actions }: NoticeProps) {
  return (
    <div className={classes.notice} data-tone={tone} role={live ? "alert" : undefined}>
      <div className={classes.words}>{children}</div>
      {actions && <div className={classes.actions}>{actions}</div>}
    </div>
  )
}

interface NoticeProps {
  tone?: Tone
  live?: boolean
  children: ReactNode
  actions?: ReactNode
}
