import { describe, expect, it } from "vitest"
import { chartAfter, Growing, mostIn } from "../../src/client/open-record.ts"
import { encodeBody } from "../../src/clinical/body.ts"
import { readContent } from "../../src/clinical/content.ts"
import { Fold } from "../../src/clinical/fold.ts"
import { encodeCbor } from "../../src/encoding/cbor.ts"
import type { PhysicianId } from "../../src/encoding/ids.ts"

const beyond = expect.objectContaining({ code: "BAD_INPUT_SIZE" })
const [ada, ben] = ["ada", "ben"] as [PhysicianId, PhysicianId]
const resource = (key: string, rest: string) => [key, `{"resourceType":"${key.split("/")[0]}"${rest}}`] as const
/** A text with so many nodes: the object, its type, the list and what is in it. */
const nodes = (key: string, count: number) => resource(key, `,"x":[${"0,".repeat(count - 4)}0]`)
const body = (changes: readonly (readonly [string, string] | readonly [string])[]) => ({ by: "", changes })
const content = (changes: Parameters<typeof body>[0]) => readContent(encodeBody(body(changes)))
const keys = (count: number, from = 0) => Array.from({ length: count }, (_, i) => `Basic/${i + from}`)

// The numbers are those of docs/formats/entry.md, and not read from the program.
describe("an entry's budget", () => {
  it("is 1,000,000 CBOR items", () => {
    // The map, two names, by's text, the list: five; and two for each key that is removed.
    const removing = (count: number, more: object = {}) =>
      encodeCbor({ ...body(keys(count).map((key) => [key] as const)), ...more })
    expect(readContent(removing(499_997, {})).changes).toHaveLength(499_997)
    expect(() => readContent(removing(499_998, {}))).toThrow(beyond)
    // A note has two, which is one too many or just right.
    expect(() => readContent(removing(499_997, { note: "" }))).toThrow(beyond)
    expect(readContent(removing(499_996, { note: "" })).changes).toHaveLength(499_996)
  })

  it("is 500,000 JSON nodes a resource, and 8,000,000 of all", () => {
    expect(content([nodes("Basic/1", 500_000)]).changes).toHaveLength(1)
    expect(() => content([nodes("Basic/1", 500_001)])).toThrow(beyond)
    const full = keys(16).map((key) => nodes(key, 500_000))
    expect(content(full).weight).toBe(128_000_000)
    expect(() => content([...full, resource("Basic/more", "")])).toThrow(beyond)
    expect(() => content([...full.slice(1), nodes("Basic/0", 499_999), resource("Basic/more", "")])).toThrow(beyond)
    expect(content([...full.slice(1), nodes("Basic/0", 499_998), resource("Basic/more", "")]).changes).toHaveLength(17)
  })

  it("is 60,000 resources and 64 levels", () => {
    const many = (count: number) => keys(count).map((key) => resource(key, ""))
    expect(content(many(60_000)).changes).toHaveLength(60_000)
    expect(() => content(many(60_001))).toThrow(beyond)
    const deep = (depth: number) => resource("Basic/1", `,"x":${"[".repeat(depth - 1)}${"]".repeat(depth - 1)}`)
    expect(content([deep(64)]).changes).toHaveLength(1)
    expect(() => content([deep(65)])).toThrow(expect.objectContaining({ code: "BAD_INPUT_FORMAT" }))
  })

  it("holds what 0.2 wrote: 20,001 resources, 64 MiB inflated", () => {
    const rest = (length: number) => `,"x":"${"x".repeat(length)}"`
    const changes = keys(20_001).map((key) => resource(key, rest(3200)))
    const bytes = encodeBody(body(changes))
    const more = 67_108_864 - bytes.length
    const full = encodeBody(body([...changes.slice(1), resource("Basic/0", rest(3200 + more - 2))]))
    expect(full.length).toBe(67_108_864)
    expect(readContent(full).changes).toHaveLength(20_001)
    expect(() => encodeBody(body([...changes.slice(1), resource("Basic/0", rest(3200 + more - 1))]))).toThrow(beyond)
  })
})

describe("what is live of one author", () => {
  const mib = 1024 * 1024
  /** A text of so many bytes. */
  const text = (key: string, bytes: number) => {
    const [, empty] = resource(key, ',"x":""')
    return resource(key, `,"x":"${"x".repeat(bytes - empty.length)}"`)
  }

  it("weighs 128 MiB, of which what is replaced or removed is no part", () => {
    const fold = new Fold(null)
    const take = (author: string, ...changes: Parameters<typeof body>[0][number][]) =>
      fold.take(author, content(changes))
    for (const key of ["Basic/1", "Basic/2", "Basic/3"]) expect(take(ada, text(key, 32 * mib))).toBe(true)
    expect(take(ada, text("Basic/4", 32 * mib + 1))).toBe(false)
    expect(take(ada, text("Basic/4", 32 * mib))).toBe(true)
    expect(take(ada, resource("Basic/5", ""))).toBe(false)
    // Nothing of an entry is taken that does not fit as a whole, and nothing else is touched.
    expect(take(ada, text("Basic/1", 32 * mib), resource("Basic/5", ""))).toBe(false)
    expect(fold.chart.resources.size).toBe(4)
    // Another's budget is another's.
    expect(take(ben, text("Basic/6", 32 * mib))).toBe(true)
    // Whoever replaces a resource takes it over, and its former author has room again.
    expect(take(ben, text("Basic/1", 32 * mib))).toBe(true)
    expect(take(ada, text("Basic/7", 32 * mib))).toBe(true)
    expect(take(ada, resource("Basic/8", ""))).toBe(false)
    // What is removed counts for nobody, whoever removes it; first it goes, then what is new comes.
    expect(take(ben, ["Basic/2"])).toBe(true)
    expect(take(ada, text("Basic/8", 32 * mib))).toBe(true)
    expect(take(ada, ["Basic/8"], text("Basic/9", 32 * mib))).toBe(true)
    expect(take(ada, text("Basic/9", 16 * mib), text("Basic/10", 16 * mib))).toBe(true)
    expect(take(ben, text("Basic/11", 32 * mib), text("Basic/12", 31 * mib))).toBe(true)
    expect(take(ben, text("Basic/13", mib + 1))).toBe(false)
    expect(take(ben, text("Basic/13", mib))).toBe(true)
  })

  it("weighs sixteen bytes a node where there are many", () => {
    const fold = new Fold(null)
    const full = (from: number) => keys(16, from).map((key) => nodes(key, 500_000))
    expect(fold.take(ada, content(full(0)))).toBe(true)
    // 134,217,728 - 128,000,000 = 6,217,728 bytes: 388,608 nodes.
    expect(fold.take(ada, content([nodes("Basic/a", 388_609)]))).toBe(false)
    expect(fold.take(ada, content([nodes("Basic/a", 388_608)]))).toBe(true)
    expect(fold.take(ada, content([resource("Basic/c", "")]))).toBe(false)
  })

  it("is 60,000 resources", () => {
    const fold = new Fold(null)
    const many = (count: number, from: number) => content(keys(count, from).map((key) => resource(key, "")))
    expect(fold.take(ada, many(59_999, 0))).toBe(true)
    expect(fold.take(ada, many(2, 59_999))).toBe(false)
    expect(fold.take(ada, many(1, 59_999))).toBe(true)
    expect(fold.take(ada, many(1, 60_000))).toBe(false)
    expect(fold.take(ben, many(1, 60_000))).toBe(true)
    expect(fold.take(ada, many(60_000, 0))).toBe(true)
  })
})

describe("what one author ever wrote", () => {
  it("weighs 192 MiB, and not a byte more is left after what went beyond", () => {
    const record = new Growing(null)
    expect(record.spend(ada, 201_326_591)).toBe(true)
    expect(record.roomOf(ada)).toBe(1)
    expect(record.exhausted).toEqual([])
    expect(record.spend(ada, 2)).toBe(false)
    expect(record.roomOf(ada)).toBe(0)
    expect(record.exhausted).toEqual([ada])
    expect(record.roomOf(ben)).toBe(201_326_592)
  })

  it("weighs 512 bytes a change, with a text or without", () => {
    const removing = (count: number) => content(keys(count).map((key) => [key] as const))
    const most = removing(393_216)
    expect(most.weight).toBe(201_326_592)
    expect(chartAfter(null, ada, most).archived).toBe(false)
    expect(() => chartAfter(null, ada, removing(393_217))).toThrow(beyond)
    // Whichever of the three is most, and not their sum.
    const tiny = keys(60_000).map((key) => resource(key, ""))
    expect(content(tiny).weight).toBe(30_720_000)
    const full = keys(4).map((key) => nodes(key, 500_000))
    expect(content([...tiny.slice(4), ...full]).weight).toBe(16 * (2_000_000 + 59_996 * 2))
    const long = resource("Basic/0", `,"x":"${"x".repeat(40_000_000)}"`)
    expect(content([...tiny.slice(1), long]).weight).toBe(encodeBody(body([...tiny.slice(1), long])).length)
    // What is live has a number of its own.
    expect(content(tiny).changes[0]!.weight).toBe(32)
  })

  it("weighs sixteen times what cannot be read, or as much as an entry may have", () => {
    expect(mostIn(new Uint8Array(1))).toBe(16)
    expect(mostIn(new Uint8Array(4_194_303))).toBe(67_108_848)
    for (const length of [4_194_304, 4_194_305, 67_108_864]) expect(mostIn(new Uint8Array(length))).toBe(67_108_864)
  })

  it("weighs 16 KiB a body, so that there are 12,288 of them", () => {
    const record = new Growing(null)
    for (let n = 0; n < 12_287; n++) expect(record.spend(ada, 16 + (n % 2) * 16_368)).toBe(true)
    expect(record.roomOf(ada)).toBe(16_384)
    expect(record.spend(ada, 16_384)).toBe(true)
    expect(record.exhausted).toEqual([ada])
    // Content is as heavy as it is; what one is charged for it is not.
    expect(content([resource("Basic/0", "")]).weight).toBeLessThan(1000)
    record.spend(ben, 201_310_209)
    expect(record.spend(ben, 1)).toBe(false)
    expect(record.exhausted).toEqual([ada, ben])
  })

  it("is not written beyond", () => {
    const small = content([resource("Basic/0", "")])
    const opened = (bytes: number) => ({
      chart: { resources: new Map(), archived: false },
      spent: new Map([[ada, bytes]]),
    })
    expect(() => chartAfter(opened(201_310_209), ada, small)).toThrow(beyond)
    expect(chartAfter(opened(201_310_208), ada, small).archived).toBe(false)
  })
})

it("content of a newer version is told from what cannot be read", () => {
  const newer = expect.objectContaining({ code: "UNAVAILABLE_UPDATE" })
  expect(() => readContent(encodeCbor({ v: 2, by: "", changes: [], more: [1] }))).toThrow(newer)
  for (const v of [0, 1, "2"])
    expect(() => readContent(encodeCbor({ v, by: "", changes: [] }))).toThrow(
      expect.objectContaining({ code: "BAD_INPUT_FORMAT" }),
    )
})
