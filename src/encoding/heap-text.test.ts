import { expect, it } from "vitest"
import { parseUtf8, utf8 } from "./bytes.ts"
import { heapText as inBrowsers } from "./heap-text.browser.ts"
import { heapText as inNode } from "./heap-text.node.ts"

for (const [name, heapText] of Object.entries({ inBrowsers, inNode })) {
  it(`reads what UTF-8 says, ${name}`, () => {
    const long = (length: number) => "Ab \n{}".repeat(length).slice(0, length)
    const texts = ["", "a", "\0", long(1023), long(1024), long(1025), long(70_000), `${long(1024)}é`, "\ufeffé", "𝄞"]
    for (const text of texts) expect(heapText(utf8(text))).toBe(text)
    // A view reads no more than its own bytes.
    expect(heapText(utf8("before within behind").subarray(7, 13))).toBe("within")
  })

  it(`refuses what is no UTF-8, wherever it stands, ${name}`, () => {
    for (const at of [0, 5, 1024, 3000]) {
      const bytes = utf8("x".repeat(3001))
      bytes[at] = 0xff
      expect(() => parseUtf8(bytes)).toThrow(TypeError)
      expect(() => heapText(bytes)).toThrow(TypeError)
    }
  })
}
