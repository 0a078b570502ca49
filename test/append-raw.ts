import { sha256 } from "#sha256"
import type { OpenRecord } from "../src/client/open-record.ts"
import type { Workspace } from "../src/client/workspace.ts"
import { encodeBody } from "../src/clinical/body.ts"
import { encodeSummary, summaryOf } from "../src/clinical/summary.ts"
import type { RecordId } from "../src/encoding/ids.ts"
import { encodeEntry } from "../src/proof/entry.ts"
import { entriesPath } from "../src/protocol/paths.ts"
import { appendEntry } from "../src/protocol/records.ts"
import { entryPlace, summaryPlace } from "../src/vault/places.ts"
import { seal } from "../src/vault/seal.ts"

/** An entry that changes nothing, with a summary under another last name. */
export async function appendLie(work: Workspace, id: RecordId, lastName: string): Promise<void> {
  const record = await work.records.open(id)
  const [key, seq] = [record.keys[0]!, record.head.seq + 1]
  const body = encodeBody({ by: "Ada", changes: [] })
  const summary = encodeSummary({ ...summaryOf(record.chart), lastName })
  const place = entryPlace(id, 0, seq, work.session.physician)
  await appendRaw(work, record, await seal(key, place, body), await seal(key, summaryPlace(id, 0, seq), summary))
}

/** Appends an entry that verifies, with content that no honest client writes. */
export async function appendRaw(
  work: Workspace,
  record: OpenRecord,
  body: Uint8Array,
  summary: Uint8Array,
): Promise<void> {
  const { session } = work
  const { head, id } = record
  const statement = encodeEntry({
    v: 1,
    suite: "F1",
    record: id,
    seq: head.seq + 1,
    prev: head.hash,
    epoch: 0,
    kind: "write",
    author: session.physician,
    time: Date.now(),
    seen: session.pins.tree,
    body: { hash: sha256(body), size: body.length },
    summary: { hash: sha256(summary), size: summary.length },
  })
  const signature = await session.signer.sign("entry", statement)
  await session.log.exchange(
    ({ size }) =>
      session.around.transport.call("POST", entriesPath(id), {
        json: appendEntry.body.encode({ statement, signature, body, summary, since: size }),
        reply: appendEntry.reply,
      }),
    (receipt) => receipt.log,
  )
}
