/** What is being typed, kept sealed by the worker while it is typed, so that lock and session end lose nothing. */
import { useCallback, useEffect, useRef, useState } from "react"
import { useApp } from "./app.ts"

const keepAfterMs = 400

export interface Draft {
  /** Schedules `value` to be sealed; null drops what is kept. */
  keep(value: string | null): void
  /** Seals at once what is still waiting. */
  flush(): Promise<void>
  drop(): Promise<void>
}

export function useDraft(name: string): Draft {
  const { api, flushers } = useApp()
  const waiting = useRef<{ value: string | null; timer: ReturnType<typeof setTimeout> } | null>(null)

  const flush = useCallback(async () => {
    const now = waiting.current
    if (!now) return
    clearTimeout(now.timer)
    waiting.current = null
    if (now.value === null) await api.dropDraft(name)
    else await api.keepDraft(name, now.value)
  }, [api, name])

  const keep = useCallback(
    (value: string | null) => {
      if (waiting.current) clearTimeout(waiting.current.timer)
      // A lock may come between: then the flush before it has already sealed this.
      waiting.current = { value, timer: setTimeout(() => void flush().catch(() => {}), keepAfterMs) }
    },
    [flush],
  )

  const drop = useCallback(async () => {
    if (waiting.current) clearTimeout(waiting.current.timer)
    waiting.current = null
    await api.dropDraft(name)
  }, [api, name])

  useEffect(() => {
    flushers.add(flush)
    return () => {
      flushers.delete(flush)
      void flush().catch(() => {})
    }
  }, [flush, flushers])

  return { keep, flush, drop }
}

/** Reads a kept draft once. "loading" first; null where there is none. */
export function useKeptDraft(name: string): string | null | "loading" {
  const { api } = useApp()
  const [kept, setKept] = useState<string | null | "loading">("loading")
  useEffect(() => {
    let gone = false
    const set = (value: string | null) => {
      if (!gone) setKept(value)
    }
    api.draft(name).then(set, () => set(null))
    return () => {
      gone = true
    }
  }, [api, name])
  return kept
}
