import type { MerkleNode, NodePlace } from "../../proof/merkle.ts"
import type { Db } from "./connection.ts"

const kept = 1 << 16
const perQuery = 500

/** Loads nodes that lie in the database, under the key that `nodeKey` gives. */
export type LoadNodes = (places: readonly NodePlace[]) => Promise<Map<number, Uint8Array>>

/** One number for a place in the tree. */
export function nodeKey({ level, index }: NodePlace): number {
  return index * 64 + level
}

/** The newest nodes of the log, about 32,000 leaves' worth: receipts are proved from here. */
export class NodeCache {
  readonly #nodes = new Map<number, Uint8Array>()

  has(place: NodePlace): boolean {
    return this.#nodes.has(nodeKey(place))
  }

  get(place: NodePlace): Uint8Array | undefined {
    return this.#nodes.get(nodeKey(place))
  }

  put(node: MerkleNode): void {
    this.#nodes.set(nodeKey(node), node.hash)
    if (this.#nodes.size > kept) this.#nodes.delete(this.#nodes.keys().next().value!)
  }
}

/** Loads nodes from the table, level by level: as a stretch where they lie close together, one by one where they don't. */
export function nodeLoader(reader: Db): LoadNodes {
  return async (places) => {
    const found = new Map<number, Uint8Array>()
    for (const [level, indexes] of byLevel(places)) {
      const first = indexes[0]!
      const last = indexes.at(-1)!
      const all = reader.selectFrom("node").select(["idx", "hash"]).where("level", "=", level)
      const keep = (rows: readonly { idx: number; hash: Uint8Array }[]) => {
        for (const { idx, hash } of rows) found.set(nodeKey({ level, index: idx }), hash)
      }
      if (last - first < indexes.length * 4) {
        keep(await all.where("idx", ">=", first).where("idx", "<=", last).execute())
      } else {
        for (let at = 0; at < indexes.length; at += perQuery)
          keep(await all.where("idx", "in", indexes.slice(at, at + perQuery)).execute())
      }
    }
    return found
  }
}

function byLevel(places: readonly NodePlace[]): Map<number, number[]> {
  const levels = new Map<number, number[]>()
  for (const { level, index } of places) {
    const indexes = levels.get(level)
    if (indexes === undefined) levels.set(level, [index])
    else indexes.push(index)
  }
  for (const indexes of levels.values()) indexes.sort((a, b) => a - b)
  return levels
}
