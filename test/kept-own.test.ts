import { expect, test, vi } from "vitest"
import { createPatient } from "../src/client/edits.ts"
import { AppError } from "../src/errors.ts"
import { brady, physicians } from "./colleagues.ts"
import { openPractice } from "./practice.ts"

const practice = await openPractice()
const day = 24 * 3_600_000
const sent = (bytes: number) => ({
  statement: new Uint8Array(100),
  signature: new Uint8Array(64),
  body: new Uint8Array(bytes),
})

test("what could not be written is written with the next", async () => {
  const [ada] = await physicians(practice, "ada")
  const { kept, around } = ada!.session
  const files = async () => (await around.storage.list("kept/")).filter((name) => name.includes("/own-"))
  await createPatient(ada!, brady)
  const full = vi.spyOn(around.storage, "put").mockRejectedValue(new AppError("UNAVAILABLE"))
  await kept.flush()
  expect(await files()).toEqual([])
  full.mockRestore()
  await kept.flush()
  expect(await files()).toHaveLength(1)
  await kept.flush()
  expect(await files()).toHaveLength(1)
})

test("a file is kept for as long as its newest entry is, in whatever order they were noted", async () => {
  const [bea] = await physicians(practice, "bea")
  const { kept, around } = bea!.session
  const files = async () => (await around.storage.list("kept/")).filter((name) => name.includes("/own-"))
  const own = { record: (await createPatient(bea!, brady)).id, seq: 0, hash: new Uint8Array(32), sent: sent(0) }
  const now = around.now()
  kept.own.note({ ...own, leaf: 1001, time: now })
  kept.own.note({ ...own, leaf: 1000, time: now - 29 * day })
  await kept.flush()
  const [file] = await files()
  practice.pass(2 * day)
  kept.own.note({ ...own, leaf: 1002, time: around.now() })
  await kept.flush()
  expect(await files()).toContain(file)
  practice.pass(29 * day)
  const later = await practice.open("bea")
  bea!.session.serverTime = later.session.serverTime
  kept.own.note({ ...own, leaf: 1003, time: around.now() })
  await kept.flush()
  expect(await files()).not.toContain(file)
})

test("of much that is kept the oldest is let go of, and no more than has to be", async () => {
  const [cyd] = await physicians(practice, "cyd")
  const { kept, around } = cyd!.session
  const mib = 1024 * 1024
  const bytes = async () =>
    (await around.storage.list("kept/"))
      .filter((name) => name.includes("/own-"))
      .map((name) => Number(name.split("/").at(-1)!.split("-")[3]))
      .reduce((sum, size) => sum + size, 0)
  const record = (await createPatient(cyd!, brady)).id
  const time = around.now()
  const own = (i: number) => ({
    record,
    seq: i,
    leaf: 1000 + i,
    time,
    hash: crypto.getRandomValues(new Uint8Array(32)),
  })
  // Such as an import leaves.
  for (let i = 0; i < 150; i++) kept.own.note({ ...own(i), sent: sent(60 * 1024), body: new Uint8Array(48 * 1024) })
  await kept.flush()
  expect(await bytes()).toBeGreaterThan(15 * mib)
  kept.own.note({ ...own(1000), sent: sent(0.4 * mib) })
  await kept.flush()
  const after = await bytes()
  expect(after).toBeGreaterThan(15 * mib)
  expect(after).toBeLessThanOrEqual(16 * mib)
})
