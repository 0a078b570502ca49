import { createHmac, createPrivateKey, createPublicKey } from "node:crypto"
import { describe, expect, it } from "vitest"
import { context } from "../encoding/context.ts"
import { asSecretKey } from "./keys.ts"
import { importSigner } from "./signer.ts"
import { newWords, parseWords, recoverySeed } from "./words.ts"

const hex = (bytes: Uint8Array) => Buffer.from(bytes).toString("hex")
const badWords = expect.objectContaining({ code: "BAD_INPUT_WORDS" })

// github.com/trezor/python-mnemonic, vectors.json: its cases of 256 bits that repeat one byte
const published: readonly [entropy: string, words: string][] = [
  ["00".repeat(32), `${"abandon ".repeat(23)}art`],
  [
    "7f".repeat(32),
    `${"legal winner thank year wave sausage worth useful ".repeat(2)}legal winner thank year wave sausage worth title`,
  ],
  [
    "80".repeat(32),
    `${"letter advice cage absurd amount doctor acoustic avoid ".repeat(2)}letter advice cage absurd amount doctor acoustic bless`,
  ],
  ["ff".repeat(32), `${"zoo ".repeat(23)}vote`],
]

describe("recovery words", () => {
  it.each(published)("stand for their entropy, as published: %s", (entropy, words) => {
    expect(hex(parseWords(words))).toBe(entropy)
  })

  it("are 24, fresh each time, and stand for the entropy that came with them", () => {
    const [one, other] = [newWords(), newWords()]
    expect(one.words).toHaveLength(24)
    expect(hex(parseWords(one.words.join(" ")))).toBe(hex(one.entropy))
    expect(one.words).not.toEqual(other.words)
  })

  it("are taken as people write them", () => {
    const { entropy, words } = newWords()
    const shapes = [
      words.join("\n").toUpperCase(),
      words.map((word, i) => `${i + 1}. ${word}`).join(", "),
      `  ${words.join(" \t ")}\r\n`,
      words.map((word) => word[0]!.toUpperCase() + word.slice(1)).join("\u00a0"),
    ]
    for (const text of shapes) expect(hex(parseWords(text))).toBe(hex(entropy))
  })

  it("are refused with one wrong, missing, too many, misspelt, or out of order", () => {
    const words = published[1]![1].split(" ")
    const wrong = [
      "",
      words.slice(1).join(" "),
      [...words, "art"].join(" "),
      words.with(3, "abandon").join(" "),
      words.with(3, "yeer").join(" "),
      [...words.slice(1), words[0]!].join(" "),
      words.slice(0, 12).join(" "),
    ]
    for (const text of wrong) expect(() => parseWords(text), text).toThrow(badWords)
  })

  it("say how many were typed, and which one is no such word", () => {
    const words = published[1]![1].split(" ")
    expect(() => parseWords("")).toThrow("These are 0 words; it takes 24, in their order.")
    expect(() => parseWords("legal")).toThrow("This is 1 word; it takes 24, in their order.")
    expect(() => parseWords(words.slice(1).join(" "))).toThrow("These are 23 words; it takes 24, in their order.")
    expect(() => parseWords(words.with(3, "yeer").join(" "))).toThrow("Word 4 is no recovery word. Check its spelling.")
    expect(() => parseWords(words.with(3, "yeer").with(5, "sau").join(" "))).toThrow("Word 4 is no recovery word.")
    expect(() => parseWords(words.with(3, "abandon").join(" "))).toThrow("These are not 24 valid recovery words.")
  })

  it("sign a recovery with a seed of their own", async () => {
    const entropy = asSecretKey<"entropy">(new Uint8Array(32).fill(7))
    const seed = await recoverySeed(entropy)
    const expected = createHmac("sha256", entropy).update(context("recovery-auth")).update(Uint8Array.of(1)).digest()
    expect(hex(seed)).toBe(expected.toString("hex"))
    const der = Buffer.concat([Buffer.from("302e020100300506032b657004220420", "hex"), expected])
    const key = createPublicKey(createPrivateKey({ key: der, format: "der", type: "pkcs8" }))
    const signer = await importSigner(seed)
    expect(hex(signer.publicKey)).toBe(key.export({ type: "spki", format: "der" }).subarray(-32).toString("hex"))
  })
})
