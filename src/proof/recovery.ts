import { encodeCbor } from "../encoding/cbor.ts"
import { idBytes, type PracticeId } from "../encoding/ids.ts"

/** What recovery words sign, under the label `recovery`: deterministic CBOR of {practice: 16 B, username, nonce: 32 B}.
 * The nonce is the server's, good once and for 60 s. */
export function encodeRecovery(practice: PracticeId, username: string, nonce: Uint8Array): Uint8Array<ArrayBuffer> {
  return encodeCbor({ practice: idBytes(practice), username, nonce })
}
