import { Button } from "@mantine/core"
import { useState } from "react"
import type { SessionView } from "../../client/views.ts"
import { useApp } from "../app.ts"
import { showWhen } from "../dates.ts"
import { messageOf } from "../form-errors.ts"
import { useAnswer } from "../use-answer.ts"
import { Hidden } from "./hidden.tsx"
import { Notice } from "./notice.tsx"
import { RetryNotice } from "./retry-notice.tsx"
import classes from "./sessions.module.css"
import { Skeleton } from "./skeleton.tsx"

/** Where this account is signed in just now. */
export function Sessions({ onEnd }: { onEnd: () => void }) {
  const { api } = useApp()
  const { value: sessions, error, reload } = useAnswer("sessions", () => api.sessions())
  const { value: devices } = useAnswer("devices", () => api.devices())
  const [problem, setProblem] = useState("")
  const [ending, setEnding] = useState<SessionView["id"] | null>(null)

  const end = async (id: SessionView["id"]) => {
    setEnding(id)
    setProblem("")
    try {
      await api.endSession(id)
      reload()
      onEnd()
    } catch (cause) {
      setProblem(messageOf(cause))
    }
    setEnding(null)
  }

  return (
    <section className={classes.sessions}>
      <h2>Signed in</h2>
      {error && <RetryNotice error={error} onRetry={reload} />}
      {!sessions && !error && <Skeleton lines={2} />}
      {problem && (
        <Notice tone="danger" live>
          {problem}
        </Notice>
      )}
      <ul className={classes.list}>
        {[...(sessions ?? [])].sort(byCurrent).map((session) => (
          <li key={session.id} className={classes.session}>
            <div>
              <p className={classes.what}>
                {session.carrier === "browser" ? "Browser" : "Command line or program"}
                {session.current && <span className={classes.here}> · this one</span>}
              </p>
              <p className={classes.when}>
                since {showWhen(session.started)} · last active {showWhen(session.lastActive)}
              </p>
            </div>
            {!session.current && (
              <Button size="xs" variant="default" loading={ending === session.id} onClick={() => void end(session.id)}>
                End session<Hidden> since {showWhen(session.started)}</Hidden>
              </Button>
            )}
          </li>
        ))}
      </ul>
      {devices && devices.length > 0 && (
        <>
          <h3 className={classes.devices}>Devices that have signed in</h3>
          <ul className={classes.list}>
            {devices.map(({ label, since, current }) => (
              <li key={`${label} ${since}`} className={classes.session}>
                <div>
                  <p className={classes.what}>
                    {label}
                    {current && <span className={classes.here}> · this one</span>}
                  </p>
                  <p className={classes.when}>since {showWhen(since)}</p>
                </div>
              </li>
            ))}
          </ul>
          <p className={classes.when}>
            Each device writes itself into this list, which only you can read. A program that means harm need not.
          </p>
        </>
      )}
      {sessions && sessions.length > 1 && (
        <p className={classes.when}>
          If one of these is not you, end it and change your password. Ending a session takes nothing back from who has
          read something.
        </p>
      )}
    </section>
  )
}

function byCurrent(a: SessionView, b: SessionView): number {
  return Number(b.current) - Number(a.current) || b.lastActive - a.lastActive
}
