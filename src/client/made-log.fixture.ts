import { createHash, createPrivateKey, createPublicKey, type KeyObject, sign } from "node:crypto"
import { encodePkcs8 } from "../encoding/ed25519-key.ts"
import { encodeCheckpoint, encodeNote, type TreeHead } from "../proof/checkpoint.ts"
import { consistencyRanges, foldSubtrees, leafHash, nodeHash, subtrees } from "../proof/merkle.ts"
import type { LogIdentity } from "./log.ts"
import type { HttpRequest, HttpResponse } from "./transport.ts"

/** A log with a key of its own whose leaves a test chooses, and which it may make lie. */
export class MadeLog {
  readonly origin: string
  readonly leaves: Uint8Array[] = []
  readonly #nodes = new Map<string, Uint8Array>()
  readonly #key: KeyObject
  readonly logKey: Uint8Array
  /** Lines of witnesses. */
  cosignatures = ""
  /** Every path that was asked for. */
  readonly asked: string[] = []
  /** Changes an answer. */
  lie: (path: string, answer: HttpResponse) => HttpResponse = (_, answer) => answer

  constructor(origin = "healthcrypt/AAAAAAAAAAAAAAAAAAAAAA", seed = 7) {
    this.origin = origin
    this.#key = createPrivateKey({
      key: Buffer.from(encodePkcs8(new Uint8Array(32).fill(seed))),
      format: "der",
      type: "pkcs8",
    })
    this.logKey = new Uint8Array(createPublicKey(this.#key).export({ type: "spki", format: "der" }).subarray(-32))
  }

  get log(): LogIdentity {
    return { origin: this.origin, logKey: this.logKey }
  }

  /** Adds leaves, each of which says its own index, or what `name` makes of it. */
  grow(count: number, name = (index: number) => `leaf ${index}`): this {
    for (let i = 0; i < count; i++) this.leaves.push(leafNamed(name(this.leaves.length)))
    return this
  }

  /** Puts another leaf where one was. */
  rewrite(index: number, leaf: Uint8Array): this {
    this.leaves[index] = leaf
    this.#nodes.clear()
    return this
  }

  /** Another log with the same name, key and leaves. */
  fork(leaves = this.leaves.length): MadeLog {
    const other = new MadeLog(this.origin)
    other.leaves.push(...this.leaves.slice(0, leaves))
    return other
  }

  tree(size = this.leaves.length): TreeHead {
    return { size, root: this.#fold(0, size) }
  }

  note(size = this.leaves.length): string {
    const checkpoint = { origin: this.origin, ...this.tree(size) }
    const signature = sign(null, Buffer.from(encodeCheckpoint(checkpoint)), this.#key)
    return encodeNote(checkpoint, this.logKey, new Uint8Array(signature)) + this.cosignatures
  }

  consistency(from: number, to = this.leaves.length): Uint8Array[] {
    return consistencyRanges(from, to).map((range) => this.#fold(range.from, range.to))
  }

  readonly send = async ({ path }: HttpRequest): Promise<HttpResponse> => {
    this.asked.push(path)
    return this.lie(path, this.#answer(path))
  }

  #answer(path: string): HttpResponse {
    if (path === "/log/checkpoint") return { status: 200, body: Buffer.from(this.note()) }
    const [, level, groups, part] = /^\/log\/tile\/(entries|\d+)\/((?:x\d{3}\/)*\d{3})(?:\.p\/(\d+))?$/.exec(path) ?? []
    if (level === undefined) return { status: 404, body: new Uint8Array() }
    const index = Number(groups!.replaceAll(/[x/]/g, ""))
    const width = Number(part ?? 256)
    const span = level === "entries" ? 1 : 256 ** Number(level)
    if ((index * 256 + width) * span > this.leaves.length) return { status: 404, body: new Uint8Array() }
    const each = Array.from({ length: width }, (_, i) => {
      const at = index * 256 + i
      if (level === "entries") return Buffer.concat([Buffer.of(0, 64), this.leaves[at]!])
      return this.#fold(at * span, (at + 1) * span)
    })
    return { status: 200, body: new Uint8Array(Buffer.concat(each)) }
  }

  #fold(from: number, to: number): Uint8Array {
    return foldSubtrees(subtrees({ from, to }).map(({ level, index }) => this.#node(level, index)))
  }

  #node(level: number, index: number): Uint8Array {
    const known = this.#nodes.get(`${level}/${index}`)
    if (known !== undefined) return known
    const made =
      level === 0
        ? leafHash(this.leaves[index]!)
        : nodeHash(this.#node(level - 1, 2 * index), this.#node(level - 1, 2 * index + 1))
    this.#nodes.set(`${level}/${index}`, made)
    return made
  }
}

/** 64 B: a tag and a rest made from a name. */
export function leafNamed(name: string): Uint8Array {
  return new Uint8Array(createHash("sha512").update(name).digest())
}
