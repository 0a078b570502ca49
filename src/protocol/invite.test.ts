import { expect, test } from "vitest"
import { encodeInvite, inviteLink, parseInvite } from "./invite.ts"

const invite = {
  code: Uint8Array.from({ length: 16 }, (_, i) => 250 - i),
  logKey: Uint8Array.from({ length: 32 }, (_, i) => 8 * i),
  origin: "healthcrypt/LR0waYG2Uth5te0o1yUNPg",
}
const line = encodeInvite(invite)

test("is one line, which is read back as a line and as a link", () => {
  expect(line).toMatch(/^\S+$/)
  expect(parseInvite(line)).toEqual(invite)
  expect(parseInvite(`  ${line}\n`)).toEqual(invite)
  const link = inviteLink("https://practice.example:5000", invite)
  expect(link).toBe(`https://practice.example:5000/register#${line}`)
  expect(new URL(link).pathname + new URL(link).search).toBe("/register")
  expect(parseInvite(link)).toEqual(invite)
  const later = { ...invite, origin: `${invite.origin}/8sSSvKLKcOtVpMiXvNZqkQ` }
  expect(parseInvite(encodeInvite(later))).toEqual(later)
})

test.each([
  ["nothing", ""],
  ["a part of it", line.slice(0, 60)],
  ["the code alone", line.slice(0, 22)],
  ["a code of another length", line.slice(1)],
  ["another spelling of the same bytes", line.replace(/^(.{21})./, "$1B")],
  ["something behind it", `${line} and more`],
  ["another origin", line.replace("healthcrypt/", "https://")],
  ["a megabyte", "A".repeat(2 ** 20)],
])("%s is refused", (_, text) => {
  expect(() => parseInvite(text)).toThrow(expect.objectContaining({ code: "BAD_INPUT_FORMAT" }))
})
