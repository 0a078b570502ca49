import { expect, it } from "vitest"
import { joined, shown, shownView, unmarked } from "./shown.ts"

it("leaves what is written from left to right as it is", () => {
  for (const text of ["Ada Byron", "Þórður", "王小明", "12.3 mg/dl", ""]) expect(shown(text)).toBe(text)
})

it("makes an island of each line from right to left, and nothing in it closes it", () => {
  expect(shown("כהן")).toBe("\u2068כהן\u2069")
  expect(shown("שלום\n\nab\nدرد")).toBe("\u2068שלום\u2069\n\n\u2068ab\u2069\n\u2068درد\u2069")
  expect(shown("כ\u2069\u202eהן")).toBe("\u2068כהן\u2069")
  expect(shown("gnp.exe\u202egpj\u200b")).toBe("gnp.exegpj")
})

it("makes one island of a name in two parts, however often it is shown", () => {
  expect(joined([shown("דוד"), shown("כהן")], " ")).toBe("\u2068דוד כהן\u2069")
  expect(joined([joined(["כהן", "דוד"], ", ")], "")).toBe("\u2068כהן, דוד\u2069")
  expect(unmarked(joined(["דוד", ""], " "))).toBe("דוד")
})

it("shows every text of a view but what a form or a file is made of", () => {
  const evil = "a\u202eb"
  const bytes = new Uint8Array(2)
  expect(
    shownView({ a: [evil, { b: evil, n: 1, none: null }], form: { lastName: evil }, evidence: evil, bytes }),
  ).toEqual({
    a: ["ab", { b: "ab", n: 1, none: null }],
    form: { lastName: evil },
    evidence: evil,
    bytes,
  })
})
