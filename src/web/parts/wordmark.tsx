import classes from "./wordmark.module.css"

export function Wordmark({ small = false }: { small?: boolean }) {
  return (
    <span className={classes.wordmark}>
      <svg width="24" height="24" viewBox="0 0 32 32" aria-hidden="true">
        <rect width="32" height="32" rx="7" className={classes.tile} />
        <path d="M13 7h6v6h6v6h-6v6h-6v-6H7v-6h6z" fill="#fff" />
        <circle cx="16" cy="15" r="2.2" className={classes.tile} />
        <path d="M15 16h2l.7 4h-3.4z" className={classes.tile} />
      </svg>
      <span className={small ? classes.small : undefined}>Healthcrypt</span>
    </span>
  )
}
