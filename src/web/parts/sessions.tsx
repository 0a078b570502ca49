import { Button } from "@mantine/core"
import { useState } from "react"
import type { SessionView } from "../../client/views.ts"
import { useApp } from "../app.ts"
import { showWhen } from "../dates.ts"
import { useAnswer } from "../use-answer.ts"
import { useProblem } from "../use-problem.ts"
import { Dialog } from "./dialog.tsx"
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
  const [asked, setAsked] = useState<SessionView | null>(null)
  const close = () => setAsked(null)

  return (
    <section className={classes.sessions}>
      <h2>Signed in</h2>
      {error && <RetryNotice error={error} onRetry={reload} />}
      {!sessions && !error && <Skeleton lines={2} />}
      <ul className={classes.list}>
        {[...(sessions ?? [])].sort(byCurrent).map((session) => (
          <li key={session.id} className={classes.session}>
            <div>
              <p className={classes.what}>
                {kindOf(session)}
                {session.current && <span className={classes.here}> · this one</span>}
              </p>
              <p className={classes.when}>{timesOf(session)}</p>
            </div>
            {!session.current && (
              <Button size="xs" variant="default" className={classes.end ?? ""} onClick={() => setAsked(session)}>
                End session<Hidden> that started {showWhen(session.started)}</Hidden>
              </Button>
            )}
          </li>
        ))}
      </ul>
      {sessions && sessions.length > 1 && (
        <p className={classes.when}>
          If one of these is not you, end it and change your password. Ending a session takes nothing back from who has
          read something.
        </p>
      )}
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
      {asked && (
        <EndSession
          session={asked}
          onClose={close}
          onEnd={async () => {
            await api.endSession(asked.id)
            close()
            reload()
            onEnd()
          }}
        />
      )}
    </section>
  )
}

interface EndSessionProps {
  session: SessionView
  onClose: () => void
  onEnd: () => Promise<void>
}

function EndSession({ session, onClose, onEnd }: EndSessionProps) {
  const { problem, fail, clear } = useProblem()
  const [busy, setBusy] = useState(false)
  const end = async () => {
    setBusy(true)
    clear()
    try {
      await onEnd()
    } catch (error) {
      fail(error)
      setBusy(false)
    }
  }
  return (
    <Dialog
      title="End this session?"
      onClose={onClose}
      actions={
        <>
          <Button variant="default" onClick={onClose}>
            Cancel
          </Button>
          <Button loading={busy} onClick={() => void end()}>
            End session
          </Button>
        </>
      }
    >
      {kindOf(session)}: {timesOf(session)}. Whoever uses it has to sign in again.
      {problem && (
        <Notice tone="danger" live>
          {problem}
        </Notice>
      )}
    </Dialog>
  )
}

function kindOf({ carrier }: SessionView): string {
  return carrier === "browser" ? "Browser" : "Command line or program"
}

function timesOf({ started, lastActive }: SessionView): string {
  return `started ${showWhen(started)} · last active ${showWhen(lastActive)}`
}

function byCurrent(a: SessionView, b: SessionView): number {
  return Number(b.current) - Number(a.current) || b.lastActive - a.lastActive
}
