import { equal, parseUtf8 } from "../encoding/bytes.ts"
import { AppError } from "../errors.ts"
import type { TreeHead } from "../proof/checkpoint.ts"
import { leafDataBytes } from "../proof/leaf.ts"
import { consistencyRanges, foldSubtrees, type LeafRange, type NodePlace, nodeHash, subtrees } from "../proof/merkle.ts"
import { paths } from "../protocol/paths.ts"
import type { HttpResponse, Send } from "./transport.ts"

/** A log as everybody may read it: C2SP tlog-tiles under /log. Nothing that comes is believed here: whoever reads leaves compares the
 * root that they lead to. Sizes and indexes are whole numbers below 2^53. c2sp.org/tlog-tiles, docs/formats/log.md */

/** Hashes, or leaves, in a full tile. */
export const tileWidth = 256
const hashBytes = 32
/** How many bundles are asked for ahead of the one that is being read. */
const ahead = 6
const noteBytes = 16_384

/** Leaves that stand side by side: `data` holds 64 B each. */
export interface Stretch {
  readonly from: number
  readonly data: Uint8Array
}

/** The newest signed checkpoint, as it came. @throws UNAVAILABLE_SERVER, UNAVAILABLE where the address has no log */
export async function fetchCheckpoint(send: Send): Promise<string> {
  const { status, body } = await send({ method: "GET", path: paths.checkpoint, headers: {} })
  if (status !== 200) throw unanswered(status)
  try {
    if (body.length <= noteBytes) return parseUtf8(body)
  } catch {
    // falls through to the refusal
  }
  throw new AppError("TAMPERED_LOG", "What the server calls its checkpoint is none.")
}

/** The leaves [from, size) of a tree of `size` leaves, bundle by bundle.
 * @throws TAMPERED_LOG when a bundle that such a tree must have is missing or has another form; UNAVAILABLE_… */
export async function* fetchLeaves(send: Send, from: number, size: number): AsyncGenerator<Stretch> {
  const first = Math.floor(from / tileWidth)
  const bundles = Math.ceil(size / tileWidth) - first
  for await (const bundle of inOrder(bundles, (i) => fetchBundle(send, first + i, size))) {
    const skipped = Math.max(0, from - bundle.from)
    yield { from: bundle.from + skipped, data: bundle.data.subarray(skipped * leafDataBytes) }
  }
}

/** Every hash tile of one level of a tree of `size` leaves, from left to right: 32 B for each of its hashes. Throws as `fetchLeaves`. */
export function fetchHashes(send: Send, level: number, size: number): AsyncGenerator<Uint8Array> {
  const tiles = Math.ceil(Math.floor(size / tileWidth ** level) / tileWidth)
  return inOrder(tiles, (index) => fetchTile(send, level, index, widthAt(level, index, size), hashBytes))
}

/** The hash of the complete subtree over a power of two of hashes. */
export function foldTile(hashes: readonly Uint8Array[]): Uint8Array {
  let row = hashes
  while (row.length > 1) row = Array.from({ length: row.length / 2 }, (_, i) => nodeHash(row[2 * i]!, row[2 * i + 1]!))
  return row[0]!
}

/** Asks for some more than is being looked at, and hands them out in order. */
async function* inOrder<T>(count: number, get: (index: number) => Promise<T>): AsyncGenerator<T> {
  const waiting: Promise<T>[] = []
  for (let next = 0; ; ) {
    for (; next < count && waiting.length < ahead; next++) {
      const one = get(next)
      one.catch(() => {})
      waiting.push(one)
    }
    const one = waiting.shift()
    if (one === undefined) return
    yield await one
  }
}

async function fetchBundle(send: Send, index: number, size: number): Promise<Stretch> {
  const width = Math.min(tileWidth, size - index * tileWidth)
  const bytes = await fetchTile(send, "entries", index, width, 2 + leafDataBytes)
  const data = new Uint8Array(width * leafDataBytes)
  for (let i = 0, at = 0; i < width; i++, at += 2 + leafDataBytes) {
    if (bytes[at] !== 0 || bytes[at + 1] !== leafDataBytes) throw malformed("entries", index)
    data.set(bytes.subarray(at + 2, at + 2 + leafDataBytes), i * leafDataBytes)
  }
  return { from: index * tileWidth, data }
}

/** Whether the hash tiles say that `old` is a prefix of `tree`, and are those of `tree`. Throws as `fetchLeaves`. */
export async function isPrefix(send: Send, old: TreeHead, tree: TreeHead): Promise<boolean> {
  if (old.size > tree.size) return false
  const tiles = new HashTiles(send, tree.size)
  return equal(await tiles.rootAt(old.size), old.root) && equal(await tiles.rootAt(tree.size), tree.root)
}

/** The consistency proof from `old` to `size`, 0 < old < size, as the hash tiles have it. Throws as `fetchLeaves`. */
export async function fetchConsistency(send: Send, old: number, size: number): Promise<Uint8Array[]> {
  const tiles = new HashTiles(send, size)
  return Promise.all(consistencyRanges(old, size).map((range) => tiles.hash(range)))
}

/** The hash tiles of one tree, each fetched once. */
class HashTiles {
  readonly #send: Send
  readonly #size: number
  readonly #tiles = new Map<string, Promise<Uint8Array>>()

  constructor(send: Send, size: number) {
    this.#send = send
    this.#size = size
  }

  /** The root that the tree had at `size`. */
  rootAt(size: number): Promise<Uint8Array> {
    return this.hash({ from: 0, to: size })
  }

  async hash(range: LeafRange): Promise<Uint8Array> {
    return foldSubtrees(await Promise.all(subtrees(range).map((place) => this.#node(place))))
  }

  async #node({ level, index }: NodePlace): Promise<Uint8Array> {
    const span = 2 ** (level % 8)
    const first = index * span
    const tile = await this.#tile(Math.floor(level / 8), Math.floor(first / tileWidth))
    const at = first % tileWidth
    return foldTile(
      Array.from({ length: span }, (_, i) => tile.subarray((at + i) * hashBytes, (at + i + 1) * hashBytes)),
    )
  }

  #tile(level: number, index: number): Promise<Uint8Array> {
    const name = `${level}/${index}`
    let tile = this.#tiles.get(name)
    if (tile === undefined) {
      tile = fetchTile(this.#send, level, index, widthAt(level, index, this.#size), hashBytes)
      this.#tiles.set(name, tile)
    }
    return tile
  }
}

/** How many hashes tile `level`/`index` has in a tree of `size` leaves. */
function widthAt(level: number, index: number, size: number): number {
  return Math.min(tileWidth, Math.floor(size / tileWidth ** level) - index * tileWidth)
}

async function fetchTile(
  send: Send,
  level: number | "entries",
  index: number,
  width: number,
  each: number,
): Promise<Uint8Array> {
  const get = (partial: string) => send({ method: "GET", path: tilePath(level, index) + partial, headers: {} })
  let answer: HttpResponse | null = null
  if (width < tileWidth) answer = await get(`.p/${width}`)
  // A partial tile may be gone once it is full.
  if (answer === null || answer.status === 404) answer = await get("")
  if (answer.status === 404) {
    const what = level === "entries" ? "leaves" : "hashes"
    throw new AppError(
      "TAMPERED_LOG",
      `The server withholds ${what} that its signed checkpoint covers: tile ${level}/${index}.`,
    )
  }
  if (answer.status !== 200) throw unanswered(answer.status)
  if (answer.body.length !== width * each && answer.body.length !== tileWidth * each) throw malformed(level, index)
  return answer.body.subarray(0, width * each)
}

/** `/log/tile/<level>/<index>`, the index in groups of three digits, all but the last with an x before them. */
function tilePath(level: number | "entries", index: number): string {
  const groups = [String(index % 1000).padStart(3, "0")]
  for (let rest = Math.floor(index / 1000); rest > 0; rest = Math.floor(rest / 1000))
    groups.unshift(`x${String(rest % 1000).padStart(3, "0")}`)
  return paths.tile.replace("*", `${level}/${groups.join("/")}`)
}

function malformed(level: number | "entries", index: number): AppError {
  return new AppError("TAMPERED_LOG", `Tile ${level}/${index} of the server's log is not in the form it must have.`)
}

function unanswered(status: number): AppError {
  const advice =
    status === 404
      ? "There is no log at this address. Check HEALTHCRYPT_SERVER."
      : `The server answers with status ${status} where its log should be. Try again in a moment.`
  return new AppError("UNAVAILABLE", advice)
}
