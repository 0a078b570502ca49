import { PassThrough, type Readable } from "node:stream"
import type { PhysicianId } from "../encoding/ids.ts"

const gatherMs = 50
const commentMs = 20_000
const streamsAtMost = 16
const comment = ":\n\n"
const event = "event: changes\ndata: \n\n"

interface Watcher {
  readonly stream: PassThrough
  readonly timer: NodeJS.Timeout
}

/** Tells physicians who listen that something changed, and nothing of what: they pull. Format: server-sent events,
 * html.spec.whatwg.org/multipage/server-sent-events.html */
export class Watchers {
  readonly #watching = new Map<PhysicianId, Set<Watcher>>()
  readonly #due = new Map<PhysicianId, NodeJS.Timeout>()
  readonly #commentMs: number

  constructor(everyMs = commentMs) {
    this.#commentMs = everyMs
  }

  /** A stream of events for one physician; of more than 16 the oldest ends.
   * @param goesOn asked with every comment line: whether the session still lasts. */
  watch(physician: PhysicianId, goesOn: () => Promise<boolean>): Readable {
    const stream = new PassThrough()
    const timer = setInterval(() => {
      goesOn().then(
        (lasts) => (lasts ? say(stream, comment) : stream.end()),
        () => stream.end(),
      )
    }, this.#commentMs)
    timer.unref()
    const watcher = { stream, timer }
    const all = this.#watching.get(physician) ?? new Set()
    this.#watching.set(physician, all.add(watcher))
    if (all.size > streamsAtMost) all.values().next().value?.stream.end()
    const forget = (): void => this.#forget(physician, watcher)
    stream.once("finish", forget).once("close", forget)
    // The answer's head goes out with its first bytes.
    say(stream, comment)
    return stream
  }

  /** What comes within 50 ms is told at once. */
  notify(physicians: Iterable<PhysicianId>): void {
    for (const physician of physicians) {
      if (!this.#watching.has(physician) || this.#due.has(physician)) continue
      const timer = setTimeout(() => {
        this.#due.delete(physician)
        for (const { stream } of this.#watching.get(physician) ?? []) say(stream, event)
      }, gatherMs)
      timer.unref()
      this.#due.set(physician, timer)
    }
  }

  /** Tells a physician whose sessions are over to ask once more, and ends their streams. */
  dismiss(physician: PhysicianId): void {
    for (const { stream } of [...(this.#watching.get(physician) ?? [])]) {
      say(stream, event)
      stream.end()
    }
  }

  /** Ends every stream. */
  close(): void {
    for (const timer of this.#due.values()) clearTimeout(timer)
    this.#due.clear()
    for (const all of this.#watching.values()) for (const { stream } of all) stream.end()
  }

  #forget(physician: PhysicianId, watcher: Watcher): void {
    clearInterval(watcher.timer)
    const all = this.#watching.get(physician)
    all?.delete(watcher)
    if (all?.size === 0) this.#watching.delete(physician)
  }
}

/** Whoever does not read what was said before is told nothing more: it would say the same. */
function say(stream: PassThrough, text: string): void {
  if (stream.writable && !stream.writableNeedDrain) stream.write(text)
}
