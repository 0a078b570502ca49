import { foldSubtrees, type LeafRange, subtrees } from "../src/proof/merkle.ts"

/** The hash of a range of a tree. @param leaves the hashes of all of its leaves */
export function rangeHash(leaves: readonly Uint8Array[], range: LeafRange): Uint8Array {
  const complete = (level: number, index: number): Uint8Array =>
    level === 0 ? leaves[index]! : foldSubtrees([complete(level - 1, 2 * index), complete(level - 1, 2 * index + 1)])
  return foldSubtrees(subtrees(range).map(({ level, index }) => complete(level, index)))
}
