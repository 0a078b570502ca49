import "reflect-metadata"
import type * as x509 from "@peculiar/x509"
import fc from "fast-check"
import { expect, test } from "vitest"
import { makeAuthority } from "./authority.ts"
import { isOneServers, isPermitted, nameConstraints, permittedNames } from "./name-constraints.ts"

const hex = (extension: x509.Extension) => Buffer.from(extension.value).toString("hex")

test("the constraints are DER as RFC 5280 has it", () => {
  const extension = nameConstraints(["practice.local", "10.0.0.7", "fd00::7"])
  expect([extension.type, extension.critical]).toEqual(["2.5.29.30", true])
  expect(hex(extension)).toBe(
    "305a" + // SEQUENCE: NameConstraints
      "a058" + // [0] permittedSubtrees
      "3010820e70726163746963652e6c6f63616c" + // dNSName practice.local
      "300a87080a000007ffffffff" + // iPAddress 10.0.0.7/32
      "30228720fd000000000000000000000000000007ffffffffffffffffffffffffffffffff" + // iPAddress fd00::7/128
      "30098107696e76616c6964" + // rfc822Name invalid
      "30098607696e76616c6964", // uniformResourceIdentifier invalid
  )
})

test("without names of a kind, nobody's name and this machine alone are permitted", () => {
  const permitting = (...names: string[]) => hex(nameConstraints(names))
  expect(permitting("10.0.0.7")).toContain("30098207696e76616c6964")
  expect(permitting("practice.local")).toContain("300a87087f000001ffffffff")
  expect(permitting()).toContain("30098207696e76616c6964300a87087f000001ffffffff")
})

test("what is permitted is read back from an authority, however many names there are", async () => {
  const name = fc.oneof(
    fc.domain().map((text) => text.toLowerCase()),
    fc.ipV4(),
    fc.ipV6().map((text) => new URL(`http://[${text}]`).hostname.slice(1, -1)),
  )
  await fc.assert(
    fc.asyncProperty(fc.uniqueArray(name, { maxLength: 60 }), async (names) => {
      const authority = await makeAuthority([...names, "localhost", "127.0.0.1"], 1_800_000_000_000)
      for (const pem of [authority.cert, authority.root]) {
        const permitted = permittedNames(pem)!
        for (const each of names) expect(isPermitted(each, permitted), each).toBe(true)
        expect(permitted).toHaveLength(new Set([...names, "localhost", "127.0.0.1"]).size)
      }
    }),
    { numRuns: 40 },
  )
})

test("a name is permitted with what lies under it, an address alone", () => {
  const permitted = ["practice.local", "10.0.0.7"]
  for (const name of ["practice.local", "desk.practice.local", "10.0.0.7"])
    expect(isPermitted(name, permitted)).toBe(true)
  for (const name of ["local", "xpractice.local", "practice.local.example", "10.0.0.8", "1.10.0.0.7"])
    expect(isPermitted(name, permitted)).toBe(false)
})

test.each(["clinic", "vm", "com", "xn--p1ai"])("%s may be a top-level domain", (name) => {
  expect(isOneServers(name)).toBe(false)
})

test.each(["localhost", "clinic.local", "desktop-4f2k", "server1", "my_pc", "10.0.0.7", "fd00::7"])(
  "%s cannot be one",
  (name) => {
    expect(isOneServers(name)).toBe(true)
  },
)
