/** What went wrong with the last attempt. That the server could not be reached goes away by itself once it can be again. */
import { useCallback, useEffect, useState } from "react"
import { AppError } from "../errors.ts"
import { useApp } from "./app.ts"
import { messageOf, serverMissed } from "./form-errors.ts"
import { useStore } from "./store.ts"

interface Problem {
  /** "" where there is none. */
  readonly problem: string
  /** @param words what to say of it; left out, its own message. */
  readonly fail: (error: unknown, words?: string) => void
  readonly clear: () => void
}

const none = { words: "", passing: false }

export function useProblem(): Problem {
  const online = useStore(useApp().online)
  const [{ words }, setNow] = useState(none)
  useEffect(() => {
    if (online) setNow((now) => (now.passing ? none : now))
  }, [online])
  const fail = useCallback((error: unknown, said = messageOf(error)) => {
    setNow({ words: said, passing: error instanceof AppError && serverMissed(error.code) })
  }, [])
  const clear = useCallback(() => setNow(none), [])
  return { problem: words, fail, clear }
}
