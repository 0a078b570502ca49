import type { Colleague } from "../../client/views.ts"
import classes from "./verified-mark.module.css"

const words = { verified: "Verified", unverified: "Not verified", changed: "Key changed" } as const

/** Green for "verified" and nothing else. */
export function VerifiedMark({ state }: { state: Colleague["state"] }) {
  return (
    <span className={classes.mark} data-state={state}>
      {words[state]}
    </span>
  )
}

/** The username that was verified; what they call themself stands beside it, never instead. */
export function ColleagueName({ colleague, you = false }: { colleague: Colleague; you?: boolean }) {
  return (
    <span className={classes.who}>
      <strong className={classes.username}>{colleague.username}</strong>
      {colleague.name && <span className={classes.name}>{colleague.name}</span>}
      {you ? <span className={classes.name}>you</span> : <VerifiedMark state={colleague.state} />}
    </span>
  )
}
