import { Writable } from "node:stream"
import { describe, expect, it } from "vitest"
import { shownJson } from "../encoding/shown-text.ts"
import { clean, layTable, wrap } from "./clean.ts"
import { Out } from "./out.ts"

/** Every character that steers what is around it. */
const steering = Array.from({ length: 0x110000 }, (_, code) => code)
  .filter((code) => code < 0xd800 || code > 0xdfff)
  .map((code) => String.fromCodePoint(code))
  .filter((character) => /[\p{Cc}\p{Zl}\p{Zp}\p{Bidi_Control}\p{Default_Ignorable_Code_Point}]/u.test(character))

describe("a line", () => {
  it("holds no character that steers, whichever it is", () => {
    expect(steering.length).toBeGreaterThan(4_000)
    const through = steering.filter((character) => clean(`,${character},`) !== clean(",,"))
    // A line break or a control character leaves a trace that is seen; a selector stays behind what it may select a form of.
    for (const character of through)
      expect([", ,", ",\ufffd,", `,${character},`], character.codePointAt(0)!.toString(16)).toContain(
        clean(`,${character},`),
      )
    const kept = through.filter((character) => clean(`,${character},`).includes(character))
    expect(kept.every((character) => /[\u180b-\u180d\u180f\ufe00-\ufe0f\u{e0100}-\u{e01ef}]/u.test(character))).toBe(
      true,
    )
    for (const character of steering) expect(clean(character)).toMatch(/^[ \ufffd]?$/)
  })

  it.each([
    ["a clear screen", "Beer\u001b[2J\u001b[1;1H", "Beer\ufffd[2J\ufffd[1;1H"],
    ["a clipboard", "\u001b]52;c;Y3VybA==\u0007", "\ufffd]52;c;Y3VybA==\ufffd"],
    ["C1", "\u009b31m", "\ufffd31m"],
    ["lines", "a\nb\r\nc\rd\u0085e\u2028f\u2029g\vh\fi\tj", "a b c d e f g h i j"],
    ["directions", "\u202egpj.exe\u202c \u2067x\u2069\u200e\u200f\u061c", "gpj.exe x"],
    ["what cannot be seen", "\ufeffA\u00ad\u200bd\u2060a\u3164\u{e0041}\u{e0001}", "Ada"],
    ["halves of characters", "\ud83d\u200e\ude00", "\ufffd\ufffd"],
  ])("shows %s as text", (_, text, shown) => {
    expect(clean(text)).toBe(shown)
  })

  it.each([
    ["Persian", "علی‌رضا می‌خواهم"],
    ["Hindi", "क्‍षमा"],
    ["Sinhala", "ශ්‍රී"],
    ["Japanese, with a selector of its form", "葛\u{e0100}城"],
    ["Mongolian", "ᠰᠠ᠋"],
    ["emoji", "❤️‍🔥👩‍⚕️👨🏽‍👩🏽‍👧"],
    ["an Arabic number sign", "\u0600١٢"],
    ["many scripts", "Þórður Ἀθηνᾶ Łukasz दीपक 王小明 김철수 ไทย עברית"],
  ])("keeps names in %s", (_, name) => {
    expect(clean(name)).toBe(name)
  })

  it("has one joiner behind a letter, and one selector, not a train of them", () => {
    expect(clean(`\u200da\u200d\u200d\u200db 1\u200d`)).toBe("a\u200db 1")
    expect(clean(`\ufe0fa${"\ufe0f".repeat(9)}${"\u{e0105}".repeat(9)}`)).toBe("a\ufe0f")
  })
})

describe("JSON", () => {
  it("says the very same, without a character that steers", () => {
    const value = { [`k${steering.slice(0, 40).join("")}`]: steering.join(""), half: "\ud83d", joined: "علی‌رضا" }
    for (const indent of [undefined, 2]) {
      const text = shownJson(JSON.stringify(value, null, indent))
      expect(JSON.parse(text)).toEqual(value)
      expect(text.replaceAll("\n", "")).not.toMatch(
        /[\p{Cc}\p{Zl}\p{Zp}\p{Cs}\p{Bidi_Control}\p{Default_Ignorable_Code_Point}]/u,
      )
    }
  })

  it("that came as text keeps its digits and loses what a terminal would obey", () => {
    const text = '{\r\n\t"value": 1.50,\r\n\t"text": "\u202e\u007f"\n}'
    expect(shownJson(text)).toBe('{ \n "value": 1.50, \n "text": "\\u202e\\u007f"\n}')
  })
})

describe("a terminal", () => {
  it("gets a long line in pieces, each of which says that it goes on", () => {
    const forged = `Gout ${" ".repeat(80)}Signed by the key that you named.`
    expect(wrap(forged, 40)).toEqual(["Gout", "↳ Signed by the key that you named."])
    expect(wrap(`${"x".repeat(40)}verified`, 40)).toEqual(["x".repeat(40), "↳ verified"])
    expect(wrap(`${"\u2800".repeat(40)}verified`, 40).at(-1)).toBe("↳ verified")
    expect(wrap("short", 40)).toEqual(["short"])
    expect(wrap("", 40)).toEqual([""])
  })

  it.each([
    ["wide characters", "王".repeat(100)],
    ["emoji", "❤️".repeat(100)],
    ["marks", "e\u0301".repeat(100)],
    ["words", "lorem ipsum ".repeat(30)],
  ])("is never wider than it is: %s", (_, text) => {
    for (const line of wrap(text, 30)) {
      const columns = Array.from(line.replaceAll("❤️", "xx")).reduce(
        (sum, one) => sum + (/\p{M}/u.test(one) ? 0 : one === "王" ? 2 : 1),
        0,
      )
      expect(columns).toBeLessThanOrEqual(30)
    }
    expect(wrap(text, 30).join("").replaceAll("↳ ", "").replaceAll(" ", "")).toBe(text.replaceAll(" ", ""))
  })

  it("is never wider than it is, where marks take columns of their own", () => {
    const spacing = Array.from({ length: 0x110000 }, (_, code) => code)
      .filter((code) => code < 0xd800 || code > 0xdfff)
      .map((code) => String.fromCodePoint(code))
      .filter((character) => /\p{Mc}/u.test(character))
    expect(spacing.length).toBeGreaterThan(400)
    for (const mark of spacing) {
      const [first = ""] = wrap(`A${mark.repeat(77)}verified`, 80)
      // A terminal gives one or two columns to each.
      expect(1 + 2 * (Array.from(first).length - 1), mark.codePointAt(0)!.toString(16)).toBeLessThanOrEqual(80)
    }
  })

  it("shows a table in which no cell makes a row", () => {
    expect(layTable(["Name", "Role"], [["a\nb", "reader\nx"]])).toEqual(["Name  Role", "a b   reader x"])
  })
})

describe("the one way out", () => {
  const env = {}
  const collect = () => {
    let text = ""
    const stream = new Writable({
      write(chunk, _, done) {
        text += chunk
        done()
      },
    })
    return { out: new Out(stream, env), text: () => text }
  }

  it("makes a line of every text, and only of a text", async () => {
    const { out, text } = collect()
    await out.line("a\nb")
    await out.lines(["c\r\nd", ""])
    await out.whole("e\u001b[2J")
    await out.table(["A", "B"], [["f\n", "g\u009b"]])
    await out.jsonLine({ h: "\u202e\n" })
    await out.json(["\u0085"])
    expect(text()).toBe('a b\nc d\n\ne\ufffd[2J\nA   B\nf   g\ufffd\n{"h":"\\u202e\\n"}\n[\n  "\\u0085"\n]\n')
  })

  it("escapes a logger's lines, which pino does not", async () => {
    const { out, text } = collect()
    out.log.write('{"level":40,"trouble":"\u009b2J\u202e\u007f"}\n')
    expect(text()).toBe('{"level":40,"trouble":"\\u009b2J\\u202e\\u007f"}\n')
  })
})

it("a table of very many rows has columns, too", () => {
  const rows = Array.from({ length: 200_000 }, (_, i) => [String(i), "x"])
  expect(layTable(["Record", "Name"], rows).at(-1)).toBe("199999  x")
})
