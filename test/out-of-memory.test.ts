import { expect, it, vi } from "vitest"
import { append } from "../src/client/append.ts"
import { createPatient } from "../src/client/edits.ts"
import { viewSharing } from "../src/client/sharing.ts"
import { formOf } from "../src/clinical/form.ts"
import { summaryOf } from "../src/clinical/summary.ts"
import { encodeCbor } from "../src/encoding/cbor.ts"
import { brady, physicians } from "./colleagues.ts"
import { openPractice } from "./practice.ts"

const memory = vi.hoisted(() => ({ isFull: false }))
// No test can fill a machine and go on: what the engine throws then is thrown in its place.
vi.mock("#inflate", async (importOriginal) => {
  const { inflate } = await importOriginal<typeof import("#inflate")>()
  const full = async () => new Uint8Array(Number.MAX_SAFE_INTEGER)
  return { inflate: (...args: Parameters<typeof inflate>) => (memory.isFull ? full() : inflate(...args)) }
})

const practice = await openPractice()

it("a record that does not fit here is not opened without what does not fit", async () => {
  const [ada] = await physicians(practice, "ada")
  const { id } = await createPatient(ada!, brady)
  const { head, keys, chart } = await ada!.records.open(id)
  const goal = ["Goal/1", JSON.stringify({ resourceType: "Goal", note: "x".repeat(20_000) })]
  const body = encodeCbor({ by: "Ada", changes: [goal] })
  await append(
    ada!.session,
    id,
    head,
    keys[head.epoch]!,
    { kind: "write" },
    {
      body,
      summary: summaryOf(chart),
      compress: true,
    },
  )
  const other = await practice.open("ada", "another")
  memory.isFull = true
  await expect(other.records.open(id)).rejects.toMatchObject({ code: "UNAVAILABLE_MEMORY" })
  expect((await viewSharing(other, id)).members.map(({ role }) => role)).toEqual(["owner"])
  memory.isFull = false
  // Nothing is remembered of it: it is no fault of the record's.
  const opened = await other.records.open(id)
  expect(opened.chart.resources.has("Goal/1")).toBe(true)
  expect(formOf(opened.chart).lastName).toBe(brady.lastName)
  expect(opened.steps.map(({ unreadable }) => unreadable)).toEqual([false, false])
  expect(other.roster.refused.size).toBe(0)
})
