import { equal } from "../encoding/bytes.ts"
import { AppError } from "../errors.ts"
import type { TreeHead } from "./checkpoint.ts"
import { leafDataBytes } from "./leaf.ts"
import { Frontier, leafHash, subtrees } from "./merkle.ts"

/** Leaves [from, to) of a tree, with the complete subtrees on either side: everything that its root is made of. */
export interface Stretch {
  readonly from: number
  readonly to: number
  /** 64 B a leaf. */
  readonly data: Uint8Array
  /** Of `subtrees({ from: 0, to: from })`. */
  readonly left: readonly Uint8Array[]
  /** Of `subtrees({ from: to, to: size })`. */
  readonly right: readonly Uint8Array[]
}

/** Demands that a stretch of leaves is what stands in a tree, all of it and in this order.
 * @param sizes where the roots of smaller trees are wanted: those from `from` to `to` can be told.
 * @returns their roots. @throws TAMPERED_LOG */
export function verifyStretch(
  { from, to, data, left, right }: Stretch,
  tree: TreeHead,
  sizes: ReadonlySet<number> = new Set(),
): Map<number, Uint8Array> {
  const [before, after] = [subtrees({ from: 0, to: from }), subtrees({ from: to, to: tree.size })]
  const fits = from <= to && to <= tree.size && data.length === (to - from) * leafDataBytes
  if (!fits || before.length !== left.length || after.length !== right.length) throw new AppError("TAMPERED_LOG")
  if ([...left, ...right].some((hash) => hash.length !== 32)) throw new AppError("TAMPERED_LOG")
  const frontier = new Frontier(from, left)
  const roots = new Map<number, Uint8Array>()
  if (sizes.has(from)) roots.set(from, frontier.root())
  for (let at = 0; at < data.length; at += leafDataBytes) {
    frontier.append(leafHash(data.subarray(at, at + leafDataBytes)))
    if (sizes.has(frontier.size)) roots.set(frontier.size, frontier.root())
  }
  after.forEach(({ level }, i) => {
    frontier.append(right[i]!, level)
  })
  if (!equal(frontier.root(), tree.root)) throw new AppError("TAMPERED_LOG")
  return roots
}
