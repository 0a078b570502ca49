import { sha256 } from "#sha256"
import { encodeBase64, parseBase64 } from "../encoding/base64.ts"
import { concat, encodeHex, equal, utf8 } from "../encoding/bytes.ts"
import { AppError } from "../errors.ts"
import { checkPublicKey } from "./signature.ts"

/** C2SP signed-note: text, an empty line, then a line for every signature. c2sp.org/signed-note, docs/formats/log.md */

/** How a key signs: 0x01 the text itself, 0x04 as a witness, with the time (see cosignature.ts). Both are Ed25519. */
export const noteTypes = { text: 0x01, cosignature: 0x04 } as const
export type NoteType = (typeof noteTypes)[keyof typeof noteTypes]

/** Whose signature is looked for in a note. */
export interface NoteKey {
  /** Without spaces and plus signs. */
  readonly name: string
  readonly type: NoteType
  /** Ed25519, 32 B. */
  readonly publicKey: Uint8Array
}

export interface SplitNote {
  /** What is signed, its last line feed included. */
  readonly text: string
  /** The signature lines, without line feeds. */
  readonly lines: readonly string[]
}

/** SHA-256(name ‖ 0x0A ‖ type ‖ public key), its first 4 bytes. */
export function noteKeyId({ name, type, publicKey }: NoteKey): Uint8Array {
  return sha256(utf8(name), Uint8Array.of(0x0a, type), publicKey).subarray(0, 4)
}

/** A key as one word: name+hex(key id)+base64(type ‖ public key). */
export function encodeVkey(key: NoteKey): string {
  const id = encodeHex(noteKeyId(key))
  return `${key.name}+${id}+${encodeBase64(concat(Uint8Array.of(key.type), key.publicKey))}`
}

/** Reads a key from one word. @throws BAD_INPUT_FORMAT unless it is one of the two types, well formed, and its id fits. */
export function parseVkey(vkey: string): NoteKey {
  const [, name, id, base64] = /^([^\s+]{1,255})\+([0-9a-f]{8})\+([A-Za-z0-9+/]{44})$/u.exec(vkey) ?? []
  if (name === undefined || base64 === undefined) throw malformed()
  const bytes = parseBase64(base64)
  const type = bytes[0]
  if (type !== noteTypes.text && type !== noteTypes.cosignature) throw malformed()
  const key: NoteKey = { name, type, publicKey: bytes.subarray(1) }
  try {
    checkPublicKey(key.publicKey)
  } catch (cause) {
    throw malformed(cause)
  }
  if (encodeVkey(key) !== `${name}+${id}+${base64}`) throw malformed()
  return key
}

/** Parts a note at its last empty line; null where there is none. */
export function splitNote(note: string): SplitNote | null {
  const cut = note.lastIndexOf("\n\n")
  if (cut <= 0) return null
  return { text: note.slice(0, cut + 1), lines: note.slice(cut + 2).split("\n") }
}

/** One signature line, with its line feed; the dash is U+2014. @param signature what stands behind the key id */
export function signatureLine(key: NoteKey, signature: Uint8Array): string {
  return `\u2014 ${key.name} ${encodeBase64(concat(noteKeyId(key), signature))}\n`
}

/** What a note carries under a key's name and id, not verified; lines of other signers, and those that nobody can read, are passed over. */
export function signaturesUnder(key: NoteKey, { lines }: SplitNote): Uint8Array[] {
  const id = noteKeyId(key)
  return lines.flatMap((line) => {
    const [, name, base64] = /^\u2014 (\S+) ([A-Za-z0-9+/]+={0,2})$/u.exec(line) ?? []
    const bytes = name === key.name ? tryBase64(base64!) : null
    return bytes !== null && bytes.length > 4 && equal(bytes.subarray(0, 4), id) ? [bytes.subarray(4)] : []
  })
}

function tryBase64(text: string): Uint8Array | null {
  try {
    return parseBase64(text)
  } catch {
    return null
  }
}

function malformed(cause?: unknown): AppError {
  const advice = "This is not a verifier key. Copy it again, whole: it looks like name+0123abcd+BASE64."
  return new AppError("BAD_INPUT_FORMAT", advice, cause === undefined ? {} : { cause })
}
