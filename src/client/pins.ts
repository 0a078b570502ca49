import { z } from "zod"
import { encodeHex, equal, parseUtf8, utf8 } from "../encoding/bytes.ts"
import { encodeCbor, parseCbor } from "../encoding/cbor.ts"
import { type DeviceId, isId, newId, type PhysicianId, type PracticeId, type RecordId } from "../encoding/ids.ts"
import { demandKnownVersion, unreadable } from "../encoding/sealed-version.ts"
import { AppError } from "../errors.ts"
import { sameTree, type TreeHead } from "../proof/checkpoint.ts"
import type { Unlock } from "../proof/identity.ts"
import { emptyRoot } from "../proof/merkle.ts"
import { anyBytes, bytesOf, count, type Signed, statementHash } from "../proof/statement.ts"
import type { PhysicianKey } from "../vault/keys.ts"
import { cachePlace } from "../vault/places.ts"
import { open, seal } from "../vault/seal.ts"
import type { PinnedHead } from "./bound.ts"
import { type Line, signedOf } from "./line.ts"
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
  /** The restores that led to the log which all this is of; left out where there was none. */
  line: z.array(z.strictObject({ statement: anyBytes, signature: bytesOf(64) })).optional(),
  /** Logs that this device has left, by the hash of each one's newest restore. */
  left: z.array(bytesOf(32)).optional(),
  /** How many restores this device has taken; left out where it has taken none. */
  restores: count.optional(),
  /** How often each way to unlock was replaced, by the newest identity. */
  unlocks: z.array(z.tuple([z.string(), count])).optional(),
  /** Ways to unlock that have to be replaced before anything is sent. */
  renew: z.array(z.string()).optional(),
})
type Stored = z.output<typeof schema>

const maxBytes = 16 * 1024 * 1024
const newestVersion = 1

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
  /** Whether this device remembers nothing of the practice yet. */
  isNew = true
  /** The restores that led to the log that this is of. */
  line: readonly Signed[] = []
  /** Ways to unlock that have to be replaced before anything is sent. */
  renew: readonly string[] = []
  #unlocks: readonly (readonly [method: string, generation: number])[] = []
  #left: readonly Uint8Array[] = []
  /** How many restores this device has taken, in whatever log: the higher number is the later, and no server has a say in it. */
  restores = 0
  /** Nothing is stored: a restored log that the physician has not confirmed. */
  held = false
  /** The log that this device was of before, by its line's length and newest restore; null where it did not change. */
  #before: readonly Signed[] | null = null

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

  /** @throws CANNOT_OPEN when what is stored is not this physician's or was damaged: never silently forgotten; UNAVAILABLE_UPDATE when
   * a newer version of this program stored it: never overwritten. */
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
    pins.isNew = stored === null
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

  /** A device that remembers nothing begins at the log that the keyring names. */
  startAt(line: Line): void {
    this.line = signedOf(line)
    this.restores = Math.max(this.restores, line.length)
  }

  /** Whether this device was of that log, and has gone on to another one. */
  hasLeft(line: Line): boolean {
    const newest = line.at(-1)
    return newest !== undefined && this.#left.some((hash) => equal(hash, newest.hash))
  }

  /** Goes on in a log that keeps the first leaves of the one that is pinned. What is pinned beyond them is let go of; it stays in the
   * storage, as evidence. @param kept a tree that both logs have */
  succeed(line: Line, kept: TreeHead): void {
    this.#before ??= this.line
    this.restores = Math.max(this.restores + 1, line.length)
    this.#left = union(
      this.#left,
      this.line.map(({ statement }) => statementHash(statement)),
    )
    this.line = signedOf(line)
    if (this.#tree.size > kept.size) this.#tree = { size: kept.size, root: kept.root }
    this.#known = this.#tree
    this.others = this.others.filter(({ size }) => size <= kept.size)
    for (const [record, { leaf }] of this.heads) if (leaf >= kept.size) this.heads.delete(record)
    this.keyring = 0
  }

  /** The physician's identity after a restore: the pinned one, if the restored chain goes through it, or an earlier one, or another that the
   * physician signed in a log that this device was never of. @returns the ways to unlock that were replaced since */
  moveIdentityBack(chain: readonly Signed[], unlocks: readonly Unlock[]): string[] {
    const pinned = this.#identity
    const there = pinned === null ? undefined : chain[pinned.seq]
    const same = pinned !== null && there !== undefined && equal(statementHash(there.statement), pinned.hash)
    const newest = { seq: chain.length - 1, hash: statementHash(chain.at(-1)!.statement) }
    this.#identity = newest
    if (pinned === null || same) return []
    const now = new Map(unlocks.map(({ method, generation }) => [method, generation]))
    // Version 0.2 did not keep which way was replaced.
    const before =
      this.#unlocks.length > 0 ? this.#unlocks : [...now.keys()].map((method) => [method, Infinity] as const)
    return before.filter(([method, generation]) => generation > (now.get(method) ?? -1)).map(([method]) => method)
  }

  /** How often each way to unlock was replaced. */
  noteUnlocks(unlocks: readonly Unlock[]): void {
    this.#unlocks = unlocks.map(({ method, generation }) => [method, generation] as const)
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
    if (this.held) return
    await this.#storage.exclusive(this.#name, async () => {
      const stored = await this.#read()
      if (stored !== null && sameSigned(stored.line ?? [], this.line)) this.#merge(stored)
      else if (stored !== null) await this.#putAside(stored)
      for (const [record, { seq }] of this.heads) if (covered(record, seq)) this.heads.delete(record)
      const plain: Stored = {
        v: 1,
        tree: { ...this.#tree },
        others: this.others.map((other) => ({ ...other })),
        ...(this.#identity === null ? {} : { identity: { ...this.#identity } }),
        keyring: this.keyring,
        heads: [...this.heads].map(([record, head]) => [record, head.seq, head.hash, head.leaf]),
        ...(this.line.length === 0 ? {} : { line: this.line.map((one) => ({ ...one })) }),
        ...(this.#left.length === 0 ? {} : { left: [...this.#left] }),
        ...(this.restores === 0 ? {} : { restores: this.restores }),
        ...(this.#unlocks.length === 0
          ? {}
          : { unlocks: this.#unlocks.map(([method, generation]) => [method, generation]) }),
        ...(this.renew.length === 0 ? {} : { renew: [...this.renew] }),
      }
      const place = cachePlace(this.#physician, this.#device, "pins")
      await this.#storage.put(this.#name, await seal(this.#key, place, encodeCbor(plain)))
      this.#known = this.#tree
      this.isNew = false
      this.#before = null
    })
  }

  /** What is stored is of another log. If it is the one that this device went on from, it stays as evidence; else another tab or process
   * went on meanwhile, and this one is of the past. @throws NOT_ALLOWED_SESSION */
  async #putAside(stored: Stored): Promise<void> {
    if (this.#before === null || !sameSigned(stored.line ?? [], this.#before)) throw new AppError("NOT_ALLOWED_SESSION")
    const token = await this.#storage.get(this.#name)
    const name = `former-${this.#name}/${stored.line?.length ?? 0}-${stored.tree.size}-${encodeHex(stored.tree.root.subarray(0, 8))}`
    if (token !== null) await this.#storage.put(name, token)
  }

  async #read(): Promise<Stored | null> {
    const token = await this.#storage.get(this.#name)
    if (token === null) return null
    const place = cachePlace(this.#physician, this.#device, "pins")
    try {
      const pins = parseCbor(await open(this.#key, place, token), maxBytes, maxBytes)
      demandKnownVersion(pins, newestVersion)
      return schema.parse(pins)
    } catch (cause) {
      throw unreadable(
        cause,
        "What this device remembers of the practice cannot be opened. Keep its file for whoever looks into it, move it away, and sign in again.",
      )
    }
  }

  #take(stored: Stored): void {
    this.#tree = stored.tree
    this.#known = stored.tree
    this.others = stored.others
    this.#identity = stored.identity ?? null
    this.keyring = stored.keyring
    this.line = stored.line ?? []
    this.#left = stored.left ?? []
    this.restores = stored.restores ?? 0
    this.#unlocks = stored.unlocks ?? []
    this.renew = stored.renew ?? []
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
    this.#left = union(this.#left, stored.left ?? [])
    this.restores = Math.max(this.restores, stored.restores ?? 0)
    for (const [record, seq, hash, leaf = Number.MAX_SAFE_INTEGER] of stored.heads) {
      if (this.#dropped.has(record)) continue
      const known = this.heads.get(record)
      if (known?.seq === seq && !equal(known.hash, hash)) throw new AppError("TAMPERED_FORK")
      if (seq > (known?.seq ?? -1)) this.heads.set(record, { seq, hash, leaf })
    }
  }
}

function union(a: readonly Uint8Array[], b: readonly Uint8Array[]): readonly Uint8Array[] {
  return [...a, ...b.filter((one) => !a.some((other) => equal(one, other)))]
}

function sameSigned(a: readonly Signed[], b: readonly Signed[]): boolean {
  return a.length === b.length && a.every(({ statement }, i) => equal(statement, b[i]!.statement))
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
