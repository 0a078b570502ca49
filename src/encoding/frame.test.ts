import { deflateRawSync, inflateRawSync } from "node:zlib"
import fc from "fast-check"
import { describe, expect, it } from "vitest"
import { deflate, encodeFrame, inflate, parseFrame } from "./frame.ts"
import { limits } from "./limits.ts"

const badFormat = { code: "BAD_INPUT_FORMAT" }

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
  it("is what zlib reads and writes", async () => {
    const property = fc.asyncProperty(fc.uint8Array({ maxLength: 5000 }), async (body) => {
      expect(new Uint8Array(inflateRawSync(await deflate(body)))).toEqual(body)
      expect(await inflate(new Uint8Array(deflateRawSync(body)), limits.inflatedBytes)).toEqual(body)
    })
    await fc.assert(property, { numRuns: 50 })
  })

  it("is refused when it is cut, when something follows, and when it is none", async () => {
    const packed = await deflate(new TextEncoder().encode("Hypertension ".repeat(300)))
    for (const wrong of [
      packed.subarray(0, -1),
      Uint8Array.of(...packed, 0),
      Uint8Array.of(7, 7, 7),
      new Uint8Array(0),
    ])
      await expect(inflate(wrong, limits.inflatedBytes)).rejects.toMatchObject(badFormat)
  })

  it("stops at 64 MiB while it streams", async () => {
    const bomb = new Uint8Array(deflateRawSync(new Uint8Array(limits.inflatedBytes + 1)))
    expect(bomb.length).toBeLessThan(100_000)
    await expect(inflate(bomb, limits.inflatedBytes)).rejects.toMatchObject({ code: "BAD_INPUT_SIZE" })
  })
})
