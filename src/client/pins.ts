import { z } from "zod"
import { equal, parseUtf8, utf8 } from "../encoding/bytes.ts"
import { encodeCbor, parseCbor } from "../encoding/cbor.ts"
import { type DeviceId, isId, newId, type PhysicianId, type PracticeId, type RecordId } from "../encoding/ids.ts"
import { AppError } from "../errors.ts"
import { sameTree, type TreeHead } from "../proof/checkpoint.ts"
import { emptyRoot } from "../proof/merkle.ts"
import { bytesOf, count, type Signed, statementHash } from "../proof/statement.ts"
import type { PhysicianKey } from "../vault/keys.ts"
import { cachePlace } from "../vault/places.ts"
import { open, seal } from "../vault/seal.ts"
import type { PinnedHead } from "./changes.ts"
import type { ClientStorage } from "./storage.ts"

const tree = z.strictObject({ size: count, root: bytesOf(32) })
const schema = z.strictObject({
  v: z.literal(1),
  tree,
  /** Trees that another tab or process saw and that are not yet proved to be prefixes of `tree`. */
  others: z.array(tree),
  /** The newest identity of the physician's own. */
  identity: z.strictObject({ seq: count, hash: bytesOf(32) }).optional(),
  keyring: count,
  /** Record, seq, hash, and the index of the head's leaf, which version 0.1 did not keep. */
  heads: z.array(z.tuple([z.custom<RecordId>(isId), count, bytesOf(32)]).rest(count)),
})
type Stored = z.output<typeof schema>

const maxBytes = 16 * 1024 * 1024

/** What this device remembers and never lets the server take back. Sealed under the physician key; only grows; survives sign-out. */
export class Pins {
  readonly #storage: ClientStorage
  readonly #key: PhysicianKey
  readonly #physician: PhysicianId
  readonly #device: DeviceId
  readonly #name: string
  #tree: TreeHead = { size: 0, root: emptyRoot }
  #known: TreeHead = { size: 0, root: emptyRoot }
  others: readonly TreeHead[] = []
  #identity: PinnedHead | null = null
  keyring = 0
  readonly heads = new Map<RecordId, PinnedHead & { readonly leaf: number }>()

  /** Records that the physician was seen to leave: what another tab still remembers of them does not count. */
  readonly #dropped = new Set<RecordId>()

  private constructor(
    storage: ClientStorage,
    key: PhysicianKey,
    physician: PhysicianId,
    device: DeviceId,
    name: string,
  ) {
    this.#storage = storage
    this.#key = key
    this.#physician = physician
    this.#device = device
    this.#name = name
  }

  /** @throws CANNOT_OPEN when what is stored is not this physician's or was damaged: never silently forgotten. */
  static async load(
    storage: ClientStorage,
    key: PhysicianKey,
    practice: PracticeId,
    physician: PhysicianId,
  ): Promise<Pins> {
    const device = await deviceOf(storage)
    const pins = new Pins(storage, key, physician, device, `pins/${practice}/${physician}`)
    const stored = await pins.#read()
    if (stored !== null) pins.#take(stored)
    return pins
  }

  get device(): DeviceId {
    return this.#device
  }

  get tree(): TreeHead {
    return this.#tree
  }

  /** Moves the tree forward; the caller has verified that it is consistent. */
  moveTree(to: TreeHead): void {
    if (to.size > this.#tree.size) this.#tree = to
  }

  /** Remembers the newest identity. @throws TAMPERED_ROLLBACK unless the chain goes on from the one that is remembered */
  moveIdentity(chain: readonly Signed[]): void {
    const pinned = this.#identity
    const there = pinned === null ? undefined : chain[pinned.seq]
    if (pinned !== null && (there === undefined || !equal(statementHash(there.statement), pinned.hash)))
      throw new AppError("TAMPERED_ROLLBACK")
    this.#identity = { seq: chain.length - 1, hash: statementHash(chain.at(-1)!.statement) }
  }

  /** An identity that was verified to follow the one that is remembered. */
  addIdentity({ seq, hash }: PinnedHead): void {
    this.#identity = { seq, hash }
  }

  /** Forgets a record that the physician left or was removed from, by an entry that was verified. */
  drop(record: RecordId): void {
    this.heads.delete(record)
    this.#dropped.add(record)
  }

  /** Remembers a head; one that is older changes nothing. */
  moveHead(record: RecordId, head: PinnedHead & { readonly leaf: number }): void {
    if (head.seq <= (this.heads.get(record)?.seq ?? -1)) return
    this.heads.set(record, head)
    this.#dropped.delete(record)
  }

  /** Merges with what other tabs or processes stored meanwhile, and stores the result.
   * @param covered heads that the roster, which the keyring's number pins, covers: they need not be kept here as well. */
  async save(covered: (record: RecordId, seq: number) => boolean = () => false): Promise<void> {
    await this.#storage.exclusive(this.#name, async () => {
      const stored = await this.#read()
      if (stored !== null) this.#merge(stored)
      for (const [record, { seq }] of this.heads) if (covered(record, seq)) this.heads.delete(record)
      const plain: Stored = {
        v: 1,
        tree: { ...this.#tree },
        others: this.others.map((other) => ({ ...other })),
        ...(this.#identity === null ? {} : { identity: { ...this.#identity } }),
        keyring: this.keyring,
        heads: [...this.heads].map(([record, head]) => [record, head.seq, head.hash, head.leaf]),
      }
      const place = cachePlace(this.#physician, this.#device, "pins")
      await this.#storage.put(this.#name, await seal(this.#key, place, encodeCbor(plain)))
      this.#known = this.#tree
    })
  }

  async #read(): Promise<Stored | null> {
    const token = await this.#storage.get(this.#name)
    if (token === null) return null
    const place = cachePlace(this.#physician, this.#device, "pins")
    try {
      return schema.parse(parseCbor(await open(this.#key, place, token), maxBytes))
    } catch (cause) {
      throw new AppError(
        "CANNOT_OPEN",
        "What this device remembers of the practice cannot be opened. Keep its file for whoever looks into it, move it away, and sign in again.",
        { cause },
      )
    }
  }

  #take(stored: Stored): void {
    this.#tree = stored.tree
    this.#known = stored.tree
    this.others = stored.others
    this.#identity = stored.identity ?? null
    this.keyring = stored.keyring
    for (const [record, seq, hash, leaf = Number.MAX_SAFE_INTEGER] of stored.heads)
      this.heads.set(record, { seq, hash, leaf })
  }

  #merge(stored: Stored): void {
    const strange = [stored.tree, ...stored.others].filter(
      (other) => !sameTree(other, this.#tree) && !sameTree(other, this.#known),
    )
    this.others = [...this.others, ...strange.filter((a) => !this.others.some((b) => sameTree(a, b)))]
    if (stored.identity !== undefined && stored.identity.seq > (this.#identity?.seq ?? -1))
      this.#identity = stored.identity
    this.keyring = Math.max(this.keyring, stored.keyring)
    for (const [record, seq, hash, leaf = Number.MAX_SAFE_INTEGER] of stored.heads) {
      if (this.#dropped.has(record)) continue
      const known = this.heads.get(record)
      if (known?.seq === seq && !equal(known.hash, hash)) throw new AppError("TAMPERED_FORK")
      if (seq > (known?.seq ?? -1)) this.heads.set(record, { seq, hash, leaf })
    }
  }
}

/** This device's id: random, no secret, made once. */
async function deviceOf(storage: ClientStorage): Promise<DeviceId> {
  return storage.exclusive("device", async () => {
    const stored = await storage.get("device")
    if (stored !== null) {
      const text = parseUtf8(stored)
      if (isId(text)) return text as DeviceId
    }
    const device = newId<"device">() as DeviceId
    await storage.put("device", utf8(device))
    return device
  })
}
