import { afterAll, beforeAll, describe, expect, it } from "vitest"
import { sha256 } from "#sha256"
import { createPatient, savePatient } from "../src/client/edits.ts"
import { viewHistory, viewRecord } from "../src/client/record-views.ts"
import type { OpenRecord } from "../src/client/records.ts"
import { type Workspace, workspaceOf } from "../src/client/workspace.ts"
import { utf8 } from "../src/encoding/bytes.ts"
import { encodeEntry } from "../src/proof/entry.ts"
import { entriesPath } from "../src/protocol/paths.ts"
import { appendEntry } from "../src/protocol/records.ts"
import { entryPlace, summaryPlace } from "../src/vault/places.ts"
import { seal } from "../src/vault/seal.ts"
import { type Practice, startPractice } from "./practice.ts"

const patient = { firstName: "Brady", lastName: "Kuhlman", birthDate: "1961-07-09", diagnosis: "Hypertension" }
const nonsense = utf8("This is not what a body looks like.")

let practice: Practice
beforeAll(async () => {
  practice = await startPractice()
})
afterAll(() => practice.close())

/** Appends an entry that verifies, with content that no honest client writes. */
async function appendRaw(work: Workspace, record: OpenRecord, body: Uint8Array, summary: Uint8Array): Promise<void> {
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

describe.each(["sealed nonsense", "sealed for another place"])("an entry that verifies and holds %s", (kind) => {
  const username = kind.replaceAll(" ", ".")

  it("is shown as unreadable with its author; the record goes on without it", async () => {
    const work = workspaceOf(await practice.register(username))
    const { id } = await createPatient(work, patient)
    const record = await work.records.open(id)
    const [key, seq, me] = [record.keys[0]!, record.head.seq + 1, work.session.physician]
    const elsewhere = kind === "sealed for another place" ? 7 : 0
    const body = await seal(key, entryPlace(id, 0, seq + elsewhere, me), nonsense)
    await appendRaw(work, record, body, await seal(key, summaryPlace(id, 0, seq + elsewhere), nonsense))

    const other = await practice.open(username, "another device")
    const read = await other.records.open(id)
    expect(read.steps.map((step) => step.unreadable)).toEqual([false, true])
    expect(read.chart).toEqual(record.chart)
    const view = viewRecord(work, read, 1, null)
    expect(view.unreadable).toHaveLength(1)
    expect(view.unreadable[0]).toMatchObject({ seq: 1 })
    expect(viewHistory(work, read).find((item) => item.seq === 1)).toMatchObject({ readable: false })

    const saved = await savePatient(other, id, 1, { ...patient, diagnosis: "Prediabetes" })
    expect(saved).toMatchObject({ saved: true, seq: 2 })
    expect(other.roster.rows.get(id)).toMatchObject({ lastName: "Kuhlman", diagnoses: ["Prediabetes"] })
  })
})
