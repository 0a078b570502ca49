import { type ActivityLine, countByDay } from "../activity-lines.ts"
import { count, showDate } from "../dates.ts"
import classes from "./activity-chart.module.css"

const height = 56
const step = 10

/** How much happened on which day: the words say the same to whoever can't see it.
 * @param from the first day, YYYY-MM-DD; the last one is `to` */
export function ActivityChart({ items, from, to }: { items: readonly ActivityLine[]; from: string; to: string }) {
  const { bars, days } = countByDay(items, from, to)
  const most = bars.reduce((best, bar) => (bar.count > best.count ? bar : best), { day: from, count: 0 })
  const unit = days === 1 ? "a day" : `every ${days} days`
  const words =
    `Events ${unit} from ${showDate(from)} to ${showDate(to)}: ${count(items.length, "event")} in all` +
    (most.count > 0 ? `, most of them (${most.count}) ${days === 1 ? "on" : "from"} ${showDate(most.day)}.` : ".")
  // Of the page's whole width, however few they are: no bar becomes broader than it would among 36.
  const width = step * Math.min(0.8, bars.length / 45)
  const scale = most.count > 0 ? height / most.count : 0
  return (
    <figure className={classes.chart}>
      <figcaption className={classes.caption}>
        Events {unit}
        {most.count > 0 && `; the tallest bar stands for ${most.count.toLocaleString()}`}
      </figcaption>
      <svg
        className={classes.bars}
        viewBox={`0 0 ${bars.length * step} ${height}`}
        preserveAspectRatio="none"
        role="img"
        aria-label={words}
      >
        {bars.map((bar, index) => (
          <rect
            key={bar.day}
            x={index * step + (step - width) / 2}
            y={height - bar.count * scale}
            width={width}
            height={bar.count * scale}
            className={classes.bar}
          >
            <title>{`${showDate(bar.day)}: ${bar.count}`}</title>
          </rect>
        ))}
      </svg>
      <div className={classes.axis} aria-hidden="true">
        <span>{showDate(from)}</span>
        {bars.length > 1 && <span>{showDate(to)}</span>}
      </div>
    </figure>
  )
}
