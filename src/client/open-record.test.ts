import { expect, it } from "vitest"
import { newId, type PhysicianId, type RecordId } from "../encoding/ids.ts"
import type { ChainHead } from "../proof/chain.ts"
import type { EntryStatement, Member } from "../proof/entry.ts"
import { Growing } from "./open-record.ts"

const record = newId<"record">() as RecordId
const author = newId<"physician">() as PhysicianId
const hash = () => new Uint8Array(32)
const member = (physician: PhysicianId, until?: number): Member => ({
  physician,
  fingerprint: hash(),
  role: "writer",
  ...(until !== undefined && { until }),
})
const entry = (seq: number, members?: Member[]): EntryStatement => ({
  v: 1,
  suite: "F1",
  record,
  seq,
  epoch: 0,
  kind: "members",
  author,
  time: 0,
  seen: { size: 0, root: hash() },
  ...(members && { members }),
  grants: [{ recipient: author, hash: hash() }],
  attachments: [{ id: newId<"attachment">() as never, size: 1, total: 1, hash: hash() }],
})

it("keeps of lists of members only what changed, and nothing of grants and attachments", () => {
  const [a, b, c] = Array.from({ length: 3 }, () => newId<"physician">() as PhysicianId) as [
    PhysicianId,
    PhysicianId,
    PhysicianId,
  ]
  const lists = [
    [member(a), member(b)],
    [member(a), member(b)],
    [member(a), member(b, 5), member(c)],
    [member(a), member(c)],
    [member(b), member(c)],
  ]
  const growing = new Growing(null)
  const head = { record } as ChainHead
  for (const [seq, list] of lists.entries()) growing.add(head, entry(seq, list), "none", 0)
  growing.add(head, entry(5), "none", 0)
  const { steps } = growing
  expect(steps.map((step) => step.entry.members)).toEqual([...lists, undefined])
  for (const step of steps) expect(step.entry).not.toHaveProperty("grants")
  for (const step of steps) expect(step.entry).not.toHaveProperty("attachments")
  const at = (seq: number) => steps[seq]!.entry.members!
  expect(at(1)).toBe(at(0))
  expect(at(2)[0]).toBe(at(0)[0])
  expect(at(2)[1]).not.toBe(at(1)[1])
  expect(at(3)).toEqual([at(2)[0], at(2)[2]])
  expect(at(3)[1]).toBe(at(2)[2])
  // Opened again, it goes on from the last list.
  const next = new Growing(growing.done({} as never, false))
  next.add(head, entry(6, [member(b), member(c)]), "none", 0)
  expect(next.steps[6]!.entry.members).toBe(at(4))
})
