import { spawn } from "node:child_process"
import { randomBytes } from "node:crypto"
import { writeFile } from "node:fs/promises"
import { join } from "node:path"
import { describe, expect, test, vi } from "vitest"
import { bytesNeedle, dateNeedles, type Needle, Search, textNeedle, wordNeedles } from "./leaks.ts"
import { searchFolder, searchMemory } from "./places.ts"
import { removeFolder, tempFolder } from "./server.ts"

vi.setConfig({ testTimeout: 300_000 })

const key = Buffer.from(
  "fb ef be 00 10 83 10 51 87 20 92 8b 30 d3 8f 41 14 93 51 55 97 61 96 9b 71 d7 9f 82 18 a3 92 59".replaceAll(" ", ""),
  "hex",
)
const texts = [textNeedle("name", "Brågenthørpe"), textNeedle("diagnosis", "Morbus Quintessentialis, ?>?>")]
const needles = [...texts, ...dateNeedles("born", "1938-02-07"), bytesNeedle("key", key)]
const search = new Search(needles)
const names = (bytes: Uint8Array) => new Set(search.find(bytes).map((leak) => leak.needle))
const noise = (size: number) => randomBytes(size)

/** Ways to write something down, made without the search's own code. */
const ways: readonly (readonly [string, (text: Buffer) => Buffer])[] = [
  ["as it is", (bytes) => bytes],
  ...[0, 1, 2, 3, 4].flatMap((before) =>
    (["base64", "base64url"] as const).map(
      (alphabet) =>
        [
          `${alphabet} after ${before}`,
          (bytes: Buffer) => Buffer.from(Buffer.concat([noise(before), bytes, noise(5)]).toString(alphabet)),
        ] as const,
    ),
  ),
  ["hex", (bytes) => Buffer.from(bytes.toString("hex"))],
  ["upper-case hex", (bytes) => Buffer.from(bytes.toString("hex").toUpperCase())],
]
const widths: readonly (readonly [string, (bytes: Buffer) => Buffer])[] = [
  ["narrow", (bytes) => bytes],
  ["UTF-16LE", (bytes) => Buffer.from(bytes.toString("latin1"), "utf16le")],
  ["UTF-16BE", (bytes) => Buffer.from(bytes.toString("latin1"), "utf16le").swap16()],
]
const spelt: readonly (readonly [string, string, Buffer])[] = [
  ["name", "UTF-8", Buffer.from("Brågenthørpe")],
  ["name", "Latin-1", Buffer.from("Brågenthørpe", "latin1")],
  ["name", "UTF-16LE", Buffer.from("Brågenthørpe", "utf16le")],
  ["name", "UTF-16BE", Buffer.from("Brågenthørpe", "utf16le").swap16()],
  ["name", "JSON", Buffer.from('"Br\\u00e5genth\\u00f8rpe"')],
  ["name", "lower case", Buffer.from("brågenthørpe")],
  ["name", "upper case", Buffer.from("BRÅGENTHØRPE")],
  ["diagnosis", "UTF-8", Buffer.from("Morbus Quintessentialis, ?>?>")],
  ["born, as 1938-02-07", "UTF-8", Buffer.from('"birthDate":"1938-02-07"')],
  ["born, as 7.2.1938", "UTF-8", Buffer.from("* 7.2.1938")],
  ["born, as Feb 7, 1938", "UTF-8", Buffer.from("Feb 7, 1938")],
  ["key", "raw", key],
]

describe("what is planted is found", () => {
  test.each(spelt)("%s in %s", (needle, _, bytes) => {
    for (const [way, write] of ways)
      for (const [width, widen] of widths) {
        if (width !== "narrow" && way === "as it is") continue
        const planted = Buffer.concat([noise(1 + (bytes.length % 7)), widen(write(bytes)), noise(9)])
        expect(names(planted), `${way}, ${width}`).toContain(needle)
      }
  })

  test("every form of every needle, at either end", () => {
    for (const { name, forms } of needles)
      for (const { how, bytes } of forms) {
        expect(names(Buffer.concat([bytes, noise(3)])), `${name}, ${how}`).toContain(name)
        expect(names(Buffer.concat([noise(3), bytes])), `${name}, ${how}`).toContain(name)
      }
  })

  test("two adjacent recovery words, however they are joined; one alone is no leak", () => {
    const words = "miracle beauty recall put blade exist abandon ability".split(" ")
    const both = new Search(wordNeedles("words", words))
    const found = (text: string) => both.find(Buffer.from(text)).map((leak) => leak.needle)
    expect(new Set(found('["beauty","recall"]'))).toEqual(new Set(["words 2 and 3"]))
    expect(new Set(found("3. recall\n4. put blade"))).toEqual(new Set(["words 4 and 5"]))
    expect(new Set(found(Buffer.from("x put\nblade").toString("base64")))).toEqual(new Set(["words 4 and 5"]))
    expect(found("miracle, recall, blade, abandon, ability")).toEqual([])
  })
})

describe("where it is looked for", () => {
  const needle: Needle[] = [textNeedle("planted", "Perpetua Quillfeather")]
  const planted = new Search(needle)

  test("files of a folder, their names, and pieces that do not fall on a boundary", async () => {
    const folder = await tempFolder()
    await writeFile(join(folder, "a"), Buffer.concat([noise(100_000), Buffer.from("perpetua quillfeather")]))
    await writeFile(join(folder, "Perpetua Quillfeather.txt"), "")
    const { found, files } = await searchFolder(planted, folder)
    expect(files).toHaveLength(2)
    expect(found.map(({ where }) => where).sort()).toEqual([
      join(folder, "a"),
      `the name of ${join(folder, "Perpetua Quillfeather.txt")}`,
    ])
    await removeFolder(folder)
  })

  test("another process's memory: its heap, its buffers, its environment", async () => {
    const script = `const kept = ["Perpetua ", "Quillfeather"].join(""), bytes = Buffer.from(kept + "!", "utf16le")
      setInterval(() => kept.length + bytes.length, 1000); console.log("ready")`
    const run = async (source: string, env: Record<string, string>) => {
      const child = spawn(process.execPath, ["-e", source], { env, stdio: ["ignore", "pipe", "inherit"] })
      await new Promise((resolve) => child.stdout.once("data", resolve))
      const result = await searchMemory(planted, child.pid!)
      child.kill()
      return result
    }
    const heap = await run(script, {})
    expect(heap.bytes).toBeGreaterThan(20_000_000)
    expect(heap.found.map(({ how }) => how)).toEqual(expect.arrayContaining(["UTF-8", "UTF-16LE"]))
    const idle = 'setInterval(() => {}, 1000); console.log("ready")'
    expect((await run(idle, { NAME: "Perpetua Quillfeather" })).found).not.toEqual([])
    expect((await run(idle, {})).found).toEqual([])
  })
})
