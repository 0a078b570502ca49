import { parseId, type RecordId } from "../encoding/ids.ts"

export type { RecordId } from "../encoding/ids.ts"

/** A record's id as a person or a program gives it. @throws BAD_INPUT_FORMAT */
export function parseRecordId(text: string): RecordId {
  return parseId<"record">(text) as RecordId
}
