import { inflate } from "#inflate"
import { type Coding, deflate, encodeFrame, parseFrame } from "../encoding/frame.ts"
import { limits } from "../encoding/limits.ts"
import { demandMemory } from "../encoding/memory.ts"
import { AppError } from "../errors.ts"
import { decrypt, encrypt } from "./fernet.ts"
import { deriveKey, type SecretKey } from "./keys.ts"

/** How a token's frame is made. `exact`: a 32-byte key, framed without padding. `compress`: deflate, for imported bundles alone. */
export interface SealOptions {
  readonly exact?: boolean
  readonly compress?: boolean
  /** Milliseconds since 1970, the token's visible time; the clock, if left out. */
  readonly now?: number
}

/** seal(K, context, m) = Fernet.encrypt(key(K, context), frame(m)). The place goes into the key, so a token that is moved, swapped
 * or taken for another kind does not open.
 * @param place the context: see places.ts.
 * @param body  0 … 16 MiB (64 MiB when compressed and at most 16 MiB after).
 * @returns     a Fernet token as bytes; its length is Padmé-padded.
 * @throws      BAD_INPUT_SIZE above the limit.
 * Format: docs/formats/token.md · Fernet: github.com/fernet/spec · HKDF: RFC 5869 §2.3 */
export async function seal(
  key: SecretKey,
  place: Uint8Array,
  body: Uint8Array,
  options: SealOptions = {},
): Promise<Uint8Array<ArrayBuffer>> {
  if (body.length > limits.inflatedBytes) throw new AppError("BAD_INPUT_SIZE")
  const coding: Coding = options.compress ? 1 : 0
  const content = coding === 1 ? await deflate(body) : body
  if (content.length > limits.bodyBytes) throw new AppError("BAD_INPUT_SIZE")
  const frame = encodeFrame(content, coding, options.exact)
  return encrypt(await deriveKey(key, place), frame, options.now === undefined ? {} : { now: options.now })
}

/** Opens what {@link seal} sealed under the same key and place.
 * @param allow `exact` for a 32-byte key; `inflateTo`, at most so many bytes, where coding 1 may stand (entries alone).
 * @throws CANNOT_OPEN, one error whatever is wrong with it; UNAVAILABLE_MEMORY. */
export async function open(
  key: SecretKey,
  place: Uint8Array,
  token: Uint8Array,
  allow: { readonly exact?: boolean; readonly inflateTo?: number } = {},
): Promise<Uint8Array> {
  try {
    const { coding, body } = parseFrame(await decrypt(await deriveKey(key, place), token), allow.exact)
    if (coding === 0) return body
    if (allow.inflateTo === undefined) throw new AppError("CANNOT_OPEN")
    return await inflate(body, allow.inflateTo)
  } catch (cause) {
    demandMemory(cause)
    throw new AppError("CANNOT_OPEN")
  }
}
