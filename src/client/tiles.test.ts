import { describe, expect, it } from "vitest"
import { MadeLog } from "./made-log.fixture.ts"
import { fetchCheckpoint, fetchHashes, fetchLeaves, isPrefix } from "./tiles.ts"

async function gather<T>(all: AsyncGenerator<T>): Promise<T[]> {
  const taken: T[] = []
  for await (const one of all) taken.push(one)
  return taken
}
const answer = (status: number, body: Uint8Array = new Uint8Array()) => ({ status, body })

describe("a log's tiles", () => {
  it.each([
    [0, 0],
    [0, 1],
    [0, 255],
    [0, 256],
    [3, 257],
    [256, 700],
    [511, 512],
    [700, 700],
  ])("hold the leaves from %i up to %i, in order", async (from, size) => {
    const log = new MadeLog().grow(size)
    const leaves = (await gather(fetchLeaves(log.send, from, size))).map(({ data }) => Buffer.from(data))
    expect(Buffer.concat(leaves)).toEqual(Buffer.concat(log.leaves.slice(from)))
  })

  it("are asked for by the paths that C2SP gives them, and no wider than the checkpoint vouches for", async () => {
    const log = new MadeLog().grow(600)
    await gather(fetchLeaves(log.send, 300, 513))
    await gather(fetchHashes(log.send, 1, 513))
    expect(log.asked).toEqual(["/log/tile/entries/001", "/log/tile/entries/002.p/1", "/log/tile/1/000.p/2"])
    const far: string[] = []
    const silent = async ({ path }: { path: string }) => {
      far.push(path)
      return answer(500)
    }
    await expect(gather(fetchLeaves(silent, 1_234_067 * 256, 1_234_067 * 256 + 9))).rejects.toThrow()
    expect(far).toEqual(["/log/tile/entries/x001/x234/067.p/9"])
  })

  it("are taken from the full tile where the partial one is gone", async () => {
    const log = new MadeLog().grow(256)
    log.lie = (path, honest) => (path.includes(".p/") ? answer(404) : honest)
    const [stretch] = await gather(fetchLeaves(log.send, 0, 200))
    expect(stretch!.data).toHaveLength(200 * 64)
  })

  it.each([1, 2, 255, 256, 257, 300, 65_536 + 300])(
    "lead to the roots that %i leaves have",
    { timeout: 60_000 },
    async (size) => {
      const log = new MadeLog().grow(size)
      for (const old of [0, 1, size >> 1, size - 1, size].filter((one) => one <= size))
        expect(await isPrefix(log.send, log.tree(old), log.tree(size)), `${old}`).toBe(true)
      expect(await isPrefix(log.send, { size: size - 1, root: new Uint8Array(32) }, log.tree(size))).toBe(false)
      expect(await isPrefix(log.send, log.tree(size), { size, root: new Uint8Array(32) })).toBe(false)
      expect(await isPrefix(log.send, { ...log.tree(size), size: size + 1 }, log.tree(size))).toBe(false)
    },
  )

  it("that are missing or have another form are refused, and a silent server is no crime", async () => {
    const log = new MadeLog().grow(300)
    const read = () => gather(fetchLeaves(log.send, 0, 300))
    const tampered = { code: "TAMPERED_LOG" }
    log.lie = (path, honest) => (path.includes("001") ? answer(404) : honest)
    await expect(read()).rejects.toMatchObject(tampered)
    for (const change of [
      (body: Uint8Array) => body.subarray(1),
      (body: Uint8Array) => body.with(1, 63),
      () => new Uint8Array(),
    ]) {
      log.lie = (_, { status, body }) => answer(status, change(body))
      await expect(read()).rejects.toMatchObject(tampered)
    }
    log.lie = () => answer(503)
    await expect(read()).rejects.toMatchObject({ code: "UNAVAILABLE" })
    await expect(fetchCheckpoint(log.send)).rejects.toMatchObject({ code: "UNAVAILABLE" })
    log.lie = () => answer(200, new Uint8Array(16_385))
    await expect(fetchCheckpoint(log.send)).rejects.toMatchObject(tampered)
    log.lie = () => answer(200, Uint8Array.of(0xff))
    await expect(fetchCheckpoint(log.send)).rejects.toMatchObject(tampered)
  })
})
