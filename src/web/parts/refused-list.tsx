import { Link } from "@tanstack/react-router"
import { useState } from "react"
import type { ManyReport } from "../../client/views.ts"
import { count } from "../dates.ts"
import { LinkButton } from "./link-button.tsx"
import classes from "./refused-list.module.css"

const firstLook = 5

interface Reason {
  readonly message: string
  readonly ids: ManyReport["refused"][number]["id"][]
}

/** What was not done, by reason: hundreds of records mostly share one.
 * @param open whether the physician can open these records */
export function RefusedList({ refused, open = true }: { refused: ManyReport["refused"]; open?: boolean }) {
  const reasons = new Map<string, Reason>()
  for (const { id, code, message } of refused) {
    const reason = reasons.get(code) ?? { message, ids: [] }
    reason.ids.push(id)
    reasons.set(code, reason)
  }
  return (
    <ul className={classes.reasons}>
      {[...reasons].map(([code, { message, ids }]) => (
        <li key={code}>
          <p>
            {count(ids.length, "record")}: {message} <span className={classes.code}>{code}</span>
          </p>
          {open && <Ids ids={ids} />}
        </li>
      ))}
    </ul>
  )
}

function Ids({ ids }: { ids: Reason["ids"] }) {
  const [all, setAll] = useState(false)
  const shown = all ? ids : ids.slice(0, firstLook)
  return (
    <p className={classes.ids}>
      {shown.map((id) => (
        <Link key={id} to="/records/$id" params={{ id }}>
          record {id.slice(0, 6)}
        </Link>
      ))}
      {ids.length > shown.length && (
        <LinkButton onClick={() => setAll(true)}>and {(ids.length - shown.length).toLocaleString()} more</LinkButton>
      )}
    </p>
  )
}
