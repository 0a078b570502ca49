import { hostname } from "node:os"
import { expect, test } from "vitest"
import { isLoopback, nameFor, parseServerName, serverNames, urlOf } from "./address.ts"

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

test("a server may be asked for by what was asked for, and by what its machine goes by", () => {
  const { asked, own } = serverNames("clinic.example", ["practice.local", "10.0.0.7", "clinic.example"])
  expect(asked).toEqual(["clinic.example", "practice.local", "10.0.0.7"])
  const machine = hostname().toLowerCase()
  expect(own).toEqual(expect.arrayContaining(["localhost", "127.0.0.1", "::1", machine]))
  if (!machine.includes(".")) expect(own).toContain(`${machine}.local`)
  expect(serverNames("0.0.0.0").asked).toEqual([])
  expect(serverNames("::").asked).toEqual([])
  expect(serverNames("localhost").own).not.toContain("localhost")
})

test.each([
  ["Practice.LOCAL.", "practice.local"],
  ["bücher.example", "xn--bcher-kva.example"],
  ["FD00:0::0007", "fd00::7"],
  ["10.0.0.7", "10.0.0.7"],
  ["my_pc", "my_pc"],
])("%s is the name %s", (text, name) => {
  expect(parseServerName(text)).toBe(name)
})

test.each([
  "",
  ".",
  "*.example",
  "a b",
  "-a.example",
  "a-.example",
  "a..b",
  "0.0.0.0",
  "::",
  "fe80::1%eth0",
  "10.0.0",
  "1",
  "a/b",
  "a:80",
  `${"a".repeat(64)}.example`,
  `${"a.".repeat(127)}example`,
])("'%s' names no one server", (text) => {
  expect(parseServerName(text)).toBeNull()
})

test("the URL can be typed into a browser", async () => {
  expect(urlOf("http", await nameFor("127.0.0.1"), 5000)).toMatch(/^http:\/\/(localhost|127\.0\.0\.1):5000$/)
  expect(urlOf("https", await nameFor("::1"), 5000)).toBe("https://[::1]:5000")
  expect(urlOf("https", await nameFor("clinic.example"), 443)).toBe("https://clinic.example:443")
  expect(urlOf("https", await nameFor("0.0.0.0"), 5000)).not.toContain("0.0.0.0")
})
