/** One record, or why it can't be shown. Follows changes that the worker hears of. */
import { useCallback, useEffect, useState } from "react"
import type { RecordView, TamperedView } from "../client/views.ts"
import { AppError } from "../errors.ts"
import { useApp } from "./app.ts"
import type { RecordId } from "./record-id.ts"

export type RecordState =
  | { readonly state: "loading" }
  | { readonly state: "ready"; readonly record: RecordView }
  | { readonly state: "tampered"; readonly id: RecordId; readonly view: TamperedView }
  | { readonly state: "failed"; readonly id: RecordId | null; readonly error: AppError }
  /** It was open here, and may no longer be read. */
  | { readonly state: "gone"; readonly id: RecordId }

/** Calls back when the worker has heard that a record changed. */
function useRecordChange(id: RecordId | null, onChange: () => void): void {
  const { recordChanged } = useApp()
  useEffect(() => {
    const listener = (changed: string) => {
      if (changed === id) onChange()
    }
    recordChanged.add(listener)
    return () => {
      recordChanged.delete(listener)
    }
  }, [recordChanged, id, onChange])
}

/** @param live whether a change from elsewhere is shown at once; a form keeps what it was opened with. */
export function useRecord(id: RecordId | null, seq?: number, live = true): { now: RecordState; reload: () => void } {
  const { api, flushers } = useApp()
  const [{ of, now }, setAnswer] = useState<{ of: string; now: RecordState }>({ of: "", now: { state: "loading" } })
  const [turn, setTurn] = useState(0)
  const reload = useCallback(() => setTurn((before) => before + 1), [])
  const asked = `${id}/${seq}`

  // biome-ignore lint/correctness/useExhaustiveDependencies: `turn` asks again
  useEffect(() => {
    let stale = false
    const load = async (): Promise<RecordState> => {
      if (!id) return { state: "failed", id, error: new AppError("NOT_ALLOWED") }
      try {
        return { state: "ready", record: await (seq === undefined ? api.record(id) : api.record(id, seq)) }
      } catch (cause) {
        const error = cause instanceof AppError ? cause : new AppError("UNAVAILABLE", undefined, { cause })
        if (error.is("TAMPERED")) return { state: "tampered", id, view: await evidenceOf(api, id, error) }
        return { state: "failed", id, error }
      }
    }
    void load().then(async (next) => {
      // A change may take a form away: what is being typed is sealed before that.
      if (turn > 0) await Promise.allSettled([...flushers].map((flush) => flush()))
      if (stale) return
      setAnswer((before) => ({ of: asked, now: before.of === asked ? after(before.now, next, id) : next }))
    })
    return () => {
      stale = true
    }
  }, [api, id, seq, turn])

  useRecordChange(live ? id : null, reload)
  return { now: of === asked ? now : { state: "loading" }, reload }
}

function after(before: RecordState, next: RecordState, id: RecordId | null): RecordState {
  if (next.state !== "failed" || !id) return next
  const wasOpen = before.state === "ready" || before.state === "gone"
  if (next.error.code === "NOT_ALLOWED" && wasOpen) return { state: "gone", id }
  // A server that cannot be reached for a moment takes nothing away from what is shown.
  return next.error.is("UNAVAILABLE") && before.state === "ready" ? before : next
}

async function evidenceOf(
  api: { tampered(id: RecordId): Promise<TamperedView | null> },
  record: RecordId,
  error: AppError,
): Promise<TamperedView> {
  return (
    (await api.tampered(record).catch(() => null)) ?? {
      code: error.code,
      expected: "A record that fits its own signed history.",
      found: error.message,
      evidence: error.code,
      by: null,
    }
  )
}
