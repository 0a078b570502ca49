import fc from "fast-check"
import { expect, it } from "vitest"
import { type ContextField, context } from "./context.ts"

const hex = (bytes: Uint8Array) => Buffer.from(bytes).toString("hex")

it("writes each field behind its length", () => {
  const made = context("entry", Uint8Array.of(7), 258, "é")
  const label = Buffer.from("healthcrypt/v1/entry\0").toString("hex")
  expect(hex(made)).toBe(`${label}0000000107000000080000000000000102${"00000002c3a9"}`)
})

it("is injective: the fields can be read back", () => {
  const field = fc.oneof(fc.uint8Array({ maxLength: 12 }), fc.string({ maxLength: 8 }))
  const label = fc.stringMatching(/^[a-z-]{1,12}$/)
  const property = fc.property(label, fc.array(field, { maxLength: 5 }), (name, fields) => {
    const bytes = Buffer.from(context(name, ...fields))
    const end = bytes.indexOf(0)
    expect(bytes.subarray(0, end).toString()).toBe(`healthcrypt/v1/${name}`)
    const read: string[] = []
    for (let at = end + 1; at < bytes.length; ) {
      const length = bytes.readUInt32BE(at)
      read.push(bytes.subarray(at + 4, at + 4 + length).toString("hex"))
      at += 4 + length
    }
    expect(read).toEqual(fields.map((one) => Buffer.from(one as string).toString("hex")))
  })
  fc.assert(property)
})

it("differs where a border between fields moves", () => {
  const cases: ContextField[][] = [["ab", "c"], ["a", "bc"], ["abc"], ["abc", ""], ["", "abc"], []]
  expect(new Set(cases.map((fields) => hex(context("x", ...fields)))).size).toBe(cases.length)
})
