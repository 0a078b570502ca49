import fc from "fast-check"
import { describe, expect, it } from "vitest"
import { sha256 } from "#sha256"
import { u32be, utf8 } from "../encoding/bytes.ts"
import {
  consistencyRanges,
  emptyRoot,
  Frontier,
  foldSubtrees,
  inclusionRanges,
  type LeafRange,
  leafHash,
  type MerkleNode,
  nodeHash,
  setRanges,
  subtrees,
  verifyConsistency,
  verifyInclusion,
  verifySet,
} from "./merkle.ts"

const most = 70
const leaves = Array.from({ length: most }, (_, i) => leafHash(u32be(i)))
const hex = (bytes: Uint8Array) => Buffer.from(bytes).toString("hex")

/** RFC 9162 §2.1.1, to the letter: the slow twin that everything here is held against. */
function naiveRoot(hashes: readonly Uint8Array[]): Uint8Array {
  if (hashes.length === 0) return emptyRoot
  if (hashes.length === 1) return hashes[0]!
  const k = split(hashes.length)
  return nodeHash(naiveRoot(hashes.slice(0, k)), naiveRoot(hashes.slice(k)))
}

/** RFC 9162 §2.1.3.1, PATH(m, D[n]). */
function naivePath(m: number, hashes: readonly Uint8Array[]): Uint8Array[] {
  if (hashes.length === 1) return []
  const k = split(hashes.length)
  return m < k
    ? [...naivePath(m, hashes.slice(0, k)), naiveRoot(hashes.slice(k))]
    : [...naivePath(m - k, hashes.slice(k)), naiveRoot(hashes.slice(0, k))]
}

/** RFC 9162 §2.1.4.1, SUBPROOF(m, D[n], b). */
function naiveProof(m: number, hashes: readonly Uint8Array[], whole = true): Uint8Array[] {
  if (m === hashes.length) return whole ? [] : [naiveRoot(hashes)]
  const k = split(hashes.length)
  return m <= k
    ? [...naiveProof(m, hashes.slice(0, k), whole), naiveRoot(hashes.slice(k))]
    : [...naiveProof(m - k, hashes.slice(k), false), naiveRoot(hashes.slice(0, k))]
}

function split(n: number): number {
  let k = 1
  while (k * 2 < n) k *= 2
  return k
}

const rootAt = (size: number) => naiveRoot(leaves.slice(0, size))
const range = ({ from, to }: LeafRange) => naiveRoot(leaves.slice(from, to))
const inclusionOf = (index: number, size: number) => inclusionRanges(index, size).map(range)
const consistencyOf = (oldSize: number, size: number) => consistencyRanges(oldSize, size).map(range)

describe("hashes", () => {
  // RFC 6962's reference tree, as its implementations publish it: crypto/testvectors of github.com/google/certificate-transparency
  it("are those of the published tree of eight leaves", () => {
    const inputs = ["", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f"]
    const published = inputs.map((input) => leafHash(Buffer.from(input, "hex")))
    expect(hex(emptyRoot)).toBe("e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855")
    expect(hex(published[0]!)).toBe("6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d")
    expect(hex(naiveRoot(published.slice(0, 2)))).toBe(
      "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    )
    expect(hex(naiveRoot(published))).toBe("5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328")
  })

  it("tell a leaf from a node", () => {
    expect(hex(leafHash(utf8("x")))).toBe(hex(sha256(Uint8Array.of(0), utf8("x"))))
    const [a, b] = [leaves[0]!, leaves[1]!]
    expect(hex(nodeHash(a, b))).not.toBe(hex(leafHash(Uint8Array.of(...a, ...b))))
  })
})

describe("a growing tree", () => {
  it("has the root of RFC 9162 at every size, and gives out every complete node once", () => {
    const frontier = new Frontier()
    const made: MerkleNode[] = []
    for (let size = 0; size <= most; size++) {
      expect(frontier.size).toBe(size)
      expect(hex(frontier.root())).toBe(hex(rootAt(size)))
      expect(frontier.nodes.map(({ level, index }) => ({ level, index }))).toEqual(subtrees({ from: 0, to: size }))
      const resumed = new Frontier(
        size,
        frontier.nodes.map((node) => node.hash),
      )
      expect(hex(resumed.root())).toBe(hex(frontier.root()))
      if (size < most) made.push(...frontier.append(leaves[size]!))
    }
    for (const { level, index, hash } of made)
      expect(hex(hash)).toBe(hex(range({ from: index * 2 ** level, to: (index + 1) * 2 ** level })))
    expect(new Set(made.map(({ level, index }) => `${level}/${index}`)).size).toBe(made.length)
  })

  it("grows in a copy without growing itself", () => {
    const frontier = new Frontier()
    for (const leaf of leaves.slice(0, 5)) frontier.append(leaf)
    const copy = frontier.copy()
    copy.append(leaves[5]!)
    expect([frontier.size, copy.size]).toEqual([5, 6])
    expect(hex(frontier.root())).toBe(hex(rootAt(5)))
    expect(hex(copy.root())).toBe(hex(rootAt(6)))
  })

  it("cuts a range of a proof into its complete subtrees", () => {
    for (let size = 1; size <= most; size++) {
      const ranges = Array.from({ length: size }, (_, i) => [
        ...inclusionRanges(i, size),
        ...consistencyRanges(i + 1, size),
      ]).flat()
      for (const one of ranges) {
        const hashes = subtrees(one).map(({ level, index }) =>
          range({ from: index * 2 ** level, to: (index + 1) * 2 ** level }),
        )
        expect(hex(foldSubtrees(hashes))).toBe(hex(range(one)))
      }
    }
  })
})

describe("inclusion proofs", () => {
  it("are those of RFC 9162, and verify for their own leaf, index and size alone", () => {
    for (let size = 1; size <= 33; size++) {
      for (let index = 0; index < size; index++) {
        const proof = inclusionOf(index, size)
        expect(proof.map(hex)).toEqual(naivePath(index, leaves.slice(0, size)).map(hex))
        for (let other = 0; other < size; other++)
          expect(verifyInclusion(leaves[other]!, other, size, proof, rootAt(size))).toBe(other === index)
        expect(verifyInclusion(leaves[(index + 1) % most]!, index, size, proof, rootAt(size))).toBe(false)
        expect(verifyInclusion(leaves[index]!, index, size + 1, proof, rootAt(size + 1))).toBe(false)
      }
    }
  })

  it("fail with any hash changed, dropped, added or cut", () => {
    const property = fc.property(fc.integer({ min: 2, max: most }), fc.nat(), fc.nat(), (size, a, b) => {
      const index = a % size
      const proof = inclusionOf(index, size)
      const at = b % proof.length
      const check = (other: readonly Uint8Array[]) => verifyInclusion(leaves[index]!, index, size, other, rootAt(size))
      expect(check(proof)).toBe(true)
      expect(check(proof.with(at, flipped(proof[at]!, b)))).toBe(false)
      expect(check(proof.toSpliced(at, 1))).toBe(false)
      expect(check(proof.toSpliced(at, 0, leaves[0]!))).toBe(false)
      expect(check(proof.with(at, proof[at]!.subarray(1)))).toBe(false)
    })
    fc.assert(property)
  })

  it("are refused at places that no tree has", () => {
    const root = rootAt(1)
    for (const [index, size] of [
      [1, 1],
      [-1, 1],
      [0, 0],
      [0.5, 1],
      [0, Number.NaN],
      [0, 2 ** 53],
    ] as const)
      expect(verifyInclusion(leaves[0]!, index, size, [], root)).toBe(false)
    expect(verifyInclusion(leaves[0]!.subarray(1), 0, 1, [], leaves[0]!.subarray(1))).toBe(false)
  })
})

describe("consistency proofs", () => {
  it("are those of RFC 9162, and verify for their own sizes and roots alone", () => {
    for (let size = 1; size <= most; size++) {
      for (let old = 1; old <= size; old++) {
        const proof = consistencyOf(old, size)
        expect(proof.map(hex)).toEqual(naiveProof(old, leaves.slice(0, size)).map(hex))
        expect(verifyConsistency(old, rootAt(old), size, rootAt(size), proof)).toBe(true)
        expect(verifyConsistency(old, leaves[3]!, size, rootAt(size), proof)).toBe(false)
        expect(verifyConsistency(old, rootAt(old), size, leaves[3]!, proof)).toBe(false)
      }
    }
  })

  it("fail for a tree that forked before the old size", () => {
    const property = fc.property(fc.integer({ min: 2, max: most }), fc.nat(), fc.nat(), (size, a, b) => {
      const old = 1 + (a % (size - 1))
      const forked = leaves.slice(0, size).with(b % old, leafHash(utf8("another")))
      const ranges = consistencyRanges(old, size)
      const proof = ranges.map(({ from, to }) => naiveRoot(forked.slice(from, to)))
      expect(verifyConsistency(old, naiveRoot(forked.slice(0, old)), size, naiveRoot(forked), proof)).toBe(true)
      expect(verifyConsistency(old, rootAt(old), size, naiveRoot(forked), proof)).toBe(false)
      expect(verifyConsistency(old, rootAt(old), size, naiveRoot(forked), consistencyOf(old, size))).toBe(false)
    })
    fc.assert(property)
  })

  it("fail with any hash changed, dropped, added or cut, and backwards", () => {
    const property = fc.property(fc.integer({ min: 3, max: most }), fc.nat(), fc.nat(), (size, a, b) => {
      const old = 1 + (a % (size - 1))
      const proof = consistencyOf(old, size)
      const at = b % proof.length
      const check = (other: readonly Uint8Array[]) => verifyConsistency(old, rootAt(old), size, rootAt(size), other)
      expect(check(proof)).toBe(true)
      expect(check(proof.with(at, flipped(proof[at]!, b)))).toBe(false)
      expect(check(proof.toSpliced(at, 1))).toBe(false)
      expect(check([...proof, leaves[0]!])).toBe(false)
      expect(check(proof.with(at, proof[at]!.subarray(1)))).toBe(false)
      expect(verifyConsistency(size, rootAt(size), old, rootAt(old), proof)).toBe(false)
    })
    fc.assert(property)
  })

  it("need nothing from the empty tree, and nothing to the same one", () => {
    expect(verifyConsistency(0, emptyRoot, 9, rootAt(9), [])).toBe(true)
    expect(verifyConsistency(0, rootAt(1), 9, rootAt(9), [])).toBe(false)
    expect(verifyConsistency(0, emptyRoot, 9, rootAt(9), [leaves[0]!])).toBe(false)
    expect(verifyConsistency(9, rootAt(9), 9, rootAt(9), [])).toBe(true)
    expect(verifyConsistency(9, rootAt(9), 9, rootAt(8), [])).toBe(false)
    expect(verifyConsistency(3, rootAt(3), 9, rootAt(9), [])).toBe(false)
  })
})

function flipped(bytes: Uint8Array, n: number): Uint8Array {
  const at = n % bytes.length
  return bytes.with(at, bytes[at]! ^ (1 << (n % 8)))
}

describe("a set of leaves, proved at once", () => {
  const sets = fc
    .tuple(fc.integer({ min: 1, max: most }), fc.uniqueArray(fc.nat(most - 1), { minLength: 1 }))
    .map(([size, all]) => ({ size, indexes: all.filter((index) => index < size).sort((a, b) => a - b) }))
    .filter(({ indexes }) => indexes.length > 0)
  const proofOf = (indexes: readonly number[], size: number) => setRanges(indexes, size).map(range)
  const listed = (indexes: readonly number[]) => indexes.map((index) => ({ index, hash: leaves[index]! }))

  it("proves what is there, for any set in any tree", () => {
    fc.assert(
      fc.property(sets, ({ size, indexes }) => {
        expect(verifySet(listed(indexes), size, proofOf(indexes, size), rootAt(size))).toBe(true)
      }),
    )
  })

  it("is an inclusion proof for a single leaf, but for the order of its hashes", () => {
    for (let size = 1; size <= 20; size++)
      for (let index = 0; index < size; index++)
        expect(proofOf([index], size).map(hex).sort()).toEqual(inclusionOf(index, size).map(hex).sort())
  })

  it("proves nothing that is changed: a leaf, its place, a hash, the number of hashes, the root", () => {
    fc.assert(
      fc.property(sets, fc.nat(), ({ size, indexes }, pick) => {
        const proof = proofOf(indexes, size)
        const good = listed(indexes)
        const at = pick % good.length
        const other = leafHash(u32be(1000 + pick))
        const root = rootAt(size)
        const refused = (list: typeof good, hashes = proof, ofRoot = root) =>
          expect(verifySet(list, size, hashes, ofRoot)).toBe(false)
        refused(good.with(at, { index: good[at]!.index, hash: other }))
        refused(good.with(at, { index: good[at]!.index + 1, hash: good[at]!.hash }))
        if (good.length > 1) refused(good.toSpliced(at, 1))
        refused([...good, good[at]!])
        if (good.length > 1) refused([...good].reverse())
        refused(good, [...proof, other])
        if (proof.length > 0) {
          refused(good, proof.with(pick % proof.length, other))
          refused(good, proof.with(pick % proof.length, other.subarray(1)))
          refused(good, proof.slice(1))
        }
        refused(good, proof, other)
      }),
    )
  })

  it("says nothing of no leaves, and takes no hashes for that", () => {
    expect(setRanges([], 9)).toEqual([])
    expect(verifySet([], 9, [], rootAt(9))).toBe(true)
    expect(verifySet([], 9, [rootAt(9)], rootAt(9))).toBe(false)
  })
})
