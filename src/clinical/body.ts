import { encodeCbor, parseCbor } from "../encoding/cbor.ts"
import { limits } from "../encoding/limits.ts"
import { AppError } from "../errors.ts"
import { memberOf, scanJson, stringAt } from "./json-spans.ts"

/** `[key, JSON text]` adds or replaces a resource, `[key]` removes it. A key is `Type/id`. */
export type Change = readonly [key: string, text: string] | readonly [key: string]

/** What one entry says. Resources are the very text they came in. */
export interface Body {
  /** The author's own name, as they gave it. */
  readonly by: string
  readonly changes: readonly Change[]
  /** Absent: as before. */
  readonly archived?: boolean
  readonly note?: string
}

const maxNameLength = 500
const maxNoteLength = 10_000
const keyPattern = /^([A-Z][A-Za-z]{0,63})\/([A-Za-z0-9.-]{1,64})$/

/** Body → deterministic CBOR. The caller seals it.
 * @throws BAD_INPUT_FORMAT for a bad key, a key twice, or text that is not a resource of its key's type; BAD_INPUT_SIZE.
 * Format: docs/formats/entry.md */
export function encodeBody(body: Body): Uint8Array<ArrayBuffer> {
  demandBody(body)
  const plain = {
    by: body.by,
    changes: body.changes,
    ...(body.archived === undefined ? {} : { archived: body.archived }),
    ...(body.note === undefined ? {} : { note: body.note }),
  }
  if (!body.changes.every(([, text]) => text === undefined || text.isWellFormed())) throw malformed()
  const bytes = encodeCbor(plain)
  if (bytes.length > limits.inflatedBytes) throw new AppError("BAD_INPUT_SIZE")
  return bytes
}

/** The body in an opened token's bytes, checked to the last resource.
 * @throws BAD_INPUT_FORMAT, BAD_INPUT_SIZE */
export function parseBody(bytes: Uint8Array): Body {
  const value: unknown = parseCbor(bytes, limits.inflatedBytes)
  demandBody(value)
  return value
}

/** The type in a key: "Patient" of "Patient/1". */
export function typeOf(key: string): string {
  return key.slice(0, key.indexOf("/"))
}

/** The id in a key: "1" of "Patient/1". */
export function idOf(key: string): string {
  return key.slice(key.indexOf("/") + 1)
}

/** Whether this is `Type/id` with a FHIR id. */
export function isKey(key: string): boolean {
  return keyPattern.test(key)
}

function demandBody(value: unknown): asserts value is Body {
  if (typeof value !== "object" || value === null || Array.isArray(value)) throw malformed()
  const { by, changes, archived, note, ...rest } = value as Record<string, unknown>
  if (Object.keys(rest).length > 0) throw malformed()
  if (typeof by !== "string" || by.length > maxNameLength || !by.isWellFormed()) throw malformed()
  if (archived !== undefined && typeof archived !== "boolean") throw malformed()
  if (note !== undefined && (typeof note !== "string" || note.length > maxNoteLength || !note.isWellFormed()))
    throw malformed()
  if (!Array.isArray(changes)) throw malformed()
  const keys = new Set<unknown>()
  for (const change of changes) {
    demandChange(change)
    if (keys.has(change[0])) throw malformed()
    keys.add(change[0])
  }
}

function demandChange(change: unknown): asserts change is Change {
  if (!Array.isArray(change) || change.length < 1 || change.length > 2) throw malformed()
  const [key, text] = change as readonly unknown[]
  if (typeof key !== "string" || !isKey(key)) throw malformed()
  if (change.length === 1) return
  if (typeof text !== "string") throw malformed()
  let type: string | null
  try {
    const root = scanJson(text, limits.jsonDepth, 2)
    type = stringAt(text, memberOf(root, "resourceType"))
  } catch (cause) {
    throw malformed(cause)
  }
  if (type !== typeOf(key)) throw malformed()
}

function malformed(cause?: unknown): AppError {
  return new AppError("BAD_INPUT_FORMAT", "This entry's content is not in the form of a record. Nothing was taken.", {
    cause,
  })
}
