import { parseUtf8 } from "../encoding/bytes.ts"
import { encodeCbor } from "../encoding/cbor.ts"
import { AppError } from "../errors.ts"
import { type Content, malformed, readContent } from "./content.ts"

export { isKey, typeOf } from "./content.ts"

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

/** Body → deterministic CBOR, read once more as everybody will read it. The caller seals it.
 * @throws BAD_INPUT_FORMAT for a bad key, a key twice, or text that is not a resource of its key's type; BAD_INPUT_SIZE for what would be
 * beyond an entry's budget. Format: docs/formats/entry.md */
export function encodeBody(body: Body): Uint8Array<ArrayBuffer> {
  return encodeContent(body).bytes
}

/** The same, with what was read of it. */
export function encodeContent(body: Body): { readonly bytes: Uint8Array<ArrayBuffer>; readonly content: Content } {
  const halves = (text: string | undefined) => text !== undefined && !text.isWellFormed()
  if (halves(body.by) || halves(body.note) || body.changes.some((change) => change.some(halves))) throw malformed()
  const bytes = encodeCbor(Object.fromEntries(Object.entries(body).filter(([, value]) => value !== undefined)))
  try {
    return { bytes, content: readContent(bytes) }
  } catch (cause) {
    if (!(cause instanceof AppError && cause.code === "BAD_INPUT_SIZE")) throw cause
    throw new AppError(
      "BAD_INPUT_SIZE",
      "This is more than one entry of a record can hold. Split it into smaller parts.",
      {
        cause,
      },
    )
  }
}

/** The body in an opened token's bytes, checked to the last resource.
 * @throws BAD_INPUT_FORMAT, BAD_INPUT_SIZE, UNAVAILABLE_UPDATE: see {@link readContent} */
export function parseBody(bytes: Uint8Array): Body {
  return bodyOf(readContent(bytes))
}

/** Content with its resources as text. */
function bodyOf({ changes, weight: _, bytes: __, ...rest }: Content): Body {
  return { ...rest, changes: changes.map(({ key, text }) => (text === null ? [key] : [key, parseUtf8(text)])) }
}

/** The id in a key: "1" of "Patient/1". */
export function idOf(key: string): string {
  return key.slice(key.indexOf("/") + 1)
}
