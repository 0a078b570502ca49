import { describe, expect, it } from "vitest"
import { toCsv } from "./csv.ts"

describe("toCsv", () => {
  it("quotes every cell and doubles quotes", () => {
    expect(
      toCsv([
        ["a", 'say "yes", please', "two\nlines"],
        ["", "ü", "1"],
      ]),
    ).toBe('"a","say ""yes"", please","two\nlines"\r\n"","ü","1"\r\n')
  })

  it.each(["=1+1", "+49", "-1", "@SUM(A1)", "\t=1", "  =1", "\r=1", "＝1"])(
    "leaves no cell that a spreadsheet takes for a formula: %j",
    (text) => {
      expect(toCsv([[text]])).toBe(`"'${text}"\r\n`)
    },
  )

  it("leaves what only contains such signs alone", () => {
    expect(toCsv([["beta as reader (2026-11-23)", "1=1"]])).toBe('"beta as reader (2026-11-23)","1=1"\r\n')
  })
})
