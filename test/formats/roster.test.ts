import { beforeAll, describe, expect, it } from "vitest"
import { sha256 } from "#sha256"
import { boundOf, headAt, missingFrom } from "../../src/client/bound.ts"
import { Pins } from "../../src/client/pins.ts"
import { encodeRows, keysOf, parseRows, type RosterRow } from "../../src/client/roster-row.ts"
import type { ClientStorage } from "../../src/client/storage.ts"
import { encodeBase64url } from "../../src/encoding/base64.ts"
import { concat, parseUtf8, utf8 } from "../../src/encoding/bytes.ts"
import { encodeCbor } from "../../src/encoding/cbor.ts"
import { encodeFrame } from "../../src/encoding/frame.ts"
import type { DeviceId, PhysicianId, PracticeId, RecordId, SegmentId } from "../../src/encoding/ids.ts"
import { logOrigin } from "../../src/proof/checkpoint.ts"
import { encodeToken, encrypt, parseToken } from "../../src/vault/fernet.ts"
import { type Keyring, openKeyring } from "../../src/vault/keyring.ts"
import { asSecretKey, deriveKey, type PhysicianKey } from "../../src/vault/keys.ts"
import { cachePlace, keyringPlace, rosterPlace } from "../../src/vault/places.ts"
import { open } from "../../src/vault/seal.ts"
import { expectOnPage, fromHex, hex } from "./made.ts"
import { workedExample } from "./worked-example.ts"

let example: (name: string) => string
let physician: PhysicianId
let key: PhysicianKey
beforeAll(async () => {
  example = await workedExample("roster.md")
  physician = example("physician") as PhysicianId
  key = asSecretKey<"physician">(bytes("physician key"))
})
const bytes = (name: string) => fromHex(example(name))

/** As `seal` does it, at the example's time and with its IV. */
async function sealed(place: Uint8Array, content: Uint8Array): Promise<Uint8Array<ArrayBuffer>> {
  const options = { now: Date.parse(example("time")), iv: bytes("iv") }
  return encrypt(await deriveKey(key, place), encodeFrame(content), options)
}

const row = (): RosterRow => ({
  id: example("record") as RecordId,
  seq: 0,
  hash: encodeBase64url(bytes("head")),
  epoch: 0,
  leaf: Number(example("leaf")),
  keys: [encodeBase64url(bytes("record key"))],
  updated: Date.parse(example("time")),
  firstName: "Brady",
  lastName: "Kuhlman",
  birthDate: "1961-07-09",
  diagnoses: [],
  patient: "Patient/1",
  archived: false,
  seen: Number(example("leaf")),
  chain: "",
})

describe("docs/formats/roster.md, a segment", () => {
  const segmentPlace = () => rosterPlace(physician, example("segment") as SegmentId)

  it("is these rows and this token", async () => {
    const rows = encodeRows([row()])
    const token = await sealed(segmentPlace(), rows)
    expectOnPage(example, {
      rows: parseUtf8(rows),
      "segment context": hex(segmentPlace()),
      "segment token": encodeToken(token),
      "segment hash": hex(sha256(token)),
    })
  })

  it("opens to the row, and the row to its key", async () => {
    const rows = parseRows(await open(key, segmentPlace(), parseToken(example("segment token"))))
    expect(rows).toEqual([row()])
    expect(hex(keysOf(rows[0]!)[0]!)).toBe(example("record key"))
  })
})

describe("docs/formats/roster.md, a keyring", () => {
  const sealKey = () => new Uint8Array(1216).fill(bytes("seal key byte")[0]!)
  const place = () => keyringPlace(physician, Number(example("keyring number")))
  const keyring = (): Keyring => {
    const id = example("practice") as PracticeId
    return {
      v: 2,
      signSeed: bytes("sign seed"),
      sealSeed: bytes("seal seed"),
      sealKey: sealKey(),
      practice: { id, origin: logOrigin(id), logKey: bytes("log key"), opaqueKey: example("opaque key") },
      seen: { size: Number(example("seen size")), root: bytes("seen root"), identity: 0 },
      roster: {
        segments: [{ id: example("segment") as SegmentId, hash: bytes("segment hash"), records: 1 }],
        complete: Number(example("seen size")),
      },
      bound: { leaf: Number(example("seen size")), count: 1, digest: bytes("digest"), loose: [], ending: [] },
      colleagues: [
        {
          physician: example("colleague") as PhysicianId,
          username: example("colleague's username"),
          name: example("colleague's name"),
          fingerprint: bytes("colleague's print"),
          identity: { seq: 0, hash: bytes("colleague's identity") },
          state: "verified",
          time: Date.parse(example("time")),
          how: "digits",
        },
      ],
      devices: [],
      settings: { idleMinutes: 15, wordsConfirmed: true },
    }
  }

  it("is bound to the one head, and holds a device that begins anew to it", () => {
    const record = example("record") as RecordId
    const heads = new Map([[record, headAt(record, 0, bytes("head"), null)]])
    const bound = boundOf(Number(example("seen size")), heads, [])
    expectOnPage(example, { digest: hex(bound.digest) })
    expect(bound).toEqual(keyring().bound)
    expect(missingFrom(bound, heads, 0)).toBeNull()
    expect(missingFrom(bound, new Map(), 0)).toEqual({ records: [], more: true })
    const named = boundOf(5, heads, [record])
    const missing = { records: [{ id: record, seq: 0 }], more: false }
    expect(missingFrom(named, new Map(), 0)).toEqual(missing)
    const other = "AAAAAAAAAAAAAAAAAAAAAA" as RecordId
    expect(missingFrom(named, new Map([[other, headAt(other, 0, bytes("head"), null)]]), 0)).toEqual({
      ...missing,
      more: true,
    })
  })

  it("is these bytes", async () => {
    const content = encodeCbor(keyring())
    const at = Buffer.from(content).indexOf(sealKey())
    expectOnPage(example, {
      "keyring, to seal key": hex(content.subarray(0, at)),
      "keyring, from there": hex(content.subarray(at + 1216)),
      "keyring context": hex(place()),
      "keyring token hash": hex(sha256(await sealed(place(), content))),
    })
  })

  it("opens from the page's bytes", async () => {
    const content = concat(bytes("keyring, to seal key"), sealKey(), bytes("keyring, from there"))
    const token = await sealed(place(), content)
    expect(hex(sha256(token))).toBe(example("keyring token hash"))
    expect(await openKeyring(key, physician, Number(example("keyring number")), token)).toEqual(keyring())
  })

  it("of version 1, with the digest in the roster, opens to one that is bound as far as that", async () => {
    const { bound, roster, ...rest } = keyring()
    const before = { ...rest, v: 1, roster: { ...roster, digest: bound.digest } }
    const opened = await openKeyring(key, physician, 1, await sealed(place(), encodeCbor(before)))
    const { count, ...withoutCount } = bound
    expect(count).toBe(1)
    expect(opened).toEqual({ ...keyring(), bound: withoutCount })
  })

  it("without colleagues, as version 0.1 wrote it, opens to one that has none", async () => {
    const { colleagues, ...before } = keyring()
    expect(colleagues).toHaveLength(1)
    const opened = await openKeyring(key, physician, 1, await sealed(place(), encodeCbor(before)))
    expect(opened).toEqual({ ...before, colleagues: [] })
  })
})

describe("docs/formats/roster.md, pins", () => {
  const place = () => cachePlace(physician, example("device") as DeviceId, "pins")
  const tree = () => ({ size: Number(example("seen size")), root: bytes("seen root") })

  it("are these bytes and this token", async () => {
    const content = encodeCbor({
      v: 1,
      tree: tree(),
      others: [],
      identity: { seq: 0, hash: bytes("head") },
      keyring: 1,
      heads: [[example("record"), 0, bytes("head"), Number(example("leaf"))]],
    })
    const token = await sealed(place(), content)
    expectOnPage(example, { pins: hex(content), "pins context": hex(place()), "pins token": encodeToken(token) })
  })

  it("are what a client loads", async () => {
    const practice = example("practice") as PracticeId
    const stored = new Map([
      ["device", utf8(example("device"))],
      [`pins/${practice}/${physician}`, parseToken(example("pins token"))],
    ])
    const pins = await Pins.load(readOnly(stored), key, practice, physician)
    expect(pins.tree).toEqual(tree())
    expect(pins.keyring).toBe(1)
    expect([...pins.heads]).toEqual([[example("record"), { seq: 0, hash: bytes("head"), leaf: 4 }]])
  })
})

function readOnly(stored: ReadonlyMap<string, Uint8Array>): ClientStorage {
  return {
    get: async (name) => stored.get(name) ?? null,
    put: async () => expect.unreachable(),
    delete: async () => expect.unreachable(),
    list: async (prefix) => [...stored.keys()].filter((name) => name.startsWith(prefix)),
    exclusive: (_, work) => work(),
  }
}
