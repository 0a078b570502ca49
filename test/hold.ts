import type { HttpRequest } from "../src/client/transport.ts"
import type { Workspace } from "../src/client/workspace.ts"
import { encodeBase64url, parseBase64url } from "../src/encoding/base64.ts"
import { concat, parseUtf8, utf8 } from "../src/encoding/bytes.ts"
import type { RecordId } from "../src/encoding/ids.ts"
import { parseEntry } from "../src/proof/entry.ts"
import { leafHash, setRanges } from "../src/proof/merkle.ts"
import type { Between } from "./practice.ts"
import { rangeHash } from "./tree-hash.ts"

/** Holds back what is asked for next: the request, or its answer. */
export class Hold {
  #on: "request" | "answer" | null = null
  #release = () => {}
  #gate: Promise<void> = Promise.resolve()
  #reached = () => {}
  readonly #matches: (request: HttpRequest) => boolean

  constructor(matches: (request: HttpRequest) => boolean) {
    this.#matches = matches
  }

  readonly between: Between = async (request, send) => {
    const on = this.#matches(request) ? this.#on : null
    if (on === null) return send(request)
    this.#on = null
    if (on === "request") {
      this.#reached()
      await this.#gate
    }
    const answer = await send(request)
    if (on === "answer") {
      this.#reached()
      await this.#gate
    }
    return answer
  }

  /** @returns what settles once something is held. */
  next(on: "request" | "answer"): Promise<void> {
    this.#on = on
    this.#gate = new Promise((resolve) => {
      this.#release = resolve
    })
    return new Promise((resolve) => {
      this.#reached = resolve
    })
  }

  release(): void {
    this.#release()
  }
}

/** A server that knows nothing of some records, on whatever device. */
export function hiding(...ids: readonly RecordId[]): Between {
  return async (request, send) => {
    const answer = await send(request)
    if (!request.path.startsWith("/api/changes")) return answer
    const reply = JSON.parse(parseUtf8(answer.body))
    for (const name of ["entries", "accepted"])
      reply[name] = reply[name].filter(({ record }: { record: RecordId }) => !ids.includes(record))
    return { ...answer, body: utf8(JSON.stringify(reply)) }
  }
}

/** A server that shows no entry beyond number `last`, and proves the others to be in the log, which is shorter than 256 leaves. */
export function withhold(last: number): Between {
  const shown = ({ statement }: { statement: string }) => parseEntry(parseBase64url(statement)).seq <= last
  return async (request, send) => {
    const answer = await send(request)
    const [, path] = /^(\/api\/records\/[^/]+)\/entries/.exec(request.path) ?? []
    const reads = request.method === "GET" && (path !== undefined || request.path.startsWith("/api/changes"))
    if (!reads) return answer
    const reply = JSON.parse(new TextDecoder().decode(answer.body))
    reply.entries = reply.entries.filter(shown)
    if (path !== undefined) {
      const size = Number(reply.log.checkpoint.split("\n")[1])
      const asked = { ...request, path: `/log/tile/entries/000.p/${size}`, reply: undefined }
      const bundle = (await send(asked)).body
      // Each entry of a bundle stands behind its length, two bytes.
      const hashes = Array.from({ length: size }, (_, i) => leafHash(bundle.subarray(i * 66 + 2, i * 66 + 66)))
      const indexes = reply.entries.map((entry: { leaf: { index: number } }) => entry.leaf.index)
      const proof = setRanges(indexes, size).map((range) => rangeHash(hashes, range))
      reply.inclusion = encodeBase64url(concat(...proof))
    }
    return { ...answer, body: new TextEncoder().encode(JSON.stringify(reply)) }
  }
}

interface Wired {
  statement: string
  grant?: string
  selfGrant?: string
}

/** A server that hands out one entry, and the caller's own seals, otherwise. @param on whether it does at the moment */
export function changeEntry(
  record: RecordId,
  seq: number,
  change: (stored: Wired, reply: { selfGrants?: unknown[] }) => void,
  on = () => true,
): Between {
  return async (request, send) => {
    const answer = await send(request)
    if (!on() || request.method !== "GET" || !/\/entries|^\/api\/changes/.test(request.path)) return answer
    const reply = JSON.parse(new TextDecoder().decode(answer.body))
    for (const stored of reply.entries) {
      const entry = parseEntry(parseBase64url(stored.statement))
      if (entry.record === record && entry.seq === seq) change(stored, reply)
    }
    return { ...answer, body: new TextEncoder().encode(JSON.stringify(reply)) }
  }
}

/** @returns what settles once a client asks for changes that nothing under way can answer. */
export function reachSyncAfresh({ roster }: Workspace): Promise<void> {
  const honest = roster.syncAfresh.bind(roster)
  return new Promise((reached) => {
    roster.syncAfresh = () => {
      roster.syncAfresh = honest
      reached()
      return honest()
    }
  })
}

/** Stops a client where it is about to verify the next entry. */
export function stopVerifying({ session: { people } }: Workspace): { reached: Promise<void>; release: () => void } {
  const honest = people.keysOf.bind(people)
  const [reached, gate] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()]
  people.keysOf = async (...args) => {
    people.keysOf = honest
    reached.resolve()
    await gate.promise
    return honest(...args)
  }
  return { reached: reached.promise, release: gate.resolve }
}
