import fc from "fast-check"
import { describe, expect, it } from "vitest"
import { idBytes, idFromBytes, isId, newId, parseId } from "./ids.ts"

const badFormat = expect.objectContaining({ code: "BAD_INPUT_FORMAT" })

describe("ids", () => {
  it("are 16 bytes, written as 22 characters", () => {
    const property = fc.property(fc.uint8Array({ minLength: 16, maxLength: 16 }), (bytes) => {
      const id = idFromBytes(bytes)
      expect(id).toHaveLength(22)
      expect(isId(id)).toBe(true)
      expect(parseId(id)).toBe(id)
      expect(idBytes(id)).toEqual(bytes)
    })
    fc.assert(property)
  })

  it("are random", () => {
    expect(new Set(Array.from({ length: 1000 }, () => newId())).size).toBe(1000)
  })

  it("have one spelling", () => {
    const wrong = [
      "",
      "AAAAAAAAAAAAAAAAAAAAAB",
      "AAAAAAAAAAAAAAAAAAAAA",
      "AAAAAAAAAAAAAAAAAAAAAAA",
      "AAAAAAAAAAAAAAAAAAAAA=",
      "AAAAAAAAAAAAAAAAAAAA+A",
    ]
    for (const text of wrong) {
      expect(isId(text), text).toBe(false)
      expect(() => parseId(text), text).toThrow(badFormat)
      expect(() => idBytes(text as ReturnType<typeof newId>), text).toThrow(badFormat)
    }
    expect(isId(22)).toBe(false)
    for (const length of [0, 15, 17, 32]) expect(() => idFromBytes(new Uint8Array(length))).toThrow(badFormat)
  })
})

it("no fresh id begins with a hyphen, which a command line would take for an option", () => {
  for (let i = 0; i < 2000; i++) expect(newId()).not.toMatch(/^-/)
})
