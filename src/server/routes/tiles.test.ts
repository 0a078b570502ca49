import { afterAll, beforeAll, describe, expect, test } from "vitest"
import { newId } from "../../encoding/ids.ts"
import { Frontier, leafHash, type MerkleNode, nodeHash } from "../../proof/merkle.ts"
import { newAuthor } from "../client.fixture.ts"
import { openTestServer, type TestServer } from "../server.fixture.ts"

/** 65,536 leaves and some: the smallest tree with a full tile of level 1. */
const size = 65_536 + 2 * 256 + 3
let server: TestServer

beforeAll(async () => {
  server = await openTestServer()
  const ada = await newAuthor("ada")
  await server.client.register(ada, "correct horse battery staple")
  // Most of the leaves are one batch's: numbering them is not what is tested.
  const session = {
    physician: ada.physician,
    pageHash: null,
    half: null,
    carrier: "bearer" as const,
    created: 0,
    expires: 1,
  }
  const more = async (count: number) => {
    const all = Array.from({ length: count }, () => ({ ...session, id: newId<"session">(), tokenHash: newId() }))
    await Promise.all(all.map((one) => server.store.startSession(one, "sign-in")))
  }
  while (server.store.treeHead().size < size) await more(Math.min(4096, size - server.store.treeHead().size))
}, 300_000)
afterAll(() => server.close())

const get = (path: string) => server.client.send("GET", `/log/tile/${path}`)

/** How the specification writes an index. */
function spell(index: number): string {
  const digits = String(index).padStart(Math.ceil(String(index).length / 3) * 3, "0")
  const groups = digits.match(/\d{3}/g)!
  return groups.map((group, i) => (i < groups.length - 1 ? `x${group}` : group)).join("/")
}

test("an index is spelled as the specification spells it", () => {
  expect([0, 7, 999, 1000, 1_234_067].map(spell)).toEqual(["000", "007", "999", "x001/000", "x001/x234/067"])
})

describe("tiles", () => {
  test("bundles hash to tiles of level 0, those to the levels above, and all to the checkpoint's root", async () => {
    const leaves: Uint8Array[] = []
    for (let at = 0; at < size; at += 256) {
      const width = Math.min(256, size - at)
      const bundle = await get(`entries/${spell(at / 256)}${width < 256 ? `.p/${width}` : ""}`)
      expect([bundle.statusCode, bundle.headers["content-type"]]).toEqual([200, "application/octet-stream"])
      expect(bundle.rawPayload.length).toBe(width * 66)
      for (let i = 0; i < width; i++) {
        expect(bundle.rawPayload.readUInt16BE(i * 66)).toBe(64)
        leaves.push(leafHash(bundle.rawPayload.subarray(i * 66 + 2, i * 66 + 66)))
      }
    }
    let hashes = leaves
    for (let level = 0; hashes.length > 0; level++) {
      for (let at = 0; at < hashes.length; at += 256) {
        const width = Math.min(256, hashes.length - at)
        const tile = await get(`${level}/${spell(at / 256)}${width < 256 ? `.p/${width}` : ""}`)
        expect([tile.statusCode, tile.rawPayload.length]).toEqual([200, width * 32])
        expect(tile.rawPayload.equals(Buffer.concat(hashes.slice(at, at + width)))).toBe(true)
      }
      for (let round = 0; round < 8; round++)
        hashes = Array.from({ length: hashes.length >> 1 }, (_, i) => nodeHash(hashes[2 * i]!, hashes[2 * i + 1]!))
    }
    const tree = new Frontier()
    const made: MerkleNode[] = leaves.flatMap((leaf) => tree.append(leaf))
    expect(made.length).toBeGreaterThan(size)
    const checkpoint = (await server.client.send("GET", "/log/checkpoint")).body.split("\n")
    expect(checkpoint.slice(1, 3)).toEqual([String(size), Buffer.from(tree.root()).toString("base64")])
  })

  test("a partial one is there up to what the checkpoint covers", async () => {
    for (const [path, length] of [
      ["0/258.p/3", 3],
      ["0/258.p/2", 2],
      ["0/257.p/255", 255],
      ["1/001.p/2", 2],
      ["2/000.p/1", 1],
    ] as const)
      expect((await get(path)).rawPayload.length).toBe(length * 32)
    for (const path of ["0/258.p/4", "0/258", "0/259.p/1", "1/001.p/3", "1/002.p/1", "2/000.p/2", "3/000.p/1"])
      expect((await get(path)).statusCode).toBe(404)
    for (const path of ["entries/258.p/4", "entries/258", "entries/259.p/1"])
      expect((await get(path)).statusCode).toBe(404)
  })

  test.each([
    "",
    "0",
    "0/0",
    "0/00",
    "0/0000",
    "00/000",
    "64/000",
    "100/000",
    "0/x000/000",
    "0/x001",
    "0/001/002",
    "0/x001/x002",
    "0/000.p/0",
    "0/000.p/01",
    "0/000.p/256",
    "0/000.p/",
    "0/000/",
    "0/-01",
    "entries/0",
    "entries/x000/000",
    "leaves/000",
    "63/000",
    "0/x999/x999/x999/x999/999",
  ])("%o is the address of nothing", async (path) => {
    const response = await get(path)
    expect([response.statusCode, response.json().code]).toEqual([404, "NOT_ALLOWED"])
  })

  test("whole ones may be kept for ever, by anybody; the checkpoint may not", async () => {
    const whole = await get("0/000")
    expect(whole.headers["cache-control"]).toBe("public, max-age=31536000, immutable")
    expect((await get("0/000.p/9")).headers["cache-control"]).toBe("public, max-age=60")
    const checkpoint = await server.client.send("GET", "/log/checkpoint")
    expect(checkpoint.headers).toMatchObject({
      "cache-control": "no-store",
      "content-type": "text/plain; charset=utf-8",
    })
    for (const { headers } of [whole, checkpoint]) expect(headers["access-control-allow-origin"]).toBe("*")
    expect((await server.client.send("GET", "/api/practice")).headers["access-control-allow-origin"]).toBe(undefined)
  })
})
