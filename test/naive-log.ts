import { createHash, createPublicKey, verify } from "node:crypto"

/** A reader of a tiled log, written from C2SP's texts (signed-note, tlog-checkpoint, tlog-tiles) and RFC 6962 alone. It shares nothing with
 * what it reads: it imports no file of this tree, and does everything the slow way. */

export interface NaiveCheckpoint {
  readonly origin: string
  readonly size: number
  readonly root: Buffer
}

/** GET <prefix>/checkpoint, its signature verified. @param key Ed25519, 32 B */
export async function naiveCheckpoint(prefix: string, origin: string, key: Uint8Array): Promise<NaiveCheckpoint> {
  const response = await fetch(`${prefix}/checkpoint`)
  demand(response.status === 200, `checkpoint: status ${response.status}`)
  demand(response.headers.get("content-type") === "text/plain; charset=utf-8", "checkpoint: content type")
  return naiveNote(await response.text(), origin, key)
}

/** Opens a signed note that is a checkpoint. */
export function naiveNote(note: string, origin: string, key: Uint8Array): NaiveCheckpoint {
  const cut = note.lastIndexOf("\n\n")
  demand(cut > 0 && note.endsWith("\n"), "note: form")
  const text = note.slice(0, cut + 1)
  const keyId = sha256(Buffer.from(origin), Buffer.of(0x0a, 0x01), key).subarray(0, 4)
  const spki = Buffer.concat([Buffer.from("302a300506032b6570032100", "hex"), key])
  const publicKey = createPublicKey({ key: spki, format: "der", type: "spki" })
  let verified = 0
  for (const line of note.slice(cut + 2, -1).split("\n")) {
    const [dash, name, base64, ...more] = line.split(" ")
    demand(dash === "\u2014" && name !== undefined && base64 !== undefined && more.length === 0, "note: signature line")
    const bytes = Buffer.from(base64!, "base64")
    if (name !== origin || !bytes.subarray(0, 4).equals(keyId)) continue
    demand(verify(null, Buffer.from(text), publicKey, bytes.subarray(4)), "note: signature")
    verified++
  }
  demand(verified > 0, "note: unsigned")
  const [first, size, root, ...rest] = text.split("\n")
  demand(first === origin && rest.length === 1 && rest[0] === "", "checkpoint: lines")
  demand(/^(0|[1-9][0-9]*)$/.test(size!), "checkpoint: size")
  const hash = Buffer.from(root!, "base64")
  demand(hash.length === 32 && hash.toString("base64") === root, "checkpoint: root")
  return { origin, size: Number(size), root: hash }
}

/** Every entry of a tree, from its bundles. */
export async function naiveEntries(prefix: string, size: number): Promise<Buffer[]> {
  const entries: Buffer[] = []
  for (let index = 0; entries.length < size; index++) {
    const width = Math.min(256, size - index * 256)
    const bundle = await tile(prefix, "entries", index, width)
    let at = 0
    for (let i = 0; i < width; i++) {
      const length = bundle.readUInt16BE(at)
      entries.push(bundle.subarray(at + 2, at + 2 + length))
      at += 2 + length
    }
    demand(at === bundle.length, `bundle ${index}: length`)
  }
  return entries
}

/** Every hash tile of a tree: levels, each with all hashes that its tiles hold. */
export async function naiveHashes(prefix: string, size: number): Promise<Buffer[][]> {
  const levels: Buffer[][] = []
  for (let level = 0, count = size; count > 0; level++, count = Math.floor(count / 256)) {
    const hashes: Buffer[] = []
    for (let index = 0; hashes.length < count; index++) {
      const width = Math.min(256, count - index * 256)
      const bytes = await tile(prefix, String(level), index, width)
      demand(bytes.length === width * 32, `tile ${level}/${index}: length`)
      for (let i = 0; i < width; i++) hashes.push(bytes.subarray(i * 32, i * 32 + 32))
    }
    levels.push(hashes)
  }
  return levels
}

/** MTH(D[n]) of RFC 6962 §2.1, from the entries. */
export function naiveRoot(entries: readonly Uint8Array[]): Buffer {
  return fold(entries.map(naiveLeafHash))
}

export function naiveLeafHash(entry: Uint8Array): Buffer {
  return sha256(Buffer.of(0), entry)
}

/** MTH over hashes of leaves. */
export function fold(hashes: readonly Buffer[]): Buffer {
  if (hashes.length === 0) return sha256()
  if (hashes.length === 1) return hashes[0]!
  const k = largestPowerBelow(hashes.length)
  return sha256(Buffer.of(1), fold(hashes.slice(0, k)), fold(hashes.slice(k)))
}

/** The root that the tree had at `size`, from the hash tiles of a later one: as high as they go, and no leaf more than needed. */
export function naiveRootFromTiles(levels: readonly (readonly Buffer[])[], size: number): Buffer {
  const range = (from: number, to: number): Buffer => {
    const width = to - from
    for (let level = levels.length - 1; level >= 0; level--) {
      const span = 256 ** level
      if (width === span && from % span === 0 && levels[level]![from / span] !== undefined)
        return levels[level]![from / span]!
    }
    const k = largestPowerBelow(width)
    return sha256(Buffer.of(1), range(from, from + k), range(from + k, to))
  }
  return size === 0 ? sha256() : range(0, size)
}

/** PATH(m, D[n]) of RFC 6962 §2.1.1. */
export function naivePath(m: number, hashes: readonly Buffer[]): Buffer[] {
  if (hashes.length === 1) return []
  const k = largestPowerBelow(hashes.length)
  return m < k
    ? [...naivePath(m, hashes.slice(0, k)), fold(hashes.slice(k))]
    : [...naivePath(m - k, hashes.slice(k)), fold(hashes.slice(0, k))]
}

/** The root that a leaf's path leads to, by the recursion that made it. */
export function naiveRootOfPath(leaf: Buffer, m: number, n: number, path: readonly Buffer[]): Buffer {
  if (n === 1) {
    demand(path.length === 0, "path: length")
    return leaf
  }
  const k = largestPowerBelow(n)
  const [rest, last] = [path.slice(0, -1), path.at(-1)]
  demand(last !== undefined, "path: length")
  return m < k
    ? sha256(Buffer.of(1), naiveRootOfPath(leaf, m, k, rest), last!)
    : sha256(Buffer.of(1), last!, naiveRootOfPath(leaf, m - k, n - k, rest))
}

async function tile(prefix: string, level: string, index: number, width: number): Promise<Buffer> {
  const digits = String(index).padStart(Math.ceil(String(index).length / 3) * 3, "0")
  const groups = digits.match(/\d{3}/g)!
  const path = groups.map((group, i) => (i < groups.length - 1 ? `x${group}` : group)).join("/")
  const url = `${prefix}/tile/${level}/${path}${width < 256 ? `.p/${width}` : ""}`
  const response = await fetch(url, { headers: { "accept-encoding": "gzip, identity" } })
  demand(response.status === 200, `${url}: status ${response.status}`)
  demand(response.headers.get("content-type") === "application/octet-stream", `${url}: content type`)
  return Buffer.from(await response.arrayBuffer())
}

function largestPowerBelow(n: number): number {
  let k = 1
  while (k * 2 < n) k *= 2
  return k
}

function sha256(...parts: readonly Uint8Array[]): Buffer {
  const hash = createHash("sha256")
  for (const part of parts) hash.update(part)
  return hash.digest()
}

function demand(held: boolean, what: string): asserts held {
  if (!held) throw new Error(what)
}
