import { heapText } from "#heap-text"
import { equal, parseUtf8 } from "../encoding/bytes.ts"
import { abridged } from "./abridge.ts"
import type { ContentChange } from "./content.ts"

/** The texts of a chart's resources by key, in the order in which the resources first came. What looks through all of them holds one at a
 * time. A Map is one, too. */
export interface Texts {
  readonly size: number
  has(key: string): boolean
  get(key: string): string | undefined
  keys(): Iterable<string>
  [Symbol.iterator](): Iterator<[string, string]>
}

interface Live {
  readonly bytes: Uint8Array
  readonly weight: number
  readonly author: string
}

/** Memory that several texts lie in: as long as one of them is live, all of it is held. */
interface Shared {
  /** So many bytes of it are live, */
  live: number
  /** those of these texts. */
  readonly keys: Set<string>
}

/** What is live of one author: the weight of its texts, and how many resources. */
export interface Share {
  readonly weight: number
  readonly resources: number
}

/** Texts of more than this are not made faster than they are let go of. */
const manyBytes = 32 * 1024 * 1024

const nothing: Share = { weight: 0, resources: 0 }

/** Texts as UTF-8, which takes least; one is made a string when it is asked for. Each belongs to whoever wrote it last. */
export class LiveTexts implements Texts {
  readonly #live: Map<string, Live>
  readonly #shares: Map<string, Share>

  readonly #shared: Map<ArrayBufferLike, Shared>
  readonly #known: LiveTexts | null

  /** @param before what these begin with; it stays as it is
   * @param known texts that are held anyway: one that is the same is held once */
  constructor(before: LiveTexts | null, known: LiveTexts | null = null) {
    this.#known = known
    this.#live = new Map(before === null ? [] : before.#live)
    this.#shares = new Map(before === null ? [] : before.#shares)
    const shared = before === null ? [] : before.#shared
    this.#shared = new Map(Array.from(shared, ([buffer, { live, keys }]) => [buffer, { live, keys: new Set(keys) }]))
  }

  /** What all texts together take, with the memory that they lie in. */
  get bytes(): number {
    const buffers = new Set(Array.from(this.#live.values(), ({ bytes }) => bytes.buffer))
    return Array.from(buffers).reduce((sum, { byteLength }) => sum + byteLength, 0)
  }

  get size(): number {
    return this.#live.size
  }

  has(key: string): boolean {
    return this.#live.has(key)
  }

  get(key: string): string | undefined {
    const live = this.#live.get(key)
    return live === undefined ? undefined : this.#textOf(live.bytes)
  }

  /** A text for people to look at: very long strings in it are cut. */
  glance(key: string): string | undefined {
    const live = this.#live.get(key)
    return live === undefined ? undefined : this.#textOf(abridged(live.bytes))
  }

  /** The texts that lie under some keys now, whatever is applied later. */
  pick(keys: readonly string[]): Pick<Texts, "has" | "get"> {
    const picked = new Map<string, Uint8Array>()
    for (const key of keys) {
      const live = this.#live.get(key)
      if (live !== undefined) picked.set(key, live.bytes)
    }
    return {
      has: (key) => picked.has(key),
      get: (key) => (picked.has(key) ? this.#textOf(picked.get(key)!) : undefined),
    }
  }

  keys(): Iterable<string> {
    return this.#live.keys()
  }

  *[Symbol.iterator](): Iterator<[string, string]> {
    for (const [key, { bytes }] of this.#live) yield [key, this.#textOf(bytes)]
  }

  #textOf(bytes: Uint8Array): string {
    return this.#weight > manyBytes ? heapText(bytes) : parseUtf8(bytes)
  }

  get #weight(): number {
    let weight = 0
    for (const share of this.#shares.values()) weight += share.weight
    return weight
  }

  shareOf(author: string): Share {
    return this.#shares.get(author) ?? nothing
  }

  /** What an author's share would be after changes of theirs. What replaces another's resource counts as theirs from then on, what they
   * replace or remove of their own does not count any more. */
  shareAfter(author: string, changes: readonly ContentChange[]): Share {
    let { weight, resources } = this.shareOf(author)
    for (const change of changes) {
      const old = this.#live.get(change.key)
      if (old?.author === author) {
        weight -= old.weight
        resources--
      }
      if (change.text === null) continue
      weight += change.weight
      resources++
    }
    return { weight, resources }
  }

  /** Does what one entry's changes say. What they bring lies in one piece of memory: a hundred thousand small ones take far more. */
  apply(changes: readonly ContentChange[], author: string): void {
    const fresh = new Map<string, Uint8Array>()
    for (const { key, text } of changes) if (text !== null && this.#knownAs(key, text) === null) fresh.set(key, text)
    const packed = packedTogether(fresh)
    const touched = new Set<ArrayBufferLike>()
    for (const { key, text, weight } of changes) {
      this.#release(key, touched)
      if (text === null) {
        this.#live.delete(key)
        continue
      }
      const share = this.shareOf(author)
      this.#shares.set(author, { weight: share.weight + weight, resources: share.resources + 1 })
      this.#hold(key, { bytes: packed.get(key) ?? this.#knownAs(key, text)!, weight, author })
    }
    for (const buffer of touched) this.#tidy(buffer)
  }

  /** Whether texts are held where an entry's changes lie. */
  lieIn(changes: readonly ContentChange[]): boolean {
    return changes.some(({ key, text }) => text !== null && this.#live.get(key)?.bytes.buffer === text.buffer)
  }

  #knownAs(key: string, text: Uint8Array): Uint8Array | null {
    const known = this.#known === null ? undefined : this.#known.#live.get(key)
    return known !== undefined && equal(known.bytes, text) ? known.bytes : null
  }

  #hold(key: string, live: Live): void {
    this.#live.set(key, live)
    const { buffer, length } = live.bytes
    if (length === buffer.byteLength) return
    const shared = this.#shared.get(buffer) ?? { live: 0, keys: new Set() }
    shared.live += length
    shared.keys.add(key)
    this.#shared.set(buffer, shared)
  }

  /** @param touched is given the shared memory that less is live of now */
  #release(key: string, touched: Set<ArrayBufferLike>): void {
    const old = this.#live.get(key)
    if (old === undefined) return
    const { weight, resources } = this.shareOf(old.author)
    this.#shares.set(old.author, { weight: weight - old.weight, resources: resources - 1 })
    const { buffer, length } = old.bytes
    const shared = this.#shared.get(buffer)
    if (shared === undefined) return
    shared.live -= length
    shared.keys.delete(key)
    touched.add(buffer)
  }

  /** What is left in shared memory moves together, so that never much more is held than is live. */
  #tidy(buffer: ArrayBufferLike): void {
    const shared = this.#shared.get(buffer)
    if (shared === undefined || isMostOf(shared.live, buffer)) return
    this.#shared.delete(buffer)
    const left = new Map(Array.from(shared.keys, (one) => [one, this.#live.get(one)!.bytes]))
    for (const [one, bytes] of packedTogether(left)) this.#hold(one, { ...this.#live.get(one)!, bytes })
  }
}

function isMostOf(bytes: number, buffer: ArrayBufferLike): boolean {
  return bytes * 8 > buffer.byteLength * 7
}

/** Texts in one piece of memory: where they lie, if they are most of what is there, or copied. */
function packedTogether(texts: ReadonlyMap<string, Uint8Array>): ReadonlyMap<string, Uint8Array> {
  let bytes = 0
  for (const text of texts.values()) bytes += text.length
  const [first] = texts.values()
  if (first === undefined || isMostOf(bytes, first.buffer)) return texts
  const packed = new Uint8Array(bytes)
  let at = 0
  const copies = new Map<string, Uint8Array>()
  for (const [key, text] of texts) {
    packed.set(text, at)
    copies.set(key, packed.subarray(at, at + text.length))
    at += text.length
  }
  return copies
}
