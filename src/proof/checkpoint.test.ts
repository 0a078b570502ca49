import { generateKeyPairSync, sign } from "node:crypto"
import { describe, expect, it } from "vitest"
import { sha256 } from "#sha256"
import { utf8 } from "../encoding/bytes.ts"
import type { PracticeId } from "../encoding/ids.ts"
import { type Checkpoint, encodeCheckpoint, encodeNote, logOrigin, openNote } from "./checkpoint.ts"
import { emptyRoot } from "./merkle.ts"

const { publicKey, privateKey } = generateKeyPairSync("ed25519")
const logKey = new Uint8Array(publicKey.export({ type: "spki", format: "der" }).subarray(-32))
const origin = logOrigin("AAAAAAAAAAAAAAAAAAAAAA" as PracticeId)
const checkpoint: Checkpoint = { origin, size: 12_345, root: sha256(utf8("root")) }
const noteOf = (text: string, as: Checkpoint = checkpoint) =>
  encodeNote(as, logKey, new Uint8Array(sign(null, utf8(text), privateKey)))
const note = noteOf(encodeCheckpoint(checkpoint))
const tampered = { code: "TAMPERED_LOG" }

describe("a checkpoint", () => {
  it("is three lines, and opens to what was signed", async () => {
    expect(encodeCheckpoint(checkpoint).split("\n")).toEqual([
      "healthcrypt/AAAAAAAAAAAAAAAAAAAAAA",
      "12345",
      Buffer.from(checkpoint.root).toString("base64"),
      "",
    ])
    expect(await openNote(note, origin, logKey)).toEqual(checkpoint)
    const empty = { origin, size: 0, root: emptyRoot }
    expect(await openNote(noteOf(encodeCheckpoint(empty), empty), origin, logKey)).toEqual(empty)
  })

  it("is signed as a C2SP signed-note: key id, then Ed25519", () => {
    const line = note.split("\n\n")[1]!
    const [dash, name, signature] = line.trimEnd().split(" ")
    expect([dash, name]).toEqual(["\u2014", origin])
    const bytes = Buffer.from(signature!, "base64")
    expect(bytes).toHaveLength(68)
    const id = sha256(utf8(`${origin}\n`), Uint8Array.of(1), logKey).subarray(0, 4)
    expect(new Uint8Array(bytes.subarray(0, 4))).toEqual(id)
  })

  it("opens with witnesses' signatures before and behind, and with lines that nobody knows", async () => {
    const witness = `\u2014 witness.example ${Buffer.alloc(76, 1).toString("base64")}\n`
    const [text, own] = note.split("\n\n") as [string, string]
    expect(await openNote(`${text}\n\n${witness}${own}${witness}`, origin, logKey)).toEqual(checkpoint)
    expect(await openNote(`${text}\n\nsomething\n${own}`, origin, logKey)).toEqual(checkpoint)
  })

  it("is refused when any character of text or signature changes", async () => {
    for (let at = 0; at < note.length; at++) {
      if (note[at] === "\n" && at === note.length - 1) continue
      const changed = note.slice(0, at) + (note[at] === "A" ? "B" : "A") + note.slice(at + 1)
      await expect(openNote(changed, origin, logKey), `character ${at}`).rejects.toMatchObject(tampered)
    }
  })

  it.each([
    ["another origin", (text: string) => text.replace("healthcrypt/", "healthcrypt/x")],
    ["a size with a leading zero", (text: string) => text.replace("12345", "012345")],
    ["a negative size", (text: string) => text.replace("12345", "-1")],
    ["a size above 2^53", (text: string) => text.replace("12345", "9999999999999999")],
    [
      "a root of 31 bytes",
      (text: string) => text.replace(/\n[^\n]{44}\n$/, `\n${Buffer.alloc(31).toString("base64")}\n`),
    ],
    ["a fourth line", (text: string) => `${text}more\n`],
  ])("is refused with %s, though it is signed", async (_, change) => {
    const text = change(encodeCheckpoint(checkpoint))
    expect(text).not.toBe(encodeCheckpoint(checkpoint))
    const own = noteOf(text).split("\n\n")[1]!
    await expect(openNote(`${text}\n${own}`, origin, logKey)).rejects.toMatchObject(tampered)
  })

  it("is refused under another key or name, unsigned, empty, or too long", async () => {
    const other = new Uint8Array(
      generateKeyPairSync("ed25519").publicKey.export({ type: "spki", format: "der" }).subarray(-32),
    )
    await expect(openNote(note, origin, other)).rejects.toMatchObject(tampered)
    await expect(openNote(note, `${origin}/1`, logKey)).rejects.toMatchObject(tampered)
    for (const wrong of [
      "",
      "\n\n",
      encodeCheckpoint(checkpoint),
      `${encodeCheckpoint(checkpoint)}\n`,
      `${note}${"x".repeat(16_384)}`,
    ])
      await expect(openNote(wrong, origin, logKey)).rejects.toMatchObject(tampered)
  })
})
