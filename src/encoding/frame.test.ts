import { deflateRawSync, inflateRawSync } from "node:zlib"
import fc from "fast-check"
import { describe, expect, it } from "vitest"
import { concatAll, utf8 } from "./bytes.ts"
import { deflate, encodeFrame, parseFrame } from "./frame.ts"
import { inflate as inflateInBrowsers } from "./inflate.browser.ts"
import { inflate } from "./inflate.node.ts"
import { limits } from "./limits.ts"

const badFormat = { code: "BAD_INPUT_FORMAT" }
const badSize = { code: "BAD_INPUT_SIZE" }

describe("frames", () => {
  it("hold any body, and show nothing of its length but its Padmé size", () => {
    const property = fc.property(fc.uint8Array({ maxLength: 2000 }), fc.constantFrom(0, 1), (body, coding) => {
      const frame = encodeFrame(body, coding as 0 | 1)
      expect(frame.length).toBeGreaterThanOrEqual(256)
      expect(parseFrame(frame)).toEqual({ coding, body })
      const exact = encodeFrame(body, 0, true)
      expect(exact.length).toBe(5 + body.length)
      expect(parseFrame(exact, true).body).toEqual(body)
    })
    fc.assert(property)
  })

  it("are refused with any byte of coding, length or filler changed", () => {
    const frame = encodeFrame(new Uint8Array(100).fill(9))
    for (let at = 0; at < frame.length; at++) {
      if (at >= 5 && at < 105) continue
      for (const bit of [1, 2, 128]) {
        if (at === 0 && bit === 1) continue // the other coding
        const changed = frame.slice()
        changed[at]! ^= bit
        // A length that grows into the zeros is the frame of another body: what the HMAC is there for.
        if (at === 4) continue
        expect(() => parseFrame(changed), `byte ${at}`).toThrow(expect.objectContaining(badFormat))
      }
    }
  })

  it("are read from the middle of a larger buffer", () => {
    const frame = encodeFrame(Uint8Array.of(1, 2, 3))
    const larger = new Uint8Array(frame.length + 20).fill(255)
    larger.set(frame, 7)
    expect(parseFrame(larger.subarray(7, 7 + frame.length)).body).toEqual(Uint8Array.of(1, 2, 3))
  })
})

describe("raw DEFLATE", () => {
  /** Bytes with much that repeats, and much that does not. */
  const mixed = fc
    .array(
      fc.oneof(
        fc.uint8Array({ maxLength: 300 }),
        fc.tuple(fc.nat(255), fc.nat(3000)).map(([byte, length]) => new Uint8Array(length).fill(byte)),
        fc.nat(4000).map((length) => utf8("Hypertension, since 2019. ".repeat(200)).slice(0, length)),
      ),
      { maxLength: 40 },
    )
    .map(concatAll)

  it("is what zlib reads and writes", async () => {
    const property = fc.asyncProperty(
      mixed,
      fc.integer({ min: 0, max: 9 }),
      fc.nat(4),
      async (body, level, strategy) => {
        expect(new Uint8Array(inflateRawSync(await deflate(body)))).toEqual(body)
        const packed = new Uint8Array(deflateRawSync(body, { level, strategy }))
        for (const engine of [inflate, inflateInBrowsers]) {
          expect(await engine(packed, body.length)).toEqual(body)
          if (body.length > 0) await expect(engine(packed, body.length - 1)).rejects.toMatchObject(badSize)
        }
      },
    )
    await fc.assert(property, { numRuns: 300 })
  })

  it("is refused when it is cut, when something follows, and when it is none", async () => {
    const packed = await deflate(utf8("Hypertension ".repeat(300)))
    const behind = [Uint8Array.of(...packed, 0), Uint8Array.of(...packed, ...new Uint8Array(100))]
    const wrong = [packed.subarray(0, -1), Uint8Array.of(7, 7, 7), new Uint8Array(0)]
    for (const bytes of [...behind, ...wrong])
      await expect(inflate(bytes, limits.inflatedBytes)).rejects.toMatchObject(badFormat)
    // What lies behind the end is refused by a browser's own stream, and passed over by Node's.
    for (const bytes of wrong)
      await expect(inflateInBrowsers(bytes, limits.inflatedBytes)).rejects.toMatchObject(badFormat)
  })

  it("stops at 64 MiB", async () => {
    const bomb = new Uint8Array(deflateRawSync(new Uint8Array(limits.inflatedBytes + 1)))
    expect(bomb.length).toBeLessThan(100_000)
    for (const engine of [inflate, inflateInBrowsers])
      await expect(engine(bomb, limits.inflatedBytes)).rejects.toMatchObject(badSize)
  })
})
