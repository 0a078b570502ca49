import { mkdtemp, rm } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterAll, beforeAll, describe, expect, test } from "vitest"
import {
  emptyRoot,
  Frontier,
  leafHash,
  nodeHash,
  subtrees,
  verifyConsistency,
  verifyInclusion,
} from "../../proof/merkle.ts"
import { type Db, openSqlite } from "./connection.ts"
import { logRows } from "./log-rows.ts"
import { migrate, sqliteTypes } from "./migrations.ts"
import { nodeKey, nodeLoader } from "./node-cache.ts"
import { Tree } from "./tree.ts"

const leaves = Array.from({ length: 70 }, (_, i) => Uint8Array.of(i, i + 1))
const roots = new Map<string, Uint8Array>()

/** RFC 9162 §2.1 word for word, over leaves `from` up to `to`: slow and readable. */
const naive = {
  root(from: number, to: number): Uint8Array {
    const known = roots.get(`${from} ${to}`)
    if (known !== undefined) return known
    const k = from + split(to - from)
    const made =
      to === from
        ? emptyRoot
        : to - from === 1
          ? leafHash(leaves[from]!)
          : nodeHash(naive.root(from, k), naive.root(k, to))
    roots.set(`${from} ${to}`, made)
    return made
  },
  path(m: number, from: number, to: number): Uint8Array[] {
    if (to - from === 1) return []
    const k = from + split(to - from)
    return m < k ? [...naive.path(m, from, k), naive.root(k, to)] : [...naive.path(m, k, to), naive.root(from, k)]
  },
  proof(m: number, from: number, to: number, whole = true): Uint8Array[] {
    if (m === to) return whole ? [] : [naive.root(from, to)]
    const k = from + split(to - from)
    return m <= k
      ? [...naive.proof(m, from, k, whole), naive.root(k, to)]
      : [...naive.proof(m, k, to, false), naive.root(from, k)]
  },
}

function split(n: number): number {
  let k = 1
  while (k * 2 < n) k *= 2
  return k
}

const sign = ({ size }: { size: number }) => `note ${size}`
let folder: string
let db: Db

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "healthcrypt-tree-"))
  db = openSqlite(join(folder, "tree.db"), "write")
  await migrate(db, sqliteTypes)
})
afterAll(async () => {
  await db.destroy()
  await rm(folder, { recursive: true })
})

function emptyTree(): Tree {
  return new Tree(new Frontier(), { origin: "test", size: 0, root: emptyRoot, note: "note 0" }, nodeLoader(db))
}

/** The tree as a restart finds it: its right edge from the table, nothing else in memory. */
async function loadedTree(size: number): Promise<Tree> {
  const places = subtrees({ from: 0, to: size })
  const nodes = await nodeLoader(db)(places)
  const frontier = new Frontier(
    size,
    places.map((place) => nodes.get(nodeKey(place))!),
  )
  return new Tree(frontier, { origin: "test", size, root: frontier.root(), note: sign({ size }) }, nodeLoader(db))
}

describe.each([1, 7, 16, 70])("a log that grows by %i", (step) => {
  test("proves every leaf and every older size, from memory and from the table", async () => {
    const tree = emptyTree()
    for (let size = 0; size < leaves.length; ) {
      const growth = tree.grow(leaves.slice(size, size + step), sign)
      await logRows(db).insertNodes(db, growth.nodes)
      tree.publish(growth)
      size = tree.state.size
      expect(tree.state.root).toEqual(naive.root(0, size))
      for (const one of [tree, await loadedTree(size)]) await proveAll(one, size)
    }
    await db.deleteFrom("node").execute()
  })
})

async function proveAll(tree: Tree, size: number): Promise<void> {
  const { root } = tree.state
  const indexes = leaves.slice(0, size).map((_, i) => i)
  const paths = await tree.inclusions(indexes, tree.state)
  expect(paths).toEqual(indexes.map((index) => naive.path(index, 0, size)))
  for (const index of indexes)
    expect(verifyInclusion(leafHash(leaves[index]!), index, size, paths[index]!, root)).toBe(true)
  for (let old = 0; old <= size; old++) {
    const { consistency } = await tree.logState(old)
    const oldRoot = naive.root(0, old)
    expect(await tree.rootAt(old)).toEqual(oldRoot)
    expect(consistency).toEqual(old === 0 ? [] : naive.proof(old, 0, size))
    expect(verifyConsistency(old, oldRoot, size, root, consistency)).toBe(true)
  }
  const info = { index: size - 1, time: 1, salt: new Uint8Array(16) }
  const receipt = await tree.receipt(info, 1)
  expect(receipt.inclusion).toEqual(naive.path(size - 1, 0, size))
  expect(receipt.log.consistency).toEqual(naive.proof(1, 0, size))
}

test("a size that the log has not reached has no root and no proof", async () => {
  const tree = emptyTree()
  expect(await tree.rootAt(1)).toBe(null)
  expect(await tree.logState(5)).toEqual({ checkpoint: "note 0", consistency: [] })
})

test("a growth changes nothing before it is published", () => {
  const tree = emptyTree()
  tree.grow(leaves, sign)
  expect(tree.state.size).toBe(0)
})

test("a node that is missing is an error, not a proof", async () => {
  const frontier = new Frontier()
  for (const leaf of leaves) frontier.append(leafHash(leaf))
  const state = { origin: "test", size: leaves.length, root: frontier.root(), note: "" }
  const tree = new Tree(frontier, state, async () => new Map())
  await expect(tree.inclusions([3], tree.state)).rejects.toThrow("lacks node")
})
