import { sha256 } from "#sha256"
import { equal } from "../encoding/bytes.ts"
import { idFromBytes, newId, type SegmentId } from "../encoding/ids.ts"
import { AppError } from "../errors.ts"
import { paths, segmentPath } from "../protocol/paths.ts"
import { segmentBody, segmentMaxBytes } from "../protocol/records.ts"
import type { Keyring } from "../vault/keyring.ts"
import { rosterPlace } from "../vault/places.ts"
import { open, seal } from "../vault/seal.ts"
import { signAccount } from "./account-statements.ts"
import { encodeRows, parseRows, type RosterRow } from "./roster-row.ts"
import type { Session } from "./session.ts"

/** So many rows go into one segment, */
export const segmentRows = 500
/** or fewer, of about this much: a colleague's may be long. */
const segmentBytes = 3 * 1024 * 1024
const straysAtMost = 64

export type Segments = Keyring["roster"]["segments"]

export interface OpenSegment {
  readonly id: SegmentId
  readonly rows: readonly RosterRow[]
}

/** A segment that was stored and that no keyring lists yet. */
export interface NewSegment extends OpenSegment {
  /** SHA-256 of its token. */
  readonly hash: Uint8Array
}

/** Fetches and opens the segments that the keyring lists.
 * @throws CANNOT_OPEN where a listed segment is missing, is another one, or does not open. Format: docs/formats/roster.md */
export async function openSegments(
  { key, physician, around }: Session,
  segments: Segments,
  progress: (opened: number, total: number) => void,
): Promise<readonly OpenSegment[]> {
  if (segments.length === 0) return []
  const stored = parseSegments(await around.transport.download(paths.segments, mostBytes(segments.length)))
  const total = segments.reduce((sum, segment) => sum + segment.records, 0)
  let done = 0
  return Promise.all(
    segments.map(async ({ id, hash }) => {
      const token = stored.get(id)
      if (token === undefined || !equal(await digest(token), hash)) throw new AppError("CANNOT_OPEN")
      const rows = parseRows(await open(key, rosterPlace(physician, id), token))
      done += rows.length
      progress(done, total)
      return { id, rows }
    }),
  )
}

/** What the server may send for so many: beside those that the keyring lists it may hold some of a save that was cut off. */
function mostBytes(segments: number): number {
  return (segments + straysAtMost) * (segmentMaxBytes + 20)
}

/** Seals rows into fresh segments and stores them, one after the other. @param made takes each as soon as it is stored */
export async function putSegments(session: Session, rows: readonly RosterRow[], made: NewSegment[]): Promise<void> {
  const { key, physician, around } = session
  for (const { part, content } of cut(rows)) {
    const id = newId<"segment">() as SegmentId
    const token = await seal(key, rosterPlace(physician, id), content)
    if (token.length > segmentMaxBytes) throw new AppError("BAD_INPUT_SIZE")
    const hash = sha256(token)
    made.push({ id, hash, rows: part })
    const signed = await signAccount(session, "segments", [{ subject: id, number: 0, hash }])
    await around.transport.call("PUT", segmentPath(id), { bytes: segmentBody.encode(signed, token) })
  }
}

/** Reads what the server sends of all segments: 16 B id, u32be length, token; again and again. @throws CANNOT_OPEN when it is cut */
function parseSegments(bytes: Uint8Array): Map<SegmentId, Uint8Array> {
  const segments = new Map<SegmentId, Uint8Array>()
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length)
  for (let at = 0; at < bytes.length; ) {
    if (at + 20 > bytes.length) throw new AppError("CANNOT_OPEN")
    const end = at + 20 + view.getUint32(at + 16)
    if (end > bytes.length) throw new AppError("CANNOT_OPEN")
    segments.set(idFromBytes<"segment">(bytes.subarray(at, at + 16)) as SegmentId, bytes.subarray(at + 20, end))
    at = end
  }
  return segments
}

/** Cuts rows into what one segment holds each. */
function* cut(rows: readonly RosterRow[]): Generator<{ part: readonly RosterRow[]; content: Uint8Array }> {
  for (let at = 0; at < rows.length; at += segmentRows) {
    const part = rows.slice(at, at + segmentRows)
    const content = encodeRows(part)
    if (content.length <= segmentBytes || part.length === 1) yield { part, content }
    else for (const half of [part.slice(0, part.length >> 1), part.slice(part.length >> 1)]) yield* cut(half)
  }
}

/** SHA-256 of much at once: a browser's own is faster there. */
async function digest(bytes: Uint8Array): Promise<Uint8Array> {
  return new Uint8Array(await crypto.subtle.digest("SHA-256", bytes as Uint8Array<ArrayBuffer>))
}
