import type { Checkpoint } from "../../proof/checkpoint.ts"
import {
  consistencyRanges,
  emptyRoot,
  type Frontier,
  foldSubtrees,
  inclusionRanges,
  type LeafRange,
  leafHash,
  type MerkleNode,
  type NodePlace,
  setRanges,
  subtrees,
} from "../../proof/merkle.ts"
import type { LeafInfo, LogState, Receipt } from "../../protocol/log.ts"
import { type LoadNodes, NodeCache, nodeKey } from "./node-cache.ts"

/** The log at one committed size. */
export interface TreeState extends Checkpoint {
  /** The signed checkpoint. */
  readonly note: string
}

/** A tree that has grown by a batch and is not committed yet. */
export interface Growth {
  readonly frontier: Frontier
  readonly nodes: readonly MerkleNode[]
  readonly state: TreeState
}

const keptRoots = 4096

/** The Merkle tree of the log as far as it is committed: its right edge and newest nodes in memory, the rest in the database.
 * Proofs: RFC 9162 §2.1.3, §2.1.4. */
export class Tree {
  readonly #load: LoadNodes
  readonly #kept = new NodeCache()
  readonly #roots = new Map<number, Uint8Array>()
  #frontier: Frontier
  #state: TreeState

  constructor(frontier: Frontier, state: TreeState, load: LoadNodes) {
    this.#load = load
    this.#frontier = frontier
    this.#state = state
    this.#roots.set(0, emptyRoot)
    this.#keep(frontier.nodes, state)
  }

  /** The newest committed state. */
  get state(): TreeState {
    return this.#state
  }

  /** What the tree becomes with these leaves' data; changes nothing. */
  grow(data: readonly Uint8Array[], sign: (checkpoint: Checkpoint) => string): Growth {
    const frontier = this.#frontier.copy()
    const nodes = data.flatMap((leaf) => frontier.append(leafHash(leaf)))
    const checkpoint = { origin: this.#state.origin, size: frontier.size, root: frontier.root() }
    return { frontier, nodes, state: { ...checkpoint, note: sign(checkpoint) } }
  }

  /** Makes a growth the newest state: after its commit, and before anything else is told about it. */
  publish({ frontier, nodes, state }: Growth): void {
    this.#frontier = frontier
    this.#state = state
    this.#keep(nodes, state)
  }

  /** The root that the tree had at `size`, null where it has not grown so far. */
  async rootAt(size: number): Promise<Uint8Array | null> {
    if (size > this.#state.size) return null
    return this.#roots.get(size) ?? (await this.#hashes([[{ from: 0, to: size }]]))[0]![0]!
  }

  /** Proves that leaves are under `state`, each by its own path. */
  inclusions(indexes: readonly number[], state: TreeState): Promise<Uint8Array[][]> {
    return this.#hashes(indexes.map((index) => inclusionRanges(index, state.size)))
  }

  /** Proves that all of these leaves, in rising order, are under `state`, at once. */
  async setProof(indexes: readonly number[], state: TreeState): Promise<Uint8Array[]> {
    return (await this.#hashes([setRanges(indexes, state.size)]))[0]!
  }

  /** The checkpoint of `state`, and the proof that the tree of size `since` is a prefix of it; a larger `since` gets none. */
  async logState(since: number, state: TreeState = this.#state): Promise<LogState> {
    const ranges = since < state.size ? consistencyRanges(since, state.size) : []
    const [consistency] = await this.#hashes([ranges])
    return { checkpoint: state.note, consistency: consistency! }
  }

  /** What a committed write is acknowledged with. */
  async receipt(leaf: LeafInfo, since: number): Promise<Receipt> {
    const state = this.#state
    const ranges = since < state.size ? consistencyRanges(since, state.size) : []
    const [inclusion, consistency] = await this.#hashes([inclusionRanges(leaf.index, state.size), ranges])
    return { leaf, inclusion: inclusion!, log: { checkpoint: state.note, consistency: consistency! } }
  }

  /** Proves that the trees of these sizes are prefixes of that of `to` leaves, which the log has reached. */
  prefixes(sizes: readonly number[], to: number): Promise<Uint8Array[][]> {
    return this.#hashes(sizes.map((size) => consistencyRanges(size, to)))
  }

  /** The hashes of complete subtrees, list by list. */
  nodes(lists: readonly (readonly NodePlace[])[]): Promise<Uint8Array[][]> {
    return this.#hashes(lists.map((places) => places.map(rangeOf)))
  }

  async #hashes(proofs: readonly (readonly LeafRange[])[]): Promise<Uint8Array[][]> {
    const parts = proofs.map((ranges) => ranges.map(subtrees))
    const missing = new Map<number, NodePlace>()
    for (const places of parts.flat())
      for (const place of places) if (!this.#kept.has(place)) missing.set(nodeKey(place), place)
    const loaded = missing.size > 0 ? await this.#load([...missing.values()]) : null
    const hash = (place: NodePlace): Uint8Array => {
      const found = loaded?.get(nodeKey(place)) ?? this.#kept.get(place)
      if (found === undefined) throw new Error(`the log lacks node ${place.level}/${place.index}`)
      return found
    }
    return parts.map((ranges) => ranges.map((places) => foldSubtrees(places.map(hash))))
  }

  #keep(nodes: readonly MerkleNode[], state: TreeState): void {
    for (const node of nodes) this.#kept.put(node)
    this.#roots.set(state.size, state.root)
    if (this.#roots.size > keptRoots) this.#roots.delete(this.#roots.keys().next().value!)
  }
}

function rangeOf({ level, index }: NodePlace): LeafRange {
  const span = 2 ** level
  return { from: index * span, to: (index + 1) * span }
}
