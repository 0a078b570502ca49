import { describe, expect, it } from "vitest"
import { utf8 } from "../encoding/bytes.ts"
import {
  consistencyRanges,
  Frontier,
  foldSubtrees,
  inclusionRanges,
  type LeafRange,
  leafHash,
  subtrees,
  verifyConsistency,
  verifyInclusion,
} from "./merkle.ts"

/** Bits that are needed to write n. */
const bits = (n: number) => n.toString(2).length
const ones = (n: number) => n.toString(2).replaceAll("0", "").length

/** How many hashes lie beside the way from leaf `index` to the root of `size` leaves: one for each level below the one where its way and
 * that of the last leaf part, and above it one for each complete subtree on the left. */
function inclusionLength(index: number, size: number): number {
  const inner = bits(index ^ (size - 1)) * Number(index !== size - 1)
  return inner + ones(Math.floor(index / 2 ** inner)) * Number(index >= 2 ** inner)
}

/** The old tree's right edge is the way of its last leaf, from the level where it is a whole subtree on: that subtree itself is left out
 * where it is the whole old tree. RFC 9162 §2.1.4.1 */
function consistencyLength(old: number, size: number): number {
  if (old === 0 || old === size) return 0
  let whole = 0
  while (old % 2 ** (whole + 1) === 0) whole++
  return inclusionLength(old - 1, size) - whole + (ones(old) === 1 ? 0 : 1)
}

describe("the number of hashes in a proof", () => {
  it.each([1, 2, 3, 7, 8, 9, 100, 255, 256, 257])(
    "is what theory says, for every leaf and every older size of %i leaves",
    (size) => {
      for (let index = 0; index < size; index++)
        expect(inclusionRanges(index, size).length, `leaf ${index}`).toBe(inclusionLength(index, size))
      for (let old = 0; old <= size; old++)
        expect(consistencyRanges(old, size).length, `from ${old}`).toBe(consistencyLength(old, size))
    },
  )

  it("is at most ceil(log2 n), and one more for consistency, in a log of 100,000 leaves whose proofs hold", () => {
    const size = 100_000
    const most = Math.ceil(Math.log2(size))
    const frontier = new Frontier()
    const nodes = new Map<string, Uint8Array>()
    const roots = new Map<number, Uint8Array>()
    const picked = new Set([
      1,
      2,
      65_535,
      65_536,
      65_537,
      99_999,
      ...Array.from({ length: 300 }, (_, i) => (i * 7919) % size),
    ])
    for (let index = 0; index < size; index++) {
      if (picked.has(index)) roots.set(index, frontier.root())
      for (const node of frontier.append(leafHash(utf8(`${index}`))))
        nodes.set(`${node.level}/${node.index}`, node.hash)
    }
    const root = frontier.root()
    const proof = (ranges: readonly LeafRange[]) =>
      ranges.map((range) => foldSubtrees(subtrees(range).map(({ level, index }) => nodes.get(`${level}/${index}`)!)))
    const lengths = { inclusion: [0], consistency: [0] }
    for (const at of picked) {
      const inclusion = proof(inclusionRanges(at, size))
      expect(verifyInclusion(nodes.get(`0/${at}`)!, at, size, inclusion, root), `leaf ${at}`).toBe(true)
      expect(inclusion).toHaveLength(inclusionLength(at, size))
      const consistency = proof(consistencyRanges(at, size))
      expect(verifyConsistency(at, roots.get(at)!, size, root, consistency), `from ${at}`).toBe(true)
      expect(consistency).toHaveLength(consistencyLength(at, size))
      lengths.inclusion.push(inclusion.length)
      lengths.consistency.push(consistency.length)
    }
    expect(most).toBe(17)
    expect(Math.max(...lengths.inclusion)).toBe(most)
    expect(Math.max(...lengths.consistency)).toBe(most + 1)
  })
})
