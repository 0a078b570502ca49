import { Link, useRouterState } from "@tanstack/react-router"
import { Fragment } from "react"
import type { RecordState } from "../use-record.ts"
import { FalseKey } from "./false-key.tsx"
import { Heading } from "./heading.tsx"
import { KeptDraft } from "./kept-draft.tsx"
import classes from "./record-gate.module.css"
import { RetryNotice } from "./retry-notice.tsx"
import { Skeleton } from "./skeleton.tsx"
import { Tampered } from "./tampered.tsx"

interface RecordGateProps {
  now: Exclude<RecordState, { state: "ready" }>
  reload: () => void
}

/** What stands where a record would be while it is loading, when it may not be shown, and when it does not check. */
export function RecordGate({ now, reload }: RecordGateProps) {
  const left = useRouterState({ select: (state) => state.location.state.left }) === true
  if (now.state === "loading") return <Skeleton lines={6} heading />
  if (now.state === "tampered") {
    const { view, id } = now
    return view.by === null ? (
      <Tampered view={view} record={id} />
    ) : (
      <FalseKey id={id} view={view} by={view.by} onDone={reload} />
    )
  }
  if (now.state === "gone" || (left && now.error.code === "NOT_ALLOWED")) {
    return (
      <div className={classes.gone}>
        <Heading tab="Record">{left ? "You have left this record" : "You can no longer read this record"}</Heading>
        <p>
          {left
            ? "It is gone from your patients. What you wrote in it stays; an owner can invite you again."
            : "An owner has taken you off it, your time has ended, or you have left it. It is gone from your patients."}
        </p>
        {now.id && <KeptDraft id={now.id} />}
        <p>
          <Link to="/">Go to your patients</Link>
        </p>
      </div>
    )
  }
  if (now.error.is("UNAVAILABLE")) {
    return (
      <Fragment>
        <Heading tab="Record">This record can’t be shown now</Heading>
        <br />
        <RetryNotice error={now.error} onRetry={reload} />
        {now.error.code === "UNAVAILABLE_MEMORY" && now.id && (
          <p>
            <Link to="/records/$id/sharing" params={{ id: now.id }}>
              See who can read it
            </Link>
          </p>
        )}
      </Fragment>
    )
  }
  return (
    <div className={classes.gone}>
      <Heading tab="Not found">There is no record here for you</Heading>
      <p>{now.error.message}</p>
      {now.id && <KeptDraft id={now.id} />}
      <p>
        <Link to="/">Go to your patients</Link>
      </p>
    </div>
  )
}
