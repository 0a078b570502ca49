import { equal } from "../encoding/bytes.ts"
import type { RecordId } from "../encoding/ids.ts"
import { AppError, type ErrorCode } from "../errors.ts"
import { openNote, type TreeHead } from "../proof/checkpoint.ts"
import { type Leaf, leafData } from "../proof/leaf.ts"
import { leafHash, verifyConsistency, verifyInclusion, verifySet } from "../proof/merkle.ts"
import type { LeafInfo, LogState, Receipt } from "../protocol/log.ts"
import type { Pins } from "./pins.ts"

/** What is kept of a log that was refused: public, signed by the server itself. */
export interface LogRefusal {
  readonly error: AppError
  readonly checkpoint: string
  readonly pinned: TreeHead
  /** Records that the physician's own devices have bound and that are missing or older here, as far as they can be named. */
  readonly missing?: readonly RecordId[]
}

export interface LogIdentity {
  readonly origin: string
  readonly logKey: Uint8Array
}

const prefixesAtOnce = 1000
const keptPrefixes = 10_000
const namedAtMost = 5

/** The client's view of the practice's log: it only ever moves from one verified tree to a larger one. */
export class LogView {
  readonly #identity: LogIdentity
  readonly #pins: Pins
  /** The first thing that did not check. From then on nothing more is asked of this server. */
  refusal: LogRefusal | null = null
  /** Roots that were proved to be of earlier trees of this log, by size. */
  readonly #prefixes = new Map<number, Uint8Array>()
  #turn: Promise<unknown> = Promise.resolve()

  constructor(identity: LogIdentity, pins: Pins) {
    this.#identity = identity
    this.#pins = pins
  }

  get tree(): TreeHead {
    return this.#pins.tree
  }

  /** Runs one exchange with the server at a time, so that every answer proves itself against the tree that the last one left.
   * @param ask gets the size to name as `since`; its answer's `log` is verified before anybody sees it. */
  exchange<Answer>(
    ask: (tree: TreeHead) => Promise<Answer>,
    logOf: (answer: Answer) => LogState,
  ): Promise<{ answer: Answer; tree: TreeHead }> {
    const run = async () => {
      if (this.refusal !== null) throw this.refusal.error
      const from = this.#pins.tree
      const answer = await ask(from)
      const tree = await this.prove(from, logOf(answer))
      this.#pins.moveTree(tree)
      return { answer, tree }
    }
    const next = this.#turn.then(run, run)
    this.#turn = next.catch(() => {})
    return next
  }

  /** Demands that trees which others say they have seen are prefixes of the one that this client stands on.
   * @param roots of trees that are known to be, by size.
   * @param ask fetches the proofs for trees of these sizes up to one of size `to`.
   * @throws TAMPERED_FORK, which is the end of this log */
  async proveSeen(
    seen: readonly TreeHead[],
    roots: ReadonlyMap<number, Uint8Array>,
    ask: (to: number, sizes: readonly number[]) => Promise<readonly (readonly Uint8Array[])[]>,
  ): Promise<void> {
    const open = new Map<number, Uint8Array>()
    for (const { size, root } of seen) {
      const known = roots.get(size) ?? this.#prefixes.get(size) ?? open.get(size)
      if (known === undefined) open.set(size, root)
      else if (!equal(known, root)) throw this.refuse("TAMPERED_FORK")
    }
    const sizes = [...open.keys()]
    for (let at = 0; at < sizes.length; at += prefixesAtOnce) {
      const tree = this.tree
      const part = sizes.slice(at, at + prefixesAtOnce)
      if (part.some((size) => size > tree.size)) throw this.refuse("TAMPERED_FORK")
      const proofs = await ask(tree.size, part)
      part.forEach((size, i) => {
        if (!verifyConsistency(size, open.get(size)!, tree.size, tree.root, proofs[i] ?? []))
          throw this.refuse("TAMPERED_FORK")
      })
    }
    for (const [size, root] of [...roots, ...open]) this.#prefixes.set(size, root)
    for (const size of this.#prefixes.keys()) {
      if (this.#prefixes.size <= keptPrefixes) break
      this.#prefixes.delete(size)
    }
  }

  /** Demands that a receipt's leaf is this one and is in the log. @throws TAMPERED_LOG, which is the end of this log */
  checkReceipt({ leaf: info, inclusion, log }: Receipt, leaf: Omit<Leaf, "salt" | "time">, tree: TreeHead): void {
    if (!this.has(info, inclusion, leaf, tree)) throw this.refuse("TAMPERED_LOG", log.checkpoint)
  }

  /** Demands that leaves, in rising order of their indexes, are all in `tree`. @throws TAMPERED_LOG */
  checkLeaves(
    leaves: readonly { readonly info: LeafInfo; readonly leaf: Omit<Leaf, "salt" | "time"> }[],
    proof: readonly Uint8Array[],
    tree: TreeHead,
  ): void {
    const hashed = leaves.map(({ info: { index, salt, time }, leaf }) => ({
      index,
      hash: leafHash(leafData({ ...leaf, salt, time })),
    }))
    if (!verifySet(hashed, tree.size, proof, tree.root)) throw new AppError("TAMPERED_LOG")
  }

  /** Demands that a leaf is in `tree`. @throws TAMPERED_LOG */
  checkLeaf(info: LeafInfo, inclusion: readonly Uint8Array[], leaf: Omit<Leaf, "salt" | "time">, tree: TreeHead): void {
    if (!this.has(info, inclusion, leaf, tree)) throw new AppError("TAMPERED_LOG")
  }

  /** Whether a leaf is in `tree`. */
  has(info: LeafInfo, inclusion: readonly Uint8Array[], leaf: Omit<Leaf, "salt" | "time">, tree: TreeHead): boolean {
    const hash = leafHash(leafData({ ...leaf, salt: info.salt, time: info.time }))
    return verifyInclusion(hash, info.index, tree.size, inclusion, tree.root)
  }

  /** Opens an answer's checkpoint and demands that `from` is a prefix of it. The pins do not move.
   * @throws TAMPERED_LOG, TAMPERED_ROLLBACK, TAMPERED_FORK */
  async prove(from: TreeHead, log: LogState): Promise<TreeHead> {
    try {
      return await this.#prove(from, log)
    } catch (error) {
      if (error instanceof AppError && error.is("TAMPERED"))
        this.refusal ??= { error, checkpoint: log.checkpoint, pinned: from }
      throw error
    }
  }

  /** Refuses the whole log for a reason that somebody else found. @returns the error to throw */
  refuse(code: ErrorCode, checkpoint = ""): AppError {
    this.refusal ??= { error: new AppError(code), checkpoint, pinned: this.#pins.tree }
    return this.refusal.error
  }

  /** Refuses a log in which records are missing, or older than the physician's own keyring has them. @returns the error to throw */
  refuseMissing(missing: readonly RecordId[]): AppError {
    const names = missing.slice(0, namedAtMost).join(", ")
    const named = missing.length > namedAtMost ? `${names} and ${missing.length - namedAtMost} more` : names
    const error = new AppError(
      "TAMPERED_ROLLBACK",
      `The server keeps back records, or newer versions of records, that your devices have seen${named && `: ${named}`}. Stop and call whoever runs your server.`,
    )
    this.refusal ??= { error, checkpoint: "", pinned: this.#pins.tree, missing }
    return this.refusal.error
  }

  async #prove(from: TreeHead, log: LogState): Promise<TreeHead> {
    const { size, root } = await openNote(log.checkpoint, this.#identity.origin, this.#identity.logKey)
    if (size < from.size) throw new AppError("TAMPERED_ROLLBACK")
    if (
      size === from.size
        ? !equal(root, from.root)
        : !verifyConsistency(from.size, from.root, size, root, log.consistency)
    )
      throw new AppError("TAMPERED_FORK")
    return { size, root }
  }
}
