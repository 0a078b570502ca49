import type { Body } from "../clinical/body.ts"
import { type Chart, foldInto } from "../clinical/fold.ts"
import type { RecordId } from "../encoding/ids.ts"
import { limits } from "../encoding/limits.ts"
import { AppError } from "../errors.ts"
import type { ChainHead } from "../proof/chain.ts"
import type { EntryStatement } from "../proof/entry.ts"
import type { RecordKey } from "../vault/keys.ts"
import type { Appended } from "./append.ts"
import type { EpochKeys } from "./roster-row.ts"

/** DEFLATE makes no more than this of one byte (zlib.net/zlib_tech.html). */
const largestRatio = 1032

/** One verified entry, opened. */
export interface Step {
  readonly entry: EntryStatement
  /** `null` where the entry carries none, or where it verifies but cannot be read. */
  readonly body: Body | null
  readonly unreadable: boolean
  /** The server's time, milliseconds since 1970. */
  readonly serverTime: number
  /** The token as stored, for people who want to open it elsewhere. */
  readonly token: Uint8Array | null
}

/** A record whose whole chain was verified, with everything opened and folded. */
export interface OpenRecord {
  readonly id: RecordId
  readonly head: ChainHead
  readonly keys: EpochKeys
  readonly steps: readonly Step[]
  /** Whether the newest summary, its author's claim that the home page shows, says something else than the chart. */
  readonly summaryDiffers: boolean
  readonly chart: Chart
  /** What the compressed bodies came to, in bytes. */
  readonly inflated: number
}

/** An opened record on its way to a later entry; the one before stays as it is. */
export class Growing {
  head: ChainHead | null
  readonly keys: (RecordKey | undefined)[]
  readonly steps: Step[]
  readonly #resources: Map<string, string>
  #archived: boolean
  #inflated: number

  constructor(before: OpenRecord | null) {
    this.head = before?.head ?? null
    this.keys = [...(before?.keys ?? [])]
    this.steps = [...(before?.steps ?? [])]
    this.#resources = new Map(before?.chart.resources)
    this.#archived = before?.chart.archived ?? false
    this.#inflated = before?.inflated ?? 0
  }

  /** How many bytes the next compressed body may come to. What goes beyond cannot be read: whoever may write in a record could else fill
   * the memory of everybody who opens it with a few kilobytes. */
  get room(): number {
    return Math.min(limits.inflatedBytes, limits.recordInflatedBytes - this.#inflated)
  }

  /** @param inflated bytes of a body that was compressed, or 0 */
  add(head: ChainHead, step: Step, inflated: number): void {
    this.head = head
    this.steps.push(step)
    this.#inflated += inflated
    if (step.body === null) return
    foldInto(this.#resources, step.body)
    this.#archived = step.body.archived ?? this.#archived
  }

  /** @throws TAMPERED_CHAIN where not even the first entry came */
  done(summaryDiffers: boolean): OpenRecord {
    const { head, keys, steps } = this
    if (head === null) throw new AppError("TAMPERED_CHAIN")
    const chart = { resources: this.#resources, archived: this.#archived }
    return { id: head.record, head, keys, steps, summaryDiffers, chart, inflated: this.#inflated }
  }
}

/** What a body's token takes of the room for compressed ones: only what was compressed is longer than its token. What did not open takes
 * what it may have come to before that was given up: such bodies could else keep a reader busy for ever. */
export function inflatedBy(token: Uint8Array, content: Uint8Array | null, room: number): number {
  if (content === null) return Math.min(room, token.length * largestRatio)
  return content.length > token.length ? content.length : 0
}

/** What was opened, and an entry of one's own on top of it. @param inflated bytes of a body that was compressed */
export function grow(
  before: OpenRecord | null,
  keys: EpochKeys,
  appended: Appended,
  body: Body | null,
  inflated = 0,
): OpenRecord {
  const { entry, head, bodyToken, serverTime } = appended
  const record = new Growing(before)
  record.keys.splice(0, Number.POSITIVE_INFINITY, ...keys)
  record.add(head, { entry, body, unreadable: false, serverTime, token: bodyToken }, inflated)
  return record.done(false)
}
