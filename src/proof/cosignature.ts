import { concat, u64be, utf8 } from "../encoding/bytes.ts"
import { type NoteKey, noteTypes, signatureLine, signaturesUnder, splitNote } from "./note.ts"
import { verifyEd25519 } from "./signature.ts"

/** A witness's word that, at a time, a checkpoint was the newest of a log that had only grown. C2SP tlog-cosignature, Ed25519 (type 0x04);
 * docs/formats/log.md */

/** A key that cosigns. */
export interface CosignatureKey extends NoteKey {
  readonly type: typeof noteTypes.cosignature
}

/** Signs a message with the witness's own key: Ed25519, 64 B. */
export type SignMessage = (message: Uint8Array<ArrayBuffer>) => Uint8Array | Promise<Uint8Array>

/** The bytes that a witness signs.
 * @param text the checkpoint's text, without its signature lines: see `splitNote`
 * @param time seconds since 1970, more than 0 */
export function cosignatureMessage(text: string, time: number): Uint8Array<ArrayBuffer> {
  if (!Number.isSafeInteger(time) || time <= 0)
    throw new RangeError("a cosignature's time is a whole number of seconds")
  return utf8(`cosignature/v1\ntime ${time}\n${text}`)
}

/** Cosigns a checkpoint. The caller has verified that the log only grew.
 * @returns one signature line with its line feed, to stand under the note's others */
export async function signCosignature(
  witness: Omit<CosignatureKey, "type">,
  text: string,
  time: number,
  sign: SignMessage,
): Promise<string> {
  const signature = await sign(cosignatureMessage(text, time))
  if (signature.length !== 64) throw new RangeError("an Ed25519 signature has 64 bytes")
  return signatureLine({ ...witness, type: noteTypes.cosignature }, concat(u64be(time), signature))
}

/** When a witness cosigned a checkpoint: seconds since 1970, the newest where it did more than once; null where no line of its own
 * verifies. Says nothing about the log's own signature, for which there is `openNote`. */
export async function verifyCosignature(witness: NoteKey, note: string): Promise<number | null> {
  const split = splitNote(note)
  if (split === null || witness.type !== noteTypes.cosignature) return null
  let newest: number | null = null
  for (const bytes of signaturesUnder(witness, split)) {
    if (bytes.length !== 8 + 64) continue
    const time = timeOf(bytes)
    if (time === null || (newest !== null && time <= newest)) continue
    if (await verifyEd25519(witness.publicKey, cosignatureMessage(split.text, time), bytes.subarray(8))) newest = time
  }
  return newest
}

/** The 8 bytes before the signature, null where they are no time that anybody could have signed at. */
function timeOf(bytes: Uint8Array): number | null {
  const time = new DataView(bytes.buffer, bytes.byteOffset, 8).getBigUint64(0)
  return time > 0n && time <= BigInt(Number.MAX_SAFE_INTEGER) ? Number(time) : null
}
