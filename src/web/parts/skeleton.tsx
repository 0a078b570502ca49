import classes from "./skeleton.module.css"

/** Where lines will be, while they come. Never alone: the frame, and mostly a heading, is around it. */
export function Skeleton({ lines, heading = false }: { lines: number; heading?: boolean }) {
  return (
    <div className={classes.skeleton} role="status" aria-label="Loading">
      {heading && <div className={classes.heading} />}
      {Array.from({ length: lines }, (_, index) => (
        // biome-ignore lint/suspicious/noArrayIndexKey: the lines are alike
        <div key={index} className={classes.line} />
      ))}
    </div>
  )
}
