import fc from "fast-check"
import { describe, expect, it } from "vitest"
import { encodeCbor } from "../encoding/cbor.ts"
import { idBytes, idFromBytes, type RecordId } from "../encoding/ids.ts"
import { type EntryStatement, encodeEntry, parseEntry } from "./entry.ts"
import { testPhysician } from "./physician.fixture.ts"

const ada = testPhysician(1)
const record = idFromBytes<"record">(new Uint8Array(16).fill(9)) as RecordId
const hash = (n: number) => new Uint8Array(32).fill(n)

const full: EntryStatement = {
  v: 1,
  suite: "F1",
  record,
  seq: 3,
  prev: hash(1),
  epoch: 1,
  kind: "members",
  author: ada.id,
  time: 1_795_425_240_000,
  seen: { size: 77, root: hash(2) },
  body: { hash: hash(3), size: 329 },
  summary: { hash: hash(4), size: 345 },
  attachments: [{ id: idFromBytes<"attachment">(new Uint8Array(16)), size: 10, total: 1, hash: hash(5) }],
  members: [{ physician: ada.id, fingerprint: ada.fingerprint, role: "owner", until: 5 }],
  keyCommit: hash(6),
  grants: [{ recipient: ada.id, hash: hash(7) }],
}

/** What stands in the bytes: ids as bytes. */
const plain = {
  ...full,
  record: idBytes(record),
  author: idBytes(ada.id),
  attachments: [{ ...full.attachments![0]!, id: new Uint8Array(16) }],
  members: [{ ...full.members![0]!, physician: idBytes(ada.id) }],
  grants: [{ ...full.grants![0]!, recipient: idBytes(ada.id) }],
}
const refused = expect.objectContaining({ code: "BAD_INPUT_STATEMENT" })

describe("an entry's statement", () => {
  it("comes back from its bytes, with every field and with the fewest", () => {
    expect(parseEntry(encodeEntry(full))).toEqual(full)
    expect(encodeEntry(full)).toEqual(encodeCbor(plain))
    const { prev, body, summary, attachments, members, keyCommit, grants, ...least } = full
    expect(parseEntry(encodeEntry(least))).toEqual(least)
  })

  it("leaves an absent field out, whatever way it is absent", () => {
    const { prev, ...least } = full
    expect(encodeEntry({ ...full, prev: undefined })).toEqual(encodeEntry(least))
  })

  it.each(
    Object.keys(plain).filter(
      (name) => !["prev", "body", "summary", "attachments", "members", "keyCommit", "grants"].includes(name),
    ),
  )("is refused without %s", (name) => {
    const rest = Object.fromEntries(Object.entries(plain).filter(([key]) => key !== name))
    expect(() => parseEntry(encodeCbor(rest))).toThrow(refused)
  })

  const wrong: readonly [string, object][] = [
    ["another version", { v: 2 }],
    ["another suite", { suite: "F2" }],
    ["an unknown field", { note: "x" }],
    ["an unknown kind", { kind: "delete" }],
    ["an id as text", { record }],
    ["a short id", { author: new Uint8Array(15) }],
    ["a short hash", { prev: hash(1).subarray(1) }],
    ["seq as text", { seq: "3" }],
    ["an unknown role", { members: [{ ...plain.members[0], role: "admin" }] }],
    ["an unknown field in a member", { members: [{ ...plain.members[0], name: "Ada" }] }],
    ["no members in the list", { members: [] }],
    ["too many members", { members: Array.from({ length: 257 }, () => plain.members[0]) }],
    ["no grants in the list", { grants: [] }],
    ["a token without its size", { body: { hash: hash(3) } }],
  ]
  it.each(wrong)("is refused with %s", (_, change) => {
    const bytes = encodeCbor({ ...plain, ...change })
    expect(() => parseEntry(bytes)).toThrow(
      bytes.length > 65_536 ? expect.objectContaining({ code: "BAD_INPUT_SIZE" }) : refused,
    )
  })

  it("is refused above 64 KiB, before it is read", () => {
    expect(() => parseEntry(new Uint8Array(65_537))).toThrow(expect.objectContaining({ code: "BAD_INPUT_SIZE" }))
  })

  it("has one spelling: no changed byte reads as the same statement, and none reads that encodes otherwise", () => {
    const bytes = encodeEntry(full)
    const property = fc.property(fc.nat(bytes.length - 1), fc.integer({ min: 1, max: 255 }), (at, mask) => {
      const changed = bytes.with(at, bytes[at]! ^ mask)
      let read: EntryStatement
      try {
        read = parseEntry(changed)
      } catch (error) {
        expect(error).toEqual(refused)
        return
      }
      expect(encodeEntry(read)).toEqual(changed)
      expect(read).not.toEqual(full)
    })
    fc.assert(property, { numRuns: 2000 })
  })
})
