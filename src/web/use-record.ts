/** One record, or why it can't be shown. Follows changes that the worker hears of. */
import { useCallback, useEffect, useState } from "react"
import type { RecordView, TamperedView } from "../client/views.ts"
import { AppError } from "../errors.ts"
import { useApp } from "./app.ts"
import type { RecordId } from "./record-id.ts"

export type RecordState =
  | { readonly state: "loading" }
  | { readonly state: "ready"; readonly record: RecordView }
  | { readonly state: "tampered"; readonly view: TamperedView }
  | { readonly state: "failed"; readonly error: AppError }

/** @param live whether a change from elsewhere is shown at once; a form keeps what it was opened with. */
export function useRecord(id: RecordId | null, seq?: number, live = true): { now: RecordState; reload: () => void } {
  const { api, recordChanged } = useApp()
  const [now, setNow] = useState<RecordState>({ state: "loading" })
  const [turn, setTurn] = useState(0)
  const reload = useCallback(() => setTurn((before) => before + 1), [])

  // biome-ignore lint/correctness/useExhaustiveDependencies: `turn` asks again
  useEffect(() => {
    let gone = false
    const load = async (): Promise<RecordState> => {
      if (!id) return { state: "failed", error: new AppError("NOT_ALLOWED") }
      try {
        return { state: "ready", record: await (seq === undefined ? api.record(id) : api.record(id, seq)) }
      } catch (cause) {
        const error = cause instanceof AppError ? cause : new AppError("UNAVAILABLE", undefined, { cause })
        return error.is("TAMPERED")
          ? { state: "tampered", view: await evidence(id, error) }
          : { state: "failed", error }
      }
    }
    const evidence = async (record: RecordId, error: AppError): Promise<TamperedView> =>
      (await api.tampered(record).catch(() => null)) ?? {
        code: error.code,
        expected: "A record that fits its own signed history.",
        found: error.message,
        evidence: error.code,
      }
    void load().then((state) => {
      if (!gone) setNow(state)
    })
    return () => {
      gone = true
    }
  }, [api, id, seq, turn])

  useEffect(() => {
    if (!live) return
    const onChange = (changed: string) => {
      if (changed === id) reload()
    }
    recordChanged.add(onChange)
    return () => {
      recordChanged.delete(onChange)
    }
  }, [recordChanged, id, live, reload])

  return { now, reload }
}
