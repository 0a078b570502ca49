import { sha256 } from "#sha256"
import { encodeBase64, parseBase64 } from "../encoding/base64.ts"
import { concat, equal, utf8 } from "../encoding/bytes.ts"
import type { PracticeId } from "../encoding/ids.ts"
import { AppError } from "../errors.ts"
import { verifyEd25519 } from "./signature.ts"

/** A log's signed size and root. Format: C2SP tlog-checkpoint, a C2SP signed-note with an Ed25519 signature (type 0x01); docs/formats/log.md */
export interface TreeHead {
  readonly size: number
  /** 32 B */
  readonly root: Uint8Array
}

export interface Checkpoint extends TreeHead {
  readonly origin: string
}

/** The log's name for ever. */
export function logOrigin(practice: PracticeId): string {
  return `healthcrypt/${practice}`
}

/** The text that is signed: origin, size and root, a line each. */
export function encodeCheckpoint({ origin, size, root }: Checkpoint): string {
  return `${origin}\n${size}\n${encodeBase64(root)}\n`
}

/** A checkpoint with its signature line.
 * @param signature Ed25519 over the UTF-8 of {@link encodeCheckpoint}, 64 B. */
export function encodeNote(checkpoint: Checkpoint, logKey: Uint8Array, signature: Uint8Array): string {
  const line = encodeBase64(concat(noteKeyId(checkpoint.origin, logKey), signature))
  return `${encodeCheckpoint(checkpoint)}\n\u2014 ${checkpoint.origin} ${line}\n`
}

/** Reads a signed checkpoint and verifies the log's own signature; lines of other signers are passed over.
 * @throws TAMPERED_LOG when the text, the origin or the signature is not this log's. */
export async function openNote(note: string, origin: string, logKey: Uint8Array): Promise<Checkpoint> {
  const cut = note.indexOf("\n\n")
  const text = note.slice(0, cut + 1)
  const match = /^([^\n]+)\n(0|[1-9]\d{0,15})\n([A-Za-z0-9+/]{43}=)\n$/.exec(text)
  if (cut < 0 || note.length > 16_384 || match === null || match[1] !== origin) throw new AppError("TAMPERED_LOG")
  const size = Number(match[2])
  if (!Number.isSafeInteger(size)) throw new AppError("TAMPERED_LOG")
  const id = noteKeyId(origin, logKey)
  for (const line of note.slice(cut + 2).split("\n")) {
    const signed = /^\u2014 (\S+) ([A-Za-z0-9+/]+={0,2})$/.exec(line)
    if (signed === null || signed[1] !== origin) continue
    const bytes = tryBase64(signed[2]!)
    if (bytes === null || bytes.length !== 68 || !equal(bytes.subarray(0, 4), id)) continue
    if (await verifyEd25519(logKey, utf8(text), bytes.subarray(4)))
      return { origin, size, root: parseBase64(match[3]!) }
  }
  throw new AppError("TAMPERED_LOG")
}

/** SHA-256(name ‖ 0x0A ‖ 0x01 ‖ public key), its first 4 bytes. */
function noteKeyId(name: string, logKey: Uint8Array): Uint8Array {
  return sha256(utf8(name), Uint8Array.of(0x0a, 0x01), logKey).subarray(0, 4)
}

function tryBase64(text: string): Uint8Array | null {
  try {
    return parseBase64(text)
  } catch {
    return null
  }
}
