import { parseUtf8 } from "../encoding/bytes.ts"
import { CborItems } from "../encoding/cbor-items.ts"
import { limits } from "../encoding/limits.ts"
import { demandMemory } from "../encoding/memory.ts"
import { AppError } from "../errors.ts"
import { countJson } from "./json-count.ts"

/** What one entry's bytes say, with the resources left where they lie. */
export interface Content {
  /** The author's own name, as they gave it. */
  readonly by: string
  readonly changes: readonly ContentChange[]
  readonly archived?: boolean
  readonly note?: string
  /** Of the whole content: see {@link weightOf}. */
  readonly weight: number
  /** All of it. */
  readonly bytes: Uint8Array
}

export interface ContentChange {
  /** `Type/id` */
  readonly key: string
  /** JSON as UTF-8, a view into the content; `null` removes the resource. */
  readonly text: Uint8Array | null
  /** Of the text, see {@link weightOf}; 0 where there is none. */
  readonly weight: number
}

/** What text counts for: its bytes, or sixteen a node where it has more nodes than any text that says something. A whole content counts
 * for 512 a change, too: each is work, however short. */
function weightOf(bytes: number, nodes: number, changes = 0): number {
  return Math.max(bytes, nodes * limits.bytesPerNode, changes * limits.bytesPerChange)
}

const maxNameLength = 500
const maxNoteLength = 10_000
const maxKeyLength = 129
const keyPattern = /^([A-Z][A-Za-z]{0,63})\/([A-Za-z0-9.-]{1,64})$/
const fields = ["by", "note", "changes", "archived"] as const

/** The type in a key: "Patient" of "Patient/1". */
export function typeOf(key: string): string {
  return key.slice(0, key.indexOf("/"))
}

/** Whether this is `Type/id` with a FHIR id. */
export function isKey(key: string): boolean {
  return keyPattern.test(key)
}

/** Reads an entry's content, deterministic CBOR, to the last resource. It counts as it goes and builds no resource.
 * @throws BAD_INPUT_SIZE beyond an entry's budget: `cborItems`, `entryNodes`, `resourceNodes`, `authorResources`; BAD_INPUT_FORMAT;
 * UNAVAILABLE_UPDATE for content that says a newer version. Format: docs/formats/entry.md */
export function readContent(bytes: Uint8Array): Content {
  try {
    return new ContentReader(bytes).read()
  } catch (cause) {
    if (cause instanceof AppError && cause.code !== "BAD_INPUT_FORMAT") throw cause
    demandMemory(cause)
    throw malformed(cause)
  }
}

class ContentReader {
  readonly #bytes: Uint8Array
  readonly #items: CborItems
  #nodes = 0
  #texts = 0

  constructor(bytes: Uint8Array) {
    if (bytes.length > limits.inflatedBytes) throw new AppError("BAD_INPUT_SIZE")
    this.#bytes = bytes
    this.#items = new CborItems(bytes)
  }

  read(): Content {
    const items = this.#items
    const read: { by?: string; changes?: ContentChange[]; archived?: boolean; note?: string } = {}
    let last = -1
    for (let left = items.head(5); left > 0; left--) {
      // Deterministic: shorter names first, each once.
      const name = this.#text(8)
      if (name === "v") demandVersion(items.head(0))
      const at = fields.indexOf(name as (typeof fields)[number])
      if (at <= last) throw malformed()
      last = at
      if (name === "by") read.by = this.#text(maxNameLength * 3, maxNameLength)
      else if (name === "note") read.note = this.#text(maxNoteLength * 3, maxNoteLength)
      else if (name === "archived") read.archived = items.truth()
      else read.changes = this.#changes()
    }
    const { by, changes } = read
    if (!items.ended || by === undefined || changes === undefined) throw malformed()
    return {
      ...read,
      by,
      changes,
      bytes: this.#bytes,
      weight: weightOf(this.#bytes.length, this.#nodes, changes.length),
    }
  }

  #changes(): ContentChange[] {
    const items = this.#items
    const changes: ContentChange[] = []
    const keys = new Set<string>()
    for (let left = items.head(4); left > 0; left--) {
      const parts = items.head(4)
      if (parts !== 1 && parts !== 2) throw malformed()
      const key = this.#text(maxKeyLength)
      if (!isKey(key) || keys.has(key)) throw malformed()
      keys.add(key)
      changes.push(parts === 1 ? { key, text: null, weight: 0 } : this.#resource(key))
    }
    return changes
  }

  #resource(key: string): ContentChange {
    if (this.#texts++ === limits.authorResources) throw new AppError("BAD_INPUT_SIZE")
    const start = this.#items.span(3)
    const end = this.#items.at
    const room = limits.entryNodes - this.#nodes
    const { nodes, type } = countJson(this.#bytes, start, end, Math.min(limits.resourceNodes, room))
    this.#nodes += nodes
    if (type !== typeOf(key)) throw malformed()
    return { key, text: this.#bytes.subarray(start, end), weight: weightOf(end - start, nodes) }
  }

  /** @param maxLength in UTF-16 units */
  #text(maxBytes: number, maxLength = maxBytes): string {
    const start = this.#items.span(3)
    if (this.#items.at - start > maxBytes) throw malformed()
    const text = parseUtf8(this.#bytes.subarray(start, this.#items.at))
    if (text.length > maxLength) throw malformed()
    return text
  }
}

/** Content that says no version is of the first. */
function demandVersion(version: number): never {
  throw version > 1 ? new AppError("UNAVAILABLE_UPDATE") : malformed()
}

export function malformed(cause?: unknown): AppError {
  return new AppError("BAD_INPUT_FORMAT", "This entry's content is not in the form of a record. Nothing was taken.", {
    cause,
  })
}
