import { describe, expect, it } from "vitest"
import { utf8 } from "../encoding/bytes.ts"
import { encodeVkey, noteKeyId, parseVkey, signatureLine, signaturesUnder, splitNote } from "./note.ts"
import { verifyEd25519 } from "./signature.ts"

/** Source: c2sp.org/signed-note, "Example" */
const vkey = "example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k"
const note = `This is an example message.

\u2014 example.com/foo Uw2QOkn8srV1yJGh2VYRlL1Tnagv1YEq6TfXppzi2ONncAlTgK7Ztg1ERYNZXsYjOBH3mFXmRKuwHjG1Yu72IneyaQM=
`
const hex = (bytes: Uint8Array) => Buffer.from(bytes).toString("hex")

describe("a verifier key", () => {
  it.each([
    ["of signed-note's own example", vkey, 1, "530d903a"],
    // github.com/transparency-dev/formats, note/note_cosigv1_test.go
    ["of a witness", "remora.n621.de+da77ade7+BOvN63jn/bLvkieywe8R6UYAtVtNbZpXh34x7onlmtw2", 4, "da77ade7"],
    ["as Go makes them", "TEST+7997405c+AQcC+FTVKf0jlTdHDY3rbevmnKxxPjigCXlVtGe6RIr6", 1, "7997405c"],
  ])("%s is read, its id computed, and written again", (_, text, type, id) => {
    const key = parseVkey(text)
    expect(key).toMatchObject({ name: text.split("+")[0], type })
    expect(key.publicKey).toHaveLength(32)
    expect(hex(noteKeyId(key))).toBe(id)
    expect(encodeVkey(key)).toBe(text)
  })

  it.each([
    ["another id", vkey.replace("530d903a", "530d903b")],
    ["capitals in its id", vkey.replace("530d903a", "530D903A")],
    ["another name", vkey.replace("foo", "fox")],
    ["no name", vkey.slice(vkey.indexOf("+"))],
    ["a space in its name", vkey.replace("/foo", " foo")],
    ["a plus sign in its name", vkey.replace("/foo", "+foo")],
    ["another character in its key", vkey.replace("AekyeRrm", "AekyeRrn")],
    ["a type that nobody knows", vkey.replace("+Aeky", "+Aueky")],
    ["a key too short", vkey.slice(0, -4)],
    ["a line feed behind it", `${vkey}\n`],
    ["nothing in it", ""],
  ])("with %s is refused", (_, text) => {
    expect(() => parseVkey(text)).toThrowError(expect.objectContaining({ code: "BAD_INPUT_FORMAT" }))
  })

  it("whose point is no proper key is refused", () => {
    const key = { name: "x", type: 1, publicKey: new Uint8Array(32).with(0, 1) } as const
    expect(() => parseVkey(encodeVkey(key))).toThrowError(expect.objectContaining({ code: "BAD_INPUT_FORMAT" }))
  })
})

describe("a note", () => {
  it("is verified by the published key", async () => {
    const key = parseVkey(vkey)
    const split = splitNote(note)!
    expect(split.text).toBe("This is an example message.\n")
    const [signature, ...more] = signaturesUnder(key, split)
    expect(more).toEqual([])
    expect(await verifyEd25519(key.publicKey, utf8(split.text), signature!)).toBe(true)
    expect(`${split.text}\n${signatureLine(key, signature!)}`).toBe(note)
  })

  it("is parted at its last empty line, so that its text may hold others", () => {
    expect(splitNote("a\n\nb\n\n\u2014 x AAAAAAA=\n")).toEqual({ text: "a\n\nb\n", lines: ["\u2014 x AAAAAAA=", ""] })
    expect(splitNote("a\nb\n")).toBeNull()
    expect(splitNote("\n\na")).toBeNull()
  })

  it("shows a key's own lines alone", () => {
    const key = parseVkey(vkey)
    const [text, line] = note.split("\n\n") as [string, string]
    const others = `\u2014 example.com/fox ${line.split(" ")[2]}\u2014 example.com/foo AAAAAAAA\n- example.com/foo Uw2QOkn8\n`
    expect(signaturesUnder(key, splitNote(`${text}\n\n${others}`)!)).toEqual([])
    expect(signaturesUnder(key, splitNote(`${text}\n\n${others}${line}${line}`)!)).toHaveLength(2)
  })
})
