/** The record whose tabs are open. */
import { createContext, use } from "react"
import type { RecordView } from "../client/views.ts"

interface OpenRecord {
  readonly record: RecordView
  readonly reload: () => void
}

const RecordContext = createContext<OpenRecord | null>(null)
export const RecordProvider = RecordContext.Provider

export function useOpenRecord(): OpenRecord {
  const open = use(RecordContext)
  if (!open) throw new TypeError("useOpenRecord needs a RecordProvider above it")
  return open
}
