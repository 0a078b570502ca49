/** An address comes from anywhere: only what looks like a record's id is taken for one. */
import type { HomeRow } from "../client/views.ts"

export type RecordId = HomeRow["id"]

export function asRecordId(text: string): RecordId | null {
  return /^[A-Za-z0-9_-]{22}$/.test(text) ? (text as RecordId) : null
}
