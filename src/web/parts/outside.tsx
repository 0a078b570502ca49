import { createContext, type ReactNode, use } from "react"
import classes from "./outside.module.css"
import { Wordmark } from "./wordmark.tsx"

/** Whether a frame is there already: then only the column is drawn. */
export const InsideFrame = createContext(false)

/** The quiet page around log-in, registration and recovery: the name above, one column, one honest line below. */
export function Outside({ wide = false, children }: { wide?: boolean; children: ReactNode }) {
  if (use(InsideFrame)) return <div className={classes.column}>{children}</div>
  return (
    <div className={classes.page}>
      <header className={classes.top}>
        <Wordmark />
      </header>
      <main className={classes.main} data-wide={wide || undefined}>
        {children}
      </main>
      <footer className={classes.foot}>Encrypted on this device before it is stored.</footer>
    </div>
  )
}
