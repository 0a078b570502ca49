import { useApp } from "../app.ts"
import { useStore } from "../store.ts"
import classes from "./state-word.module.css"

/** One small word about what is kept and what is not. */
export function StateWord() {
  const app = useApp()
  const work = useStore(app.work)
  const online = useStore(app.online)
  const word = !online ? "Offline" : work === "saving" ? "Saving…" : work === "saved" ? "Saved" : ""
  return (
    <span role="status" className={classes.word} data-look={online ? undefined : "amber"}>
      {word}
    </span>
  )
}
