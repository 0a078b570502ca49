import { Button } from "@mantine/core"
import { Link } from "@tanstack/react-router"
import { useEffect, useState } from "react"
import type { ReaderView, WaitingRecord } from "../../client/views.ts"
import { useApp } from "../app.ts"
import { count } from "../dates.ts"
import type { ManyState } from "../many.ts"
import { ButtonLink } from "../parts/button-link.tsx"
import { Heading } from "../parts/heading.tsx"
import { LinkButton } from "../parts/link-button.tsx"
import { ManyProgressBar } from "../parts/many-progress.tsx"
import { Notice } from "../parts/notice.tsx"
import { RefusedList } from "../parts/refused-list.tsx"
import { RetryNotice } from "../parts/retry-notice.tsx"
import { Skeleton } from "../parts/skeleton.tsx"
import { WaitingList } from "../parts/waiting-list.tsx"
import type { RecordId } from "../record-id.ts"
import { joined } from "../shown.ts"
import { useStore } from "../store.ts"
import { useAnswer } from "../use-answer.ts"
import classes from "./confirm.module.css"

const atOnce = 10
const more = 200

/** After a restore of the server: all records of which this physician has to confirm who may read them. */
export function ConfirmScreen() {
  const { api, many } = useApp()
  const state = useStore(many.state)
  const { value, error, reload } = useAnswer("waiting", () => api.waiting())
  const [limit, setLimit] = useState(atOnce)
  const [chosen, setChosen] = useState<ReadonlySet<RecordId>>(new Set())
  // What is listed stays as it was looked at, until something has been done.
  // biome-ignore lint/correctness/useExhaustiveDependencies: once what runs has ended
  useEffect(() => {
    setChosen(new Set())
    reload()
  }, [state.running])

  const mine = value?.filter((one) => one.mine) ?? []
  const apart = mine.filter((one) => one.apart)
  const ready = mine.filter((one) => !one.apart)
  const ticked = ready.filter(({ id }) => chosen.has(id))
  const confirm = () => {
    const ids = ticked.map(({ id }) => id)
    void many.start("confirm", ids, (progress) => api.confirmMany(ticked, progress))
  }
  return (
    <div className={classes.page}>
      <Heading tab="Confirm readers">Confirm who can read your records</Heading>
      <p className={classes.lead}>
        The server was put back to an earlier state, so that whoever was removed since may be in a list again. Nothing
        can be written in these records before you have confirmed who can read them. Each then goes on under a fresh
        key, and nobody else can open what is written from then on.
      </p>
      {state.running ? (
        state.kind === "confirm" ? (
          <ManyProgressBar state={state} onCancel={() => void many.cancel()} />
        ) : (
          <p className={classes.lead}>Something else works on many records just now. Wait until it is done.</p>
        )
      ) : (
        <>
          <Outcome state={state} />
          {error && <RetryNotice error={error} onRetry={reload} />}
          {!value && !error && <Skeleton lines={6} />}
          {value && mine.length === 0 && <Nothing />}
          {apart.length > 0 && <Apart records={apart} limit={limit} onMore={() => setLimit(limit + more)} />}
          {ready.length > 0 && (
            <section>
              <h2>{apart.length > 0 ? "The others" : "Your records"}</h2>
              <p className={classes.lead}>Tick those in which everybody who is named shall read on.</p>
              <WaitingList records={ready} chosen={chosen} onChoose={setChosen} />
              <section className={classes.bar} aria-label="Selection">
                <p className={classes.count} role="status">
                  {ticked.length === 0 ? "Nothing is ticked yet" : `${count(ticked.length, "record")} ticked`}
                </p>
                {ticked.length < ready.length && (
                  <Button size="xs" variant="subtle" onClick={() => setChosen(new Set(ready.map(({ id }) => id)))}>
                    Tick all {ready.length.toLocaleString()}
                  </Button>
                )}
                {ticked.length > 0 && (
                  <>
                    <Button size="xs" variant="subtle" onClick={() => setChosen(new Set())}>
                      Clear
                    </Button>
                    <Button size="xs" onClick={confirm}>
                      Confirm {count(ticked.length, "record")}
                    </Button>
                  </>
                )}
              </section>
            </section>
          )}
        </>
      )}
    </div>
  )
}

function Nothing() {
  return (
    <div className={classes.nothing}>
      <p>No record waits for you.</p>
      <ButtonLink to="/" variant="default">
        Go to your patients
      </ButtonLink>
    </div>
  )
}

interface ApartProps {
  records: readonly WaitingRecord[]
  /** So many are shown. */
  limit: number
  onMore: () => void
}

/** Lists of which this device knows better: each is decided by itself. */
function Apart({ records, limit, onMore }: ApartProps) {
  const left = records.length - limit
  return (
    <section>
      <h2>To decide one by one</h2>
      <p className={classes.lead}>This device knows more of these lists than the server that was put back.</p>
      <ul className={classes.apart}>
        {records.slice(0, limit).map((record) => (
          <li key={record.id}>
            <Link to="/records/$id/sharing" params={{ id: record.id }}>
              {joined([record.lastName, record.firstName], ", ") || "(no name)"}
            </Link>
            <span>{whyApart(record)}</span>
          </li>
        ))}
      </ul>
      {left > 0 && (
        <LinkButton onClick={onMore}>
          Show {Math.min(left, more)} more of {left.toLocaleString()}
        </LinkButton>
      )}
    </section>
  )
}

function whyApart({ members }: WaitingRecord): string {
  const names = (which: readonly ReaderView[]) => which.map(({ colleague }) => colleague.username).join(", ")
  const back = members.filter(({ returned }) => returned)
  const changed = members.filter(({ keysChanged }) => keysChanged)
  if (back.length > 0) return `You or another owner had removed ${names(back)}, or given them less.`
  if (changed.length > 0) return `The keys of ${names(changed)} have changed since you verified them.`
  return "Somebody had been added, or given more."
}

/** What became of the last confirmation. */
function Outcome({ state: { kind, report, problem } }: { state: ManyState }) {
  if (kind !== "confirm") return null
  return (
    <>
      {report && (
        <Notice
          tone={report.refused.length > 0 ? "amber" : "plain"}
          live
          actions={
            <ButtonLink to="/" size="xs" variant="default">
              Go to your patients
            </ButtonLink>
          }
        >
          {report.cancelled && "Stopped. "}
          {count(report.done, "record")} confirmed
          {report.refused.length > 0 && `, ${report.refused.length.toLocaleString()} refused`}.
          {report.cancelled && " The others still wait."}
        </Notice>
      )}
      {problem && (
        <Notice tone="danger" live>
          {problem.message}
        </Notice>
      )}
      {report && report.refused.length > 0 && <RefusedList refused={report.refused} />}
    </>
  )
}
