/** What the worker says to one question, asked again whenever it may have changed. */
import { useCallback, useEffect, useState } from "react"
import { AppError } from "../errors.ts"

interface Answer<T> {
  /** Null until the first answer. */
  readonly value: T | null
  readonly error: AppError | null
  /** Asks again; what is shown stays until then. */
  reload(): void
  /** Takes an answer that came another way. */
  take(value: T): void
}

/** @param key names the question: another key is another question, and what was answered before is gone. */
export function useAnswer<T>(key: string, ask: () => Promise<T>): Answer<T> {
  const [now, setNow] = useState<{ key: string; value: T | null; error: AppError | null }>({
    key,
    value: null,
    error: null,
  })
  const [turn, setTurn] = useState(0)
  const reload = useCallback(() => setTurn((before) => before + 1), [])
  const take = useCallback((value: T) => setNow({ key, value, error: null }), [key])

  // biome-ignore lint/correctness/useExhaustiveDependencies: `key` stands for `ask`, and `turn` asks again
  useEffect(() => {
    let gone = false
    ask().then(
      (value) => !gone && setNow({ key, value, error: null }),
      (cause: unknown) => {
        const error = cause instanceof AppError ? cause : new AppError("UNAVAILABLE", undefined, { cause })
        if (!gone) setNow((before) => ({ key, value: before.key === key ? before.value : null, error }))
      },
    )
    return () => {
      gone = true
    }
  }, [key, turn])

  return now.key === key ? { ...now, reload, take } : { value: null, error: null, reload, take }
}
