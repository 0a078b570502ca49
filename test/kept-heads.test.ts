import { expect, test } from "vitest"
import { createPatient } from "../src/client/edits.ts"
import type { RosterRow } from "../src/client/roster-row.ts"
import { encodeBase64url } from "../src/encoding/base64.ts"
import { newId, type PhysicianId, type RecordId } from "../src/encoding/ids.ts"
import { encodeChainHead } from "../src/proof/chain-head.ts"
import { brady, physicians } from "./colleagues.ts"
import { openPractice } from "./practice.ts"

const practice = await openPractice()
const random = (n: number) => crypto.getRandomValues(new Uint8Array(n))

test("the heads of 12,000 patients who are shared with nine colleagues are kept for a restore", {
  timeout: 120_000,
}, async () => {
  const [ada] = await physicians(practice, "ada")
  const { id } = await createPatient(ada!, brady)
  const row = ada!.roster.rows.get(id)!
  const members = Array.from({ length: 10 }, (_, i) => ({
    physician: newId<"physician">() as PhysicianId,
    fingerprint: random(32),
    role: i === 0 ? ("owner" as const) : ("reader" as const),
  }))
  const rows: RosterRow[] = Array.from({ length: 12_000 }, (_, i) => {
    const record = newId<"record">() as RecordId
    const chain = encodeChainHead({
      record,
      seq: 9,
      hash: random(32),
      epoch: 0,
      members,
      commits: new Map([[0, random(32)]]),
      mustRaise: false,
      settled: 5,
      leaf: 1000 + i,
      seen: new Map([[members[0]!.physician, { size: 900, root: random(32) }]]),
    })
    return { ...row, id: record, seq: 9, hash: encodeBase64url(random(32)), leaf: 1000 + i, chain }
  })
  const { kept, around } = ada!.session
  await kept.keepHeads(rows)
  const files = (await around.storage.list("kept/")).filter((name) => name.includes("/heads-"))
  expect(files).toHaveLength(2)
  // What was kept before goes, and what is kept already is not written again.
  await kept.keepHeads(rows.slice(1))
  const others = (await around.storage.list("kept/")).filter((name) => name.includes("/heads-"))
  expect(others).toHaveLength(2)
  expect(others.some((name) => files.includes(name))).toBe(false)
  await kept.keepHeads(rows.slice(2, 12))
  expect((await around.storage.list("kept/")).filter((name) => name.includes("/heads-"))).toHaveLength(1)
})
