import * as fc from "fast-check"
import { expect, it } from "vitest"
import { concat } from "../encoding/bytes.ts"
import { Frontier, foldSubtrees, leafHash, subtrees } from "./merkle.ts"
import { type Stretch, verifyStretch } from "./stretch.ts"

const dataOf = (n: number) => new Uint8Array(64).fill(n % 251).with(0, Math.floor(n / 251))

/** The slow way: every subtree from its leaves. */
function hashOf({ level, index }: { level: number; index: number }): Uint8Array {
  const span = 2 ** level
  const frontier = new Frontier()
  for (let i = index * span; i < (index + 1) * span; i++) frontier.append(leafHash(dataOf(i)))
  return frontier.root()
}

function treeOf(size: number) {
  return { size, root: foldSubtrees(subtrees({ from: 0, to: size }).map(hashOf)) }
}

function stretchOf(from: number, to: number, size: number): Stretch {
  return {
    from,
    to,
    data: concat(...Array.from({ length: to - from }, (_, i) => dataOf(from + i))),
    left: subtrees({ from: 0, to: from }).map(hashOf),
    right: subtrees({ from: to, to: size }).map(hashOf),
  }
}

const refused = expect.objectContaining({ code: "TAMPERED_LOG" })

it("is taken for every part of every small tree, and tells the roots in between", () => {
  for (let size = 0; size <= 17; size++)
    for (let from = 0; from <= size; from++)
      for (let to = from; to <= size; to++) {
        const sizes = new Set(Array.from({ length: size + 1 }, (_, i) => i))
        const roots = verifyStretch(stretchOf(from, to, size), treeOf(size), sizes)
        expect([...roots.keys()]).toEqual(Array.from({ length: to - from + 1 }, (_, i) => from + i))
        for (const [at, root] of roots) expect(root).toEqual(treeOf(at).root)
      }
})

it("is refused when anything of it is another", () => {
  fc.assert(
    fc.property(fc.nat(40), fc.nat(40), fc.nat(40), fc.nat(), (a, b, c, flip) => {
      const [from, to, size] = [a, b, c].sort((x, y) => x - y) as [number, number, number]
      const good = stretchOf(from, to, size)
      const tree = treeOf(size)
      const parts = [good.data, ...good.left, ...good.right].filter((part) => part.length > 0)
      for (const part of parts) {
        part[flip % part.length]! ^= 1
        expect(() => verifyStretch(good, tree)).toThrow(refused)
        part[flip % part.length]! ^= 1
      }
      verifyStretch(good, tree)
    }),
    { numRuns: 60 },
  )
})

it("is refused with leaves missing, repeated or out of order, hashes missing or added, and the wrong place", () => {
  const good = stretchOf(5, 9, 13)
  const tree = treeOf(13)
  const leaf = (n: number) => good.data.subarray(n * 64, n * 64 + 64)
  const wrong: Stretch[] = [
    { ...good, data: good.data.subarray(64) },
    { ...good, data: good.data.subarray(1) },
    { ...good, data: concat(good.data, leaf(0)) },
    { ...good, data: concat(leaf(1), leaf(0), leaf(2), leaf(3)) },
    { ...good, data: concat(leaf(0), leaf(0), leaf(2), leaf(3)) },
    { ...good, left: good.left.slice(1) },
    { ...good, right: [...good.right, good.right[0]!] },
    { ...good, left: good.left.map((hash) => hash.subarray(1)) },
    { ...good, from: 4, to: 8 },
    { ...good, from: 9, to: 5 },
    { ...good, to: 14 },
  ]
  for (const stretch of wrong) expect(() => verifyStretch(stretch, tree)).toThrow(refused)
  expect(() => verifyStretch(good, treeOf(12))).toThrow(refused)
})
