import { context } from "../encoding/context.ts"
import {
  type DeviceId,
  idBytes,
  type PhysicianId,
  type RecordId,
  type SegmentId,
  type SessionId,
} from "../encoding/ids.ts"

/** Where a token belongs: the contexts of design 3, one label for one use. Format: docs/formats/token.md */

/** Under an unlock key. @param generation counts replacements of the method. */
export const unlockPlace = (physician: PhysicianId, method: string, generation: number) =>
  context("unlock", idBytes(physician), method, generation)

/** Under the physician key, as all down to the cache. */
export const keyringPlace = (physician: PhysicianId, number: number) => context("keyring", idBytes(physician), number)

export const profilePlace = (physician: PhysicianId, number: number) => context("profile", idBytes(physician), number)

export const selfGrantPlace = (physician: PhysicianId, record: RecordId, epoch: number) =>
  context("self-grant", idBytes(physician), idBytes(record), epoch)

export const rosterPlace = (physician: PhysicianId, segment: SegmentId) =>
  context("roster", idBytes(physician), idBytes(segment))

export const cachePlace = (physician: PhysicianId, device: DeviceId, name: string) =>
  context("cache", idBytes(physician), idBytes(device), name)

/** Under the session half. */
export const sessionPlace = (physician: PhysicianId, session: SessionId) =>
  context("session", idBytes(physician), idBytes(session))

/** Under the record key of `epoch`. */
export const entryPlace = (record: RecordId, epoch: number, seq: number, author: PhysicianId) =>
  context("entry", idBytes(record), epoch, seq, idBytes(author))

export const summaryPlace = (record: RecordId, epoch: number, seq: number) =>
  context("summary", idBytes(record), epoch, seq)
