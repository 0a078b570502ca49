import { AppError } from "../errors.ts"
import { leafDataBytes } from "../proof/leaf.ts"
import { verifyStretch } from "../proof/stretch.ts"
import { paths } from "../protocol/paths.ts"
import { readLeaves } from "../protocol/records.ts"
import type { Session } from "./session.ts"

/** So much of each leaf's tag is kept: two tags that begin alike are not found by chance. */
const keptBytes = 16

interface Part {
  readonly from: number
  readonly to: number
  /** 16 B a leaf. */
  readonly tags: Uint8Array
}

/** Leaves in the log's order, each by the beginning of its tag. */
export type LeafTags = AsyncIterable<{ readonly index: number; readonly tag: Uint8Array }>

/** The leaves of the log that this session has seen, proved to stand in it. A record that comes late is looked for in them again. */
export class LookedLeaves {
  readonly #session: Session
  /** In the log's order; no two overlap. */
  #parts: Part[] = []

  constructor(session: Session) {
    this.#session = session
  }

  /** Keeps leaves that were proved. @param data 64 B a leaf */
  add(from: number, data: Uint8Array): void {
    const count = data.length / leafDataBytes
    const tags = new Uint8Array(count * keptBytes)
    for (let i = 0; i < count; i++)
      tags.set(data.subarray(i * leafDataBytes, i * leafDataBytes + keptBytes), i * keptBytes)
    const part = { from, to: from + count, tags }
    // A roster that is made anew reads the log from its beginning once more.
    const apart = this.#parts.filter((one) => one.to <= part.from || one.from >= part.to)
    this.#parts = [...apart, part].sort((a, b) => a.from - b.from)
  }

  /** The beginnings of the tags of leaves [from, to). Those that this session has not seen are fetched and proved first.
   * @throws TAMPERED_LOG, which is the end of this log */
  async *tags(from: number, to: number): LeafTags {
    for (let at = from; at < to; ) {
      const part = this.#parts.find((one) => one.from <= at && at < one.to) ?? (await this.#fetch(at, to))
      for (; at < Math.min(part.to, to); at++) {
        const place = (at - part.from) * keptBytes
        yield { index: at, tag: part.tags.subarray(place, place + keptBytes) }
      }
    }
  }

  /** Fetches leaves from `at` on, up to the next that are here. */
  async #fetch(at: number, to: number): Promise<Part> {
    const { log, around } = this.#session
    const end = Math.min(to, this.#parts.find((one) => one.from > at)?.from ?? to)
    const { answer, tree } = await log.exchange(
      (pinned) =>
        around.transport.call("GET", paths.leaves, {
          query: { from: at, to: end, pinned: pinned.size },
          reply: readLeaves.reply,
          background: true,
        }),
      (reply) => reply.log,
    )
    const { leaves, next } = answer
    try {
      if (next <= at || next > end) throw new AppError("TAMPERED_LOG")
      verifyStretch({ from: at, to: next, ...leaves }, tree)
    } catch (error) {
      throw error instanceof AppError && error.code === "TAMPERED_LOG" ? log.refuse("TAMPERED_LOG") : error
    }
    this.add(at, leaves.data)
    return this.#parts.find((one) => one.from === at)!
  }
}

/** Whether a whole tag begins as a kept one. */
export function beginsAs(tag: Uint8Array, kept: Uint8Array): boolean {
  for (let i = 0; i < keptBytes; i++) if (tag[i] !== kept[i]) return false
  return true
}
