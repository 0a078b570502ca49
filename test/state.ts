import { createHash } from "node:crypto"
import type { OpenRecord } from "../src/client/open-record.ts"

/** What a record has come to: the number and hash of its newest entry, and a digest of every resource's text. */
export function stateOf({ head, chart }: OpenRecord) {
  const texts = JSON.stringify([...chart.resources].sort())
  return {
    seq: head.seq,
    head: Buffer.from(head.hash).toString("hex"),
    digest: createHash("sha256").update(texts).digest("hex"),
  }
}
export type State = ReturnType<typeof stateOf>
