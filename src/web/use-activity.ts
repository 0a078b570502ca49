/** The log's lines about a record or an account, newest first, read page by page. */
import { useCallback, useEffect, useRef, useState } from "react"
import type { ActivityItem, ActivityPage } from "../client/views.ts"
import { AppError } from "../errors.ts"

interface Lines {
  readonly items: readonly ActivityItem[]
  readonly more: boolean
  readonly loaded: boolean
}

export interface Activity extends Lines {
  readonly loading: boolean
  readonly error: AppError | null
  /** Reads on where the last page ended. */
  readMore(): void
  /** Asks for what is new. */
  refresh(): void
}

const none: Lines = { items: [], more: false, loaded: false }

/** @param read must stay the same function for the same lines */
export function useActivity(read: (before: number | null) => Promise<ActivityPage>): Activity {
  const [lines, setLines] = useState<Lines>(none)
  const [loading, setLoading] = useState(true)
  const [error, setError] = useState<AppError | null>(null)
  const turn = useRef(0)

  const load = useCallback(
    async (before: number | null) => {
      turn.current += 1
      const mine = turn.current
      setLoading(true)
      try {
        const page = await read(before)
        if (mine !== turn.current) return
        setLines((now) => joined(now, page, before))
        setError(null)
      } catch (cause) {
        if (mine !== turn.current) return
        setError(cause instanceof AppError ? cause : new AppError("UNAVAILABLE", undefined, { cause }))
      }
      setLoading(false)
    },
    [read],
  )

  useEffect(() => {
    setLines(none)
    void load(null)
    return () => {
      turn.current += 1
    }
  }, [load])

  const last = lines.items.at(-1)?.index ?? null
  return {
    ...lines,
    loading,
    error,
    readMore: () => void load(last),
    refresh: () => void load(null),
  }
}

/** The newest page meets what is there already, or stands alone where lines between are missing. */
function joined(now: Lines, page: ActivityPage, before: number | null): Lines {
  if (before !== null) return { items: [...now.items, ...page.items], more: page.more, loaded: true }
  const oldest = page.items.at(-1)?.index ?? Number.POSITIVE_INFINITY
  const meets = now.items.some(({ index }) => index === oldest)
  if (!meets) return { items: page.items, more: page.more, loaded: true }
  return { items: [...page.items, ...now.items.filter(({ index }) => index < oldest)], more: now.more, loaded: true }
}
