import type { ReactNode } from "react"
import classes from "./link-button.module.css"

/** A button within words: it looks like a link, and leads nowhere. */
export function LinkButton({ onClick, children }: { onClick: () => void; children: ReactNode }) {
  return (
    <button type="button" className={classes.link} onClick={onClick}>
      {children}
    </button>
  )
}
