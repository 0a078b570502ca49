import { readFile } from "node:fs/promises"
import { join } from "node:path"
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import {
  fold,
  naiveCheckpoint,
  naiveEntries,
  naiveHashes,
  naiveLeafHash,
  naiveNote,
  naivePath,
  naiveRoot,
  naiveRootFromTiles,
  naiveRootOfPath,
} from "./naive-log.ts"
import { Operated } from "./operator.ts"

let server: Operated
let about: { prefix: string; origin: string; key: Buffer }
beforeAll(async () => {
  server = await Operated.start()
  const { origin, key } = await server.sheet()
  about = { prefix: `${server.url}/log`, origin, key: Buffer.from(key, "hex") }
})
afterAll(() => server?.close())

it("the naive reader imports nothing of ours", async () => {
  const text = await readFile(join(import.meta.dirname, "naive-log.ts"), "utf8")
  expect([...text.matchAll(/from "([^"]+)"/g)].map((match) => match[1])).toEqual(["node:crypto"])
})

describe.each([0, 1, 255, 256, 257, 700])("a log of %i leaves, read by code that shares nothing with ours", (size) => {
  it("has a signed checkpoint, and bundles and hash tiles that lead to its root", async () => {
    const { prefix, origin, key } = about
    await server.grow(size)
    const checkpoint = await naiveCheckpoint(prefix, origin, key)
    expect(checkpoint.size).toBe(size)
    const entries = await naiveEntries(prefix, size)
    for (const entry of entries) expect(entry).toHaveLength(64)
    expect(naiveRoot(entries)).toEqual(checkpoint.root)
    const hashes = await naiveHashes(prefix, size)
    expect(hashes[0] ?? []).toEqual(entries.map(naiveLeafHash))
    expect(naiveRootFromTiles(hashes, size)).toEqual(checkpoint.root)
    for (const index of [0, 1, 254, 255, 256, size - 1].filter((one) => one >= 0 && one < size)) {
      const path = naivePath(index, hashes[0]!)
      expect(naiveRootOfPath(naiveLeafHash(entries[index]!), index, size, path), `leaf ${index}`).toEqual(
        checkpoint.root,
      )
    }
  })
})

it("every earlier checkpoint is a prefix of the newest tree, by tiles and by leaves", async () => {
  const { prefix, origin, key } = about
  const before = await naiveCheckpoint(prefix, origin, key)
  await server.grow(before.size + 333)
  const after = await naiveCheckpoint(prefix, origin, key)
  const hashes = await naiveHashes(prefix, after.size)
  expect(naiveRootFromTiles(hashes, before.size)).toEqual(before.root)
  expect(fold(hashes[0]!.slice(0, before.size))).toEqual(before.root)
  expect(naiveRootFromTiles(hashes, after.size)).toEqual(after.root)
})

it("a log of 65,536 + 300 leaves has tiles of level 2", { timeout: 120_000 }, async () => {
  const { prefix, origin, key } = about
  await server.grow(65_836)
  const checkpoint = await naiveCheckpoint(prefix, origin, key)
  const hashes = await naiveHashes(prefix, checkpoint.size)
  expect(hashes.map((level) => level.length)).toEqual([65_836, 257, 1])
  expect(naiveRootFromTiles(hashes, checkpoint.size)).toEqual(checkpoint.root)
  expect(fold(hashes[0]!)).toEqual(checkpoint.root)
  expect(naiveRoot(await naiveEntries(prefix, checkpoint.size))).toEqual(checkpoint.root)
})

it("the naive reader refuses what is not so", async () => {
  const { prefix, origin, key } = about
  const note = await (await fetch(`${prefix}/checkpoint`)).text()
  expect(() => naiveNote(note, `${origin}/1`, key)).toThrow("unsigned")
  expect(() => naiveNote(note, origin, Buffer.alloc(32))).toThrow()
  expect(() => naiveNote(note.replace(/\n\d+\n/, "\n1\n"), origin, key)).toThrow("signature")
})
