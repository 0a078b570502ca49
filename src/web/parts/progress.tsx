import { Button } from "@mantine/core"
import { count } from "../dates.ts"
import classes from "./progress.module.css"

interface ProgressProps {
  /** The bar's name. */
  label: string
  /** What is at hand, above the bar. */
  now: string
  /** 0 … 1 */
  fraction: number
  /** What has been counted so far. */
  numbers: readonly string[]
  /** Seconds; null while nobody can tell. */
  timeLeft: number | null
  cancelling: boolean
  onCancel: () => void
}

/** A bar with numbers below it, and the way to stop. */
export function Progress({ label, now, fraction, numbers, timeLeft, cancelling, onCancel }: ProgressProps) {
  return (
    <section className={classes.progress} aria-label="Progress">
      <div className={classes.now}>
        <p className={classes.what}>{now}</p>
        <Button variant="default" size="xs" disabled={cancelling} onClick={onCancel}>
          {cancelling ? "Cancelling…" : "Cancel"}
        </Button>
      </div>
      <div
        className={classes.bar}
        role="progressbar"
        aria-label={label}
        aria-valuenow={Math.round(fraction * 100)}
        aria-valuemin={0}
        aria-valuemax={100}
      >
        <div className={classes.done} style={{ transform: `scaleX(${fraction})` }} />
      </div>
      <ul className={classes.numbers}>
        {numbers.map((number) => (
          <li key={number}>{number}</li>
        ))}
        {timeLeft !== null && <li>{timeText(timeLeft)} left</li>}
      </ul>
    </section>
  )
}

function timeText(seconds: number): string {
  if (seconds < 60) return count(Math.max(1, Math.ceil(seconds)), "second")
  return count(Math.ceil(seconds / 60), "minute")
}
