import { count } from "../dates.ts"
import type { ManyKind, ManyState } from "../many.ts"
import classes from "./progress.module.css"
import { Progress } from "./progress.tsx"

const doing: Record<ManyKind, string> = {
  share: "Sharing",
  accept: "Accepting",
  decline: "Declining",
  confirm: "Confirming",
}

/** What works on many records just now. */
export function ManyProgressBar({ state, onCancel }: { state: ManyState; onCancel: () => void }) {
  const { kind, done, total, rate, timeLeft, cancelling } = state
  const label = kind ? doing[kind] : ""
  return (
    <>
      <Progress
        label={label}
        now={label}
        fraction={total > 0 ? done / total : 0}
        numbers={[
          `${done.toLocaleString()} of ${count(total, "record")}`,
          `${rate < 10 ? rate.toFixed(1) : Math.round(rate).toLocaleString()} a second`,
        ]}
        timeLeft={timeLeft}
        cancelling={cancelling}
        onCancel={onCancel}
      />
      <p className={classes.hint}>You can look at other pages meanwhile; only keep Healthcrypt open.</p>
    </>
  )
}
