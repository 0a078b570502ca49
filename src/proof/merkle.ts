import { sha256 } from "#sha256"
import { equal } from "../encoding/bytes.ts"

/** Merkle tree hashing, inclusion and consistency proofs. Hashes are 32 B; sizes and indexes are whole numbers below 2^53.
 * Source: RFC 9162 §2.1. */

const leafPrefix = Uint8Array.of(0)
const nodePrefix = Uint8Array.of(1)

/** The complete subtree over leaves [index · 2^level, (index + 1) · 2^level). Level 0 is a leaf. */
export interface NodePlace {
  readonly level: number
  readonly index: number
}

export interface MerkleNode extends NodePlace {
  readonly hash: Uint8Array
}

/** Leaves from `from` up to, not including, `to`. */
export interface LeafRange {
  readonly from: number
  readonly to: number
}

export const emptyRoot: Uint8Array = sha256(new Uint8Array(0))

export function leafHash(data: Uint8Array): Uint8Array<ArrayBuffer> {
  return sha256(leafPrefix, data)
}

export function nodeHash(left: Uint8Array, right: Uint8Array): Uint8Array<ArrayBuffer> {
  return sha256(nodePrefix, left, right)
}

/** The complete subtrees that a range is made of, from left to right. */
export function subtrees({ from, to }: LeafRange): NodePlace[] {
  const places: NodePlace[] = []
  for (let at = from; at < to; ) {
    let level = 0
    let span = 1
    while (at % (span * 2) === 0 && at + span * 2 <= to) {
      span *= 2
      level++
    }
    places.push({ level, index: at / span })
    at += span
  }
  return places
}

/** The hash of a range whose complete subtrees have these hashes, from left to right. */
export function foldSubtrees(hashes: readonly Uint8Array[]): Uint8Array {
  let root = hashes.at(-1)
  if (root === undefined) return emptyRoot
  for (let i = hashes.length - 2; i >= 0; i--) root = nodeHash(hashes[i]!, root)
  return root
}

/** The ranges whose hashes make up the inclusion proof of leaf `index` in the tree of `size` leaves, in proof order. */
export function inclusionRanges(index: number, size: number): LeafRange[] {
  const path: LeafRange[] = []
  let from = 0
  let to = size
  while (to - from > 1) {
    const middle = from + splitPoint(to - from)
    if (index < middle) {
      path.push({ from: middle, to })
      to = middle
    } else {
      path.push({ from, to: middle })
      from = middle
    }
  }
  return path.reverse()
}

/** The ranges whose hashes prove a set of leaves to be in the tree of `size` leaves, from left to right: the largest that hold none of them.
 * @param indexes in rising order; of none nothing is proved */
export function setRanges(indexes: readonly number[], size: number): LeafRange[] {
  const beside: LeafRange[] = []
  const visit = (from: number, to: number, first: number, end: number): void => {
    if (first === end) beside.push({ from, to })
    else if (to - from > 1) {
      const middle = from + splitPoint(to - from)
      let cut = first
      while (cut < end && indexes[cut]! < middle) cut++
      visit(from, middle, first, cut)
      visit(middle, to, cut, end)
    }
  }
  if (indexes.length > 0) visit(0, size, 0, indexes.length)
  return beside
}

/** Whether `proof` shows that every one of these leaves is at its index in the tree of `size` leaves with `root`.
 * @param leaves hashes of leaves, in rising order of their indexes
 * @param proof the hashes of {@link setRanges} */
export function verifySet(
  leaves: readonly { readonly index: number; readonly hash: Uint8Array }[],
  size: number,
  proof: readonly Uint8Array[],
  root: Uint8Array,
): boolean {
  const rising = leaves.every(({ index }, i) => isCount(index) && index > (leaves[i - 1]?.index ?? -1) && index < size)
  if (!rising || !isCount(size) || proof.some((hash) => hash.length !== 32)) return false
  if (leaves.length === 0) return proof.length === 0
  let used = 0
  const hashOf = (from: number, to: number, first: number, end: number): Uint8Array | null => {
    if (first === end) return proof[used++] ?? null
    if (to - from === 1) return leaves[first]!.hash
    const middle = from + splitPoint(to - from)
    let cut = first
    while (cut < end && leaves[cut]!.index < middle) cut++
    const left = hashOf(from, middle, first, cut)
    const right = left && hashOf(middle, to, cut, end)
    return left && right && nodeHash(left, right)
  }
  const found = hashOf(0, size, 0, leaves.length)
  return found !== null && used === proof.length && equal(found, root)
}

/** The ranges whose hashes prove that the tree of `oldSize` leaves is a prefix of that of `size`, in proof order. */
export function consistencyRanges(oldSize: number, size: number): LeafRange[] {
  if (oldSize === 0 || oldSize === size) return []
  const path: LeafRange[] = []
  let from = 0
  let to = size
  let whole = true
  while (oldSize !== to) {
    const middle = from + splitPoint(to - from)
    if (oldSize <= middle) {
      path.push({ from: middle, to })
      to = middle
    } else {
      path.push({ from, to: middle })
      from = middle
      whole = false
    }
  }
  if (!whole) path.push({ from, to })
  return path.reverse()
}

/** Whether `proof` shows that `leaf` is at `index` in the tree of `size` leaves with `root`. RFC 9162 §2.1.3.2. */
export function verifyInclusion(
  leaf: Uint8Array,
  index: number,
  size: number,
  proof: readonly Uint8Array[],
  root: Uint8Array,
): boolean {
  if (leaf.length !== 32 || !isCount(index) || !isCount(size) || index >= size) return false
  let at = index
  let last = size - 1
  let hash = leaf
  for (const sibling of proof) {
    if (last === 0 || sibling.length !== 32) return false
    if (at % 2 === 1 || at === last) {
      hash = nodeHash(sibling, hash)
      while (at % 2 === 0 && at !== 0) {
        at /= 2
        last = Math.floor(last / 2)
      }
    } else hash = nodeHash(hash, sibling)
    at = Math.floor(at / 2)
    last = Math.floor(last / 2)
  }
  return last === 0 && equal(hash, root)
}

/** Whether `proof` shows that the tree of `oldSize` leaves with `oldRoot` is a prefix of that of `size` with `root`. RFC 9162 §2.1.4.2. */
export function verifyConsistency(
  oldSize: number,
  oldRoot: Uint8Array,
  size: number,
  root: Uint8Array,
  proof: readonly Uint8Array[],
): boolean {
  if (!isCount(oldSize) || !isCount(size) || oldSize > size) return false
  if (oldSize === size) return proof.length === 0 && equal(oldRoot, root)
  if (oldSize === 0) return proof.length === 0 && equal(oldRoot, emptyRoot)
  const path = isPowerOfTwo(oldSize) ? [oldRoot, ...proof] : proof
  let at = oldSize - 1
  let last = size - 1
  while (at % 2 === 1) {
    at = Math.floor(at / 2)
    last = Math.floor(last / 2)
  }
  const [first, ...rest] = path
  if (first === undefined) return false
  let oldHash = first
  let hash = first
  for (const sibling of rest) {
    if (last === 0 || sibling.length !== 32) return false
    if (at % 2 === 1 || at === last) {
      oldHash = nodeHash(sibling, oldHash)
      hash = nodeHash(sibling, hash)
      while (at % 2 === 0 && at !== 0) {
        at /= 2
        last = Math.floor(last / 2)
      }
    } else hash = nodeHash(hash, sibling)
    at = Math.floor(at / 2)
    last = Math.floor(last / 2)
  }
  return last === 0 && equal(oldHash, oldRoot) && equal(hash, root)
}

/** The right edge of a growing tree: the complete subtrees of its leaves, from left to right. */
export class Frontier {
  #size: number
  readonly #hashes: Uint8Array[]

  /** @param hashes of `subtrees({ from: 0, to: size })`. */
  constructor(size = 0, hashes: readonly Uint8Array[] = []) {
    this.#size = size
    this.#hashes = [...hashes]
  }

  get size(): number {
    return this.#size
  }

  get nodes(): MerkleNode[] {
    return subtrees({ from: 0, to: this.#size }).map((place, i) => ({ ...place, hash: this.#hashes[i]! }))
  }

  /** Adds a leaf, or the complete subtree of `level` that comes next and is aligned there.
   * @returns the complete nodes that came into being, the given one first. */
  append(node: Uint8Array, level = 0): MerkleNode[] {
    const span = 2 ** level
    let index = this.#size / span
    const made: MerkleNode[] = [{ level, index, hash: node }]
    let hash = node
    for (let above = level + 1; index % 2 === 1; above++) {
      hash = nodeHash(this.#hashes.pop()!, hash)
      index = Math.floor(index / 2)
      made.push({ level: above, index, hash })
    }
    this.#hashes.push(hash)
    this.#size += span
    return made
  }

  root(): Uint8Array {
    return foldSubtrees(this.#hashes)
  }

  copy(): Frontier {
    return new Frontier(this.#size, this.#hashes)
  }
}

/** The largest power of two below `n`, for n ≥ 2. */
function splitPoint(n: number): number {
  let k = 1
  while (k * 2 < n) k *= 2
  return k
}

function isPowerOfTwo(n: number): boolean {
  let k = 1
  while (k < n) k *= 2
  return k === n
}

function isCount(n: number): boolean {
  return Number.isSafeInteger(n) && n >= 0
}
