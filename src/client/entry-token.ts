import { encodePaddedBase64url } from "../encoding/base64.ts"
import { AppError } from "../errors.ts"
import { deriveBytes } from "../vault/keys.ts"
import { entryPlace } from "../vault/places.ts"
import type { OpenRecord } from "./open-record.ts"
import type { Records } from "./records.ts"

/** One entry's body token and the Fernet key that opens it, and it alone, as text for any Fernet implementation.
 * What comes out is the frame of docs/formats/token.md. @throws NOT_ALLOWED where the record has no such entry, or it no body; CANNOT_OPEN where a colleague
 * gave this physician no key of its epoch */
export async function entryToken(
  records: Records,
  record: OpenRecord,
  seq: number,
): Promise<{ key: string; token: string }> {
  const token = await records.bodyToken(record, seq)
  const { epoch, author } = record.steps[seq]!.entry
  const recordKey = record.keys[epoch]
  if (recordKey === undefined) throw new AppError("CANNOT_OPEN")
  const key = await deriveBytes(recordKey, entryPlace(record.id, epoch, seq, author))
  return { key: encodePaddedBase64url(key), token: encodePaddedBase64url(token) }
}
