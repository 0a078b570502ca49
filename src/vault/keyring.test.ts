import { describe, expect, it } from "vitest"
import { encodeCbor } from "../encoding/cbor.ts"
import { idFromBytes, type PhysicianId, type PracticeId, type RecordId, type SegmentId } from "../encoding/ids.ts"
import { type Keyring, openKeyring, sealKeyring } from "./keyring.ts"
import { newSecretKey } from "./keys.ts"
import { keyringPlace } from "./places.ts"
import { seal } from "./seal.ts"

const ada = idFromBytes<"physician">(new Uint8Array(16).fill(1)) as PhysicianId
const ben = idFromBytes<"physician">(new Uint8Array(16).fill(2)) as PhysicianId
const key = newSecretKey<"physician">()
const keyring: Keyring = {
  v: 2,
  signSeed: new Uint8Array(32).fill(1),
  sealSeed: new Uint8Array(32).fill(2),
  sealKey: new Uint8Array(1216).fill(3),
  practice: {
    id: idFromBytes<"practice">(new Uint8Array(16)) as PracticeId,
    origin: "healthcrypt/AAAAAAAAAAAAAAAAAAAAAA",
    logKey: new Uint8Array(32).fill(4),
    opaqueKey: "key",
  },
  seen: { size: 9, root: new Uint8Array(32).fill(5), identity: 1 },
  roster: {
    segments: [
      { id: idFromBytes<"segment">(new Uint8Array(16)) as SegmentId, hash: new Uint8Array(32).fill(6), records: 500 },
    ],
    complete: 7,
  },
  bound: {
    leaf: 8,
    count: 1,
    digest: new Uint8Array(32).fill(7),
    loose: [{ id: idFromBytes<"record">(new Uint8Array(16)) as RecordId, seq: 2, hash: new Uint8Array(32).fill(8) }],
    ending: [{ until: 1_800_000_000_000, count: 2, digest: new Uint8Array(32).fill(9) }],
  },
  colleagues: [],
  devices: [],
  settings: { idleMinutes: 15, wordsConfirmed: true },
}
const cannotOpen = { code: "CANNOT_OPEN" }

describe("a keyring", () => {
  it("comes back whole, under its own physician, key and number alone", async () => {
    const token = await sealKeyring(key, ada, 3, keyring)
    expect(await openKeyring(key, ada, 3, token)).toEqual(keyring)
    await expect(openKeyring(key, ada, 2, token)).rejects.toMatchObject(cannotOpen)
    await expect(openKeyring(key, ben, 3, token)).rejects.toMatchObject(cannotOpen)
    await expect(openKeyring(newSecretKey<"physician">(), ada, 3, token)).rejects.toMatchObject(cannotOpen)
  })

  it("of version 1 is bound as far as its roster reaches", async () => {
    const { bound, roster, ...rest } = keyring
    const before = { ...rest, v: 1, roster: { ...roster, digest: bound.digest } }
    const token = await seal(key, keyringPlace(ada, 0), encodeCbor(before))
    const expected = { leaf: roster.complete, digest: bound.digest, loose: [], ending: [] }
    expect(await openKeyring(key, ada, 0, token)).toEqual({ ...keyring, bound: expected })
  })

  const other: readonly [string, object][] = [
    ["another version", { v: 0 }],
    ["an unknown field", { more: 1 }],
    ["a short seed", { signSeed: new Uint8Array(31) }],
    ["idle minutes above 15", { settings: { idleMinutes: 60, wordsConfirmed: true } }],
    ["no roster", { roster: "none" }],
    ["no bound", { bound: "none" }],
    ["the version before, and a bound", { v: 1 }],
  ]
  it.each(other)("is refused with %s, though it was sealed", async (_, change) => {
    const token = await seal(key, keyringPlace(ada, 0), encodeCbor({ ...keyring, ...change }))
    await expect(openKeyring(key, ada, 0, token)).rejects.toMatchObject(cannotOpen)
  })

  it("of a newer version says so, and is not called damaged", async () => {
    const token = await seal(key, keyringPlace(ada, 0), encodeCbor({ v: 99, other: "fields" }))
    await expect(openKeyring(key, ada, 0, token)).rejects.toMatchObject({ code: "UNAVAILABLE_UPDATE" })
  })

  it("is refused when what was sealed is no CBOR", async () => {
    const token = await seal(key, keyringPlace(ada, 0), new Uint8Array(40).fill(255))
    await expect(openKeyring(key, ada, 0, token)).rejects.toMatchObject(cannotOpen)
  })
})
