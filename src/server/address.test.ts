import { hostname } from "node:os"
import { expect, test } from "vitest"
import { certificateNames, isLoopback, urlOf } from "./address.ts"

test.each(["127.0.0.1", "127.9.9.9", "::1", "localhost", "::ffff:127.0.0.1"])(
  "%s stays on this machine",
  async (host) => {
    expect(await isLoopback(host)).toBe(true)
  },
)

test.each(["0.0.0.0", "::", "", "192.0.2.7", "10.0.0.1", "fe80::1", "::ffff:192.0.2.7", "no-such-host.invalid"])(
  "'%s' does not stay on this machine",
  async (host) => {
    expect(await isLoopback(host)).toBe(false)
  },
)

test("a certificate is for every name that a server may be asked for by", () => {
  const names = certificateNames("clinic.example")
  expect(names).toEqual(expect.arrayContaining(["clinic.example", "localhost", "127.0.0.1", "::1"]))
  expect(names).toContain(hostname().toLowerCase())
  expect(certificateNames("0.0.0.0")).not.toContain("0.0.0.0")
})

test("the URL can be typed into a browser", async () => {
  expect(await urlOf("http", "127.0.0.1", 5000)).toMatch(/^http:\/\/(localhost|127\.0\.0\.1):5000$/)
  expect(await urlOf("https", "::1", 5000)).toBe("https://[::1]:5000")
  expect(await urlOf("https", "clinic.example", 443)).toBe("https://clinic.example:443")
  expect(await urlOf("https", "0.0.0.0", 5000)).not.toContain("0.0.0.0")
})
