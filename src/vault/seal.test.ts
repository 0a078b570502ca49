import fc from "fast-check"
import { describe, expect, it } from "vitest"
import {
  type DeviceId,
  idFromBytes,
  type PhysicianId,
  type RecordId,
  type SegmentId,
  type SessionId,
} from "../encoding/ids.ts"
import { limits } from "../encoding/limits.ts"
import { newSecretKey } from "./keys.ts"
import * as places from "./places.ts"
import { open, seal } from "./seal.ts"

const id = <Kind>(n: number) => idFromBytes(new Uint8Array(16).fill(n)) as unknown as Kind
const [ada, ben] = [id<PhysicianId>(1), id<PhysicianId>(2)]
const [first, second] = [id<RecordId>(1), id<RecordId>(2)]
const cannotOpen = { code: "CANNOT_OPEN" }

/** Every place, twice: its last field differs. All ids have the same bytes, so that the labels alone tell the kinds apart. */
const all: readonly Uint8Array[] = [
  places.unlockPlace(ada, "password", 0),
  places.unlockPlace(ada, "password", 1),
  places.unlockPlace(ada, "recovery", 0),
  places.keyringPlace(ada, 0),
  places.keyringPlace(ada, 1),
  places.profilePlace(ada, 0),
  places.profilePlace(ben, 0),
  places.selfGrantPlace(ada, first, 0),
  places.selfGrantPlace(ada, second, 0),
  places.selfGrantPlace(ada, first, 1),
  places.rosterPlace(ada, id<SegmentId>(1)),
  places.rosterPlace(ada, id<SegmentId>(2)),
  places.cachePlace(ada, id<DeviceId>(1), "pins"),
  places.cachePlace(ada, id<DeviceId>(1), "draft"),
  places.cachePlace(ada, id<DeviceId>(2), "pins"),
  places.sessionPlace(ada, id<SessionId>(1)),
  places.sessionPlace(ada, id<SessionId>(2)),
  places.entryPlace(first, 0, 0, ada),
  places.entryPlace(first, 0, 1, ada),
  places.entryPlace(first, 1, 0, ada),
  places.entryPlace(first, 0, 0, ben),
  places.entryPlace(second, 0, 0, ada),
  places.summaryPlace(first, 0, 0),
  places.summaryPlace(first, 1, 0),
  places.summaryPlace(second, 0, 0),
]

describe("what is sealed", () => {
  it("opens in its own place and in no other", async () => {
    const key = newSecretKey()
    const body = new Uint8Array(300).fill(1)
    const tokens = await Promise.all(all.map((place) => seal(key, place, body)))
    for (const [i, token] of tokens.entries()) {
      for (const [j, place] of all.entries()) {
        if (i === j) expect(await open(key, place, token)).toEqual(body)
        else await expect(open(key, place, token)).rejects.toMatchObject(cannotOpen)
      }
    }
  })

  it("opens with its own key alone, and with no bit changed", async () => {
    const property = fc.asyncProperty(fc.uint8Array({ maxLength: 600 }), fc.nat(), async (body, n) => {
      const key = newSecretKey()
      const token = await seal(key, all[0]!, body)
      expect(await open(key, all[0]!, token)).toEqual(body)
      await expect(open(newSecretKey(), all[0]!, token)).rejects.toMatchObject(cannotOpen)
      const at = n % token.length
      const changed = token.with(at, token[at]! ^ (1 << (n % 8)))
      await expect(open(key, all[0]!, changed)).rejects.toMatchObject(cannotOpen)
    })
    await fc.assert(property)
  })

  it("is another token each time, of a padded length, with the time it was given", async () => {
    const key = newSecretKey()
    const options = { now: Date.UTC(2026, 10, 23, 9, 14) }
    const tokens = await Promise.all([
      seal(key, all[0]!, new Uint8Array(3), options),
      seal(key, all[0]!, new Uint8Array(200), options),
    ])
    expect(tokens.map((token) => token.length)).toEqual([329, 329])
    expect(tokens[0]!.subarray(9, 25)).not.toEqual(tokens[1]!.subarray(9, 25))
    const seconds = new DataView(tokens[0]!.buffer).getBigUint64(1)
    expect(Number(seconds) * 1000).toBe(options.now)
    expect(await seal(key, all[0]!, new Uint8Array(32), { exact: true })).toHaveLength(105)
  })

  it("has a limit, before and after compression", async () => {
    const key = newSecretKey()
    const tooLarge = { code: "BAD_INPUT_SIZE" }
    await expect(seal(key, all[0]!, new Uint8Array(limits.bodyBytes + 1))).rejects.toMatchObject(tooLarge)
    const zeros = new Uint8Array(limits.bodyBytes + 1)
    expect((await seal(key, all[0]!, zeros, { compress: true })).length).toBeLessThan(100_000)
    await expect(
      seal(key, all[0]!, new Uint8Array(limits.inflatedBytes + 1), { compress: true }),
    ).rejects.toMatchObject(tooLarge)
  })
})
