import { encodeBase64, parseBase64 } from "../encoding/base64.ts"
import { equal, utf8 } from "../encoding/bytes.ts"
import type { PracticeId } from "../encoding/ids.ts"
import { AppError } from "../errors.ts"
import { type NoteKey, noteTypes, signatureLine, signaturesUnder, splitNote } from "./note.ts"
import { verifyEd25519 } from "./signature.ts"

/** A log's signed size and root. Format: C2SP tlog-checkpoint, a C2SP signed-note with an Ed25519 signature (type 0x01); docs/formats/log.md */
export interface TreeHead {
  readonly size: number
  /** 32 B */
  readonly root: Uint8Array
}

export function sameTree(a: TreeHead, b: TreeHead): boolean {
  return a.size === b.size && equal(a.root, b.root)
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
  return `${encodeCheckpoint(checkpoint)}\n${signatureLine(logNoteKey(checkpoint.origin, logKey), signature)}`
}

/** Reads a signed checkpoint and verifies the log's own signature; lines of other signers are passed over.
 * @throws TAMPERED_LOG when the text, the origin or the signature is not this log's. */
export async function openNote(note: string, origin: string, logKey: Uint8Array): Promise<Checkpoint> {
  const split = note.length > 16_384 ? null : splitNote(note)
  const match = /^([^\n]+)\n(0|[1-9]\d{0,15})\n([A-Za-z0-9+/]{43}=)\n$/.exec(split?.text ?? "")
  if (split === null || match === null || match[1] !== origin) throw new AppError("TAMPERED_LOG")
  const size = Number(match[2])
  if (!Number.isSafeInteger(size)) throw new AppError("TAMPERED_LOG")
  for (const signature of signaturesUnder(logNoteKey(origin, logKey), split))
    if (await verifyEd25519(logKey, utf8(split.text), signature)) return { origin, size, root: parseBase64(match[3]!) }
  throw new AppError("TAMPERED_LOG")
}

/** A log signs under its origin. */
export function logNoteKey(origin: string, logKey: Uint8Array): NoteKey {
  return { name: origin, type: noteTypes.text, publicKey: logKey }
}
