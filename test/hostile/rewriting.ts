import { parseUtf8, utf8 } from "../../src/encoding/bytes.ts"
import type { Between } from "../practice.ts"

/** One entry as it travels. */
export interface WireEntry {
  record?: string
  statement: string
  signature: string
  body?: string
  summary?: string
  grant?: string
  selfGrant?: string
  leaf: { index: number; time: number; salt: string }
}

/** An answer's JSON, whichever it is. */
export interface WireAnswer {
  entries?: WireEntry[]
  accepted?: { record: string; number: number; leaf: WireEntry["leaf"] }[]
  selfGrants?: { epoch: number; token: string }[]
  invitations?: WireEntry[]
  leaves?: { data: string; left: string; right: string }
  inclusion?: string
  next?: number
  more?: boolean
  log?: { checkpoint: string; consistency: string }
}

/** An attack that rewrites the JSON of the answers to some requests.
 * @param path of the requests, query and all. @param change alters the answer */
export function rewriting<Answer extends object = WireAnswer>(
  path: RegExp,
  change: (answer: Answer) => unknown,
): () => Between {
  return () => async (request, send) => {
    const response = await send(request)
    if (!path.test(request.path) || response.status !== 200) return response
    const answer = JSON.parse(parseUtf8(response.body)) as Answer
    await change(answer)
    return { status: response.status, body: utf8(JSON.stringify(answer)) }
  }
}

export function entriesOf(answer: WireAnswer): WireEntry[] {
  return answer.entries ?? []
}
